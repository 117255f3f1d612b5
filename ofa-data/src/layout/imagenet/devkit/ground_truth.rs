//! Labels of ImageNet's validation images, from the ILSVRC2012 development kit.
//!
//! The format follows the kit's `readme.txt`. `data/ILSVRC2012_validation_ground_truth.txt` has one line per image, in
//! alphabetical order of file names: the `ILSVRC2012_ID` of the image's class. `data/meta.mat` holds a struct array
//! `synsets`, which gives the `WNID` (WordNet id, the name used for the class's training images) of every id. The
//! classes are the low-level synsets, those with `num_children` 0. Their ids run from 1 to their number (1000), not in
//! the order of WNIDs.

use super::mat::{self, Value};
use crate::error::DevkitProblem;

const ID: &str = "ILSVRC2012_ID";
const WNID: &str = "WNID";
const CHILDREN: &str = "num_children";

/// WordNet ids of the classes of validation images 1, 2 and so on, from the contents of `data/meta.mat` and
/// `data/ILSVRC2012_validation_ground_truth.txt`.
///
/// The number of classes comes from `meta`, the number of images from the lines of `ground_truth`: 1000 and 50,000 in
/// the kit.
pub(crate) fn validation_wnids(meta: &[u8], ground_truth: &str) -> Result<Vec<String>, DevkitProblem> {
    let classes = class_wnids(meta)?;
    let lines = ground_truth.trim_end();
    if lines.is_empty() {
        return Err(DevkitProblem::NoGroundTruth);
    }
    let wnid = |(index, line): (usize, &str)| {
        let id = line.trim().parse::<usize>().ok();
        let wnid = id.and_then(|id| classes.get(id.checked_sub(1)?));
        wnid.cloned().ok_or_else(|| DevkitProblem::GroundTruth {
            line: index + 1,
            found: beginning(line),
            classes: classes.len(),
        })
    };
    lines.lines().enumerate().map(wnid).collect()
}

/// WordNet ids of the classes with ids 1, 2 and so on, all distinct.
fn class_wnids(meta: &[u8]) -> Result<Vec<String>, DevkitProblem> {
    let synsets = mat::struct_array(meta, "synsets", [ID, WNID, CHILDREN])?;
    let mut classes = Vec::new();
    for (index, [id, wnid, children]) in synsets.iter().enumerate() {
        match children {
            Value::Number(children) if *children > 0.0 => {}
            Value::Number(0.0) => classes.push((index + 1, id, wnid)),
            other => return Err(field(index + 1, CHILDREN, other, "0 or more".into())),
        }
    }
    if classes.is_empty() {
        return Err(DevkitProblem::NoClasses { synsets: synsets.len() });
    }
    let mut wnids = vec![None; classes.len()];
    for (synset, id, wnid) in classes {
        let (id, wnid) = (class_id(synset, id, wnids.len())?, class_wnid(synset, wnid)?);
        if let Some(first) = wnids[id - 1].replace(wnid.clone()) {
            return Err(DevkitProblem::RepeatedId { id, first, second: wnid });
        }
    }
    // As many distinct ids as slots: every slot is filled.
    let wnids: Vec<String> = wnids.into_iter().flatten().collect();
    different(&wnids)?;
    Ok(wnids)
}

fn class_id(synset: usize, id: &Value, classes: usize) -> Result<usize, DevkitProblem> {
    match id {
        Value::Number(id) if id.fract() == 0.0 && *id >= 1.0 && *id <= classes as f64 => Ok(*id as usize),
        other => Err(field(synset, ID, other, format!("an integer from 1 to {classes} (the number of classes)"))),
    }
}

fn class_wnid(synset: usize, wnid: &Value) -> Result<String, DevkitProblem> {
    match wnid {
        Value::Text(wnid) if is_wnid(wnid) => Ok(wnid.clone()),
        other => Err(field(synset, WNID, other, "n followed by eight digits".into())),
    }
}

fn is_wnid(text: &str) -> bool {
    let digits = text.strip_prefix('n').unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn different(wnids: &[String]) -> Result<(), DevkitProblem> {
    let mut sorted: Vec<(&String, usize)> = wnids.iter().zip(1..).collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(DevkitProblem::RepeatedWnid { wnid: pair[0].0.clone(), first: pair[0].1, second: pair[1].1 }),
        None => Ok(()),
    }
}

fn field(synset: usize, field: &'static str, found: &Value, expected: String) -> DevkitProblem {
    let found = match found {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("{:?}", beginning(text)),
        Value::Other => "neither one number nor one row of text".to_owned(),
    };
    DevkitProblem::Field { synset, field, found, expected }
}

