//! Score files of subnets: one row per subnet, plus per-class accuracies and a confusion matrix for each.

use crate::run::run_dir::{csv_text, write_whole};
use anyhow::{Context, Result};
use ofa_model::Arch;
use ofa_train::Scores;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The scores of one subnet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreRow {
    /// The arch as text.
    pub arch: String,
    /// Number of images it is measured on.
    pub images: u64,
    /// Top-1 accuracy, 0 to 1.
    pub top1: f64,
    /// Top-5 accuracy, 0 to 1.
    pub top5: f64,
    /// Mean cross-entropy in nats.
    pub loss: f64,
}

impl ScoreRow {
    /// The row of `arch`.
    pub fn new(arch: &Arch, scores: &Scores) -> Self {
        let (images, top1, top5, loss) = (scores.images(), scores.top1(), scores.top5(), scores.loss());
        Self { arch: arch.to_string(), images, top1, top5, loss }
    }
}

/// Writes a directory of score files.
pub struct ScoreFiles {
    root: PathBuf,
    rows: Vec<ScoreRow>,
}

impl ScoreFiles {
    /// Creates the directory, with its parents.
    ///
    /// # Errors
    ///
    /// If it exists or cannot be created.
    pub fn create(root: &Path) -> Result<Self> {
        let parent = root.parent().context("a directory has a parent")?;
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::create_dir(root))
            .with_context(|| format!("cannot create the directory {}", root.display()))?;
        Ok(Self { root: root.to_owned(), rows: Vec::new() })
    }

    /// Adds a subnet to `scores.csv` and writes its `ARCH.classes.csv` and `ARCH.confusion.csv`, each file atomically.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn add(&mut self, arch: &Arch, scores: &Scores, classes: &[String]) -> Result<()> {
        // The text form of widths contains a colon, which some systems forbid in file names.
        let name = |part: &str| format!("{}.{part}.csv", arch.to_string().replace(':', "_"));
        self.write(&name("classes"), &csv_text(class_rows(scores, classes))?)?;
        self.write(&name("confusion"), &csv_text(confusion_rows(scores, classes))?)?;
        self.rows.push(ScoreRow::new(arch, scores));
        self.write("scores.csv", &csv_text(&self.rows)?)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        write_whole(&self.root.join(name), text.as_bytes())
    }
}

#[derive(Serialize)]
struct ClassRow<'a> {
    class: &'a str,
    images: u64,
    /// Empty for a class without images.
    top1: Option<f64>,
}

fn class_rows<'a>(scores: &'a Scores, classes: &'a [String]) -> impl Iterator<Item = ClassRow<'a>> {
    classes.iter().enumerate().map(|(label, class)| ClassRow {
        class,
        images: scores.confusion(label).iter().sum(),
        top1: scores.class_top1(label),
    })
}

/// One row per label, with the number of images predicted as each class; the first row names the classes.
fn confusion_rows(scores: &Scores, classes: &[String]) -> impl Iterator<Item = Vec<String>> {
    let line = |name: &str, cells: Vec<String>| [vec![name.to_owned()], cells].concat();
    let header = line("label \\ predicted", classes.to_vec());
    let counts = |label| scores.confusion(label).iter().map(u64::to_string).collect();
    let rows = classes.iter().enumerate().map(move |(label, class)| line(class, counts(label)));
    std::iter::once(header).chain(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn files_hold_the_scores() {
        let device = Device::flex();
        let mut scores = Scores::new(3);
        let logits = Tensor::from_floats([[2.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 2.0, 0.0]], &device);
        scores.add(logits, Tensor::from_ints([0, 0, 1], &device));
        let classes = ["bag", "shirt, long", "shoe"].map(str::to_owned);
        let arch: Arch = "r20-w0_8:k3e3".parse().unwrap();
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("new/scores");
        let mut files = ScoreFiles::create(&root).unwrap();
        files.add(&arch, &scores, &classes).unwrap();
        let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
        let rows = read("scores.csv");
        let row: Vec<&str> = rows.lines().nth(1).unwrap().split(',').collect();
        assert!(rows.starts_with("arch,images,top1,top5,loss\n"), "{rows}");
        assert_eq!(row[..2], ["r20-w0_8:k3e3", "3"]);
        assert_eq!([2, 3].map(|i| row[i].parse::<f64>().unwrap()), [2.0 / 3.0, 1.0]);
        assert_eq!(read("r20-w0_8_k3e3.classes.csv"), "class,images,top1\nbag,2,0.5\n\"shirt, long\",1,1.0\nshoe,0,\n");
        assert_eq!(
            read("r20-w0_8_k3e3.confusion.csv"),
            "label \\ predicted,bag,\"shirt, long\",shoe\nbag,1,0,1\n\"shirt, long\",0,1,0\nshoe,0,0,0\n"
        );
        assert!(ScoreFiles::create(&root).is_err());
    }
}