/// The first 40 characters of a text, for messages.
fn beginning(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &[u8] = include_bytes!("../../../../fixtures/devkit/meta-plain.mat");
    const COMPRESSED: &[u8] = include_bytes!("../../../../fixtures/devkit/meta-compressed.mat");
    const BIG_ENDIAN: &[u8] = include_bytes!("../../../../fixtures/devkit/meta-big-endian.mat");

    /// The plain file with every occurrence of `from` replaced by `to`.
    fn replaced(from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut meta = PLAIN.to_vec();
        let places: Vec<usize> = (0..=meta.len() - from.len()).filter(|&at| meta[at..].starts_with(from)).collect();
        assert!(!places.is_empty() && from.len() == to.len());
        places.into_iter().for_each(|at| meta[at..at + to.len()].copy_from_slice(to));
        meta
    }

    fn problem(meta: &[u8], ground_truth: &str) -> String {
        validation_wnids(meta, ground_truth).unwrap_err().to_string()
    }

    #[test]
    fn images_have_the_wnid_of_their_id() {
        for meta in [PLAIN, COMPRESSED, BIG_ENDIAN] {
            let wnids = validation_wnids(meta, "5\n1\n2\n3\n4\n4\n").unwrap();
            let expected = ["n02102040", "n02119789", "n02100735", "n02110185", "n02096294", "n02096294"];
            assert_eq!(wnids, expected);
            assert!(!class_wnids(meta).unwrap().is_sorted());
        }
        assert_eq!(validation_wnids(PLAIN, " 2\r\n1\r\n\r\n").unwrap(), ["n02100735", "n02119789"]);
    }

    #[test]
    fn a_line_that_is_no_id_is_named() {
        for (lines, line, found) in [
            ("1\nx\n", 2, "x"),
            ("0", 1, "0"),
            ("1\n2\n6", 3, "6"),
            ("1\n\n2", 2, ""),
            ("1 2", 1, "1 2"),
            ("-1", 1, "-1"),
        ] {
            let expected = format!("ground truth line {line} is {found:?}, expected an id from 1 to 5");
            assert_eq!(problem(PLAIN, lines), expected);
        }
        assert_eq!(problem(PLAIN, " \n\n"), "ground truth is empty");
        let long = problem(PLAIN, &"ä".repeat(1000));
        assert_eq!(long, format!("ground truth line 1 is \"{}...\", expected an id from 1 to 5", "ä".repeat(40)));
    }

    #[test]
    fn what_is_wrong_with_the_synsets_is_named() {
        let two = 2f64.to_le_bytes();
        let of = |from: &[u8], to: &[u8]| problem(&replaced(from, to), "1");
        let missing = of(b"synsets\0", b"symsets\0");
        assert_eq!(missing, "meta.mat: no struct array named \"synsets\"");
        assert_eq!(of(b"WNID", b"WNIP"), "meta.mat: no field named \"WNID\"");
        let of_wnid = "meta.mat: WNID of synset 3 is \"m02110185\", expected n followed by eight digits";
        assert_eq!(of(b"n02110185", b"m02110185"), of_wnid);
        let of_id =
            "meta.mat: ILSVRC2012_ID of synset 4 is 4.5, expected an integer from 1 to 5 (the number of classes)";
        assert_eq!(of(&4f64.to_le_bytes(), &4.5f64.to_le_bytes()), of_id);
        let of_both = "meta.mat: n02100735 and n02110185 both have the ILSVRC2012_ID 2";
        assert_eq!(of(&3f64.to_le_bytes(), &two), of_both);
        let of_all = "meta.mat: the classes 2 and 5 both have the WNID n02100735";
        assert_eq!(of(b"n02102040", b"n02100735"), of_all);
        let of_children = "meta.mat: num_children of synset 6 is -2, expected 0 or more";
        assert_eq!(of(&two, &(-2f64).to_le_bytes()), of_children);
        let zero = [9, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let one = [&zero[..8], &1f64.to_le_bytes()].concat();
        assert_eq!(of(&zero, &one), "meta.mat: none of the 7 synsets is a class (has a num_children of 0)");
    }

    proptest! {
        #[test]
        fn damaged_metadata_do_not_panic(at in 0..PLAIN.len(), byte: u8, big_endian: bool) {
            let mut meta = if big_endian { BIG_ENDIAN } else { PLAIN }.to_vec();
            meta[at] = byte;
            if let Err(problem) = validation_wnids(&meta, "1\n2\n3\n4\n5\n") {
                prop_assert!(!problem.to_string().is_empty());
            }
        }

        #[test]
        fn any_ground_truth_is_read_or_refused(lines in "(([0-9]|[ \\-x]){0,3}\n){0,9}") {
            if let Ok(wnids) = validation_wnids(PLAIN, &lines) {
                prop_assert_eq!(wnids.len(), lines.trim_end().lines().count());
            }
        }
    }
}
