//! Kaggle's solution file for the validation set.

use std::collections::HashMap;
use std::path::Path;

use crate::error::DataError;
use crate::text;

/// Reads a `LOC_val_solution.csv`: WordNet ids by image. A line holds the image id and, for each box, a WordNet id and
/// four numbers. All boxes of an image have the same WordNet id.
pub(super) fn read(path: &Path) -> Result<HashMap<String, String>, DataError> {
    parse(&text::read(path)?).map_err(|problem| DataError::Labels { path: path.to_owned(), problem })
}

pub(crate) fn parse(text: &str) -> Result<HashMap<String, String>, String> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?;
    if header.iter().collect::<Vec<_>>() != ["ImageId", "PredictionString"] {
        return Err(format!("its first line is {:?}, expected ImageId,PredictionString", header.as_slice()));
    }
    let mut wnids = HashMap::new();
    for (record, line) in reader.records().zip(2..) {
        let record = record.map_err(|error| error.to_string())?;
        let wnid = record[1].split_whitespace().next().ok_or_else(|| format!("line {line} has no class"))?;
        if wnids.insert(record[0].to_owned(), wnid.to_owned()).is_some() {
            return Err(format!("line {line} repeats the image {}", &record[0]));
        }
    }
    Ok(wnids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_of_the_boxes_is_the_class() {
        let text = "ImageId,PredictionString\nval_2,n02 85 1 499 272 \nval_1,n01 1 2 3 4 n01 5 6 7 8\n";
        let wnids = parse(text).unwrap();
        assert_eq!((wnids.len(), &*wnids["val_2"], &*wnids["val_1"]), (2, "n02", "n01"));
    }

    #[test]
    fn other_files_are_errors_that_say_where() {
        let problem = |text: &str| parse(text).unwrap_err();
        assert!(problem("a,b\n").contains("expected ImageId,PredictionString"));
        assert_eq!(problem("ImageId,PredictionString\nx,n1 1\ny, \n"), "line 3 has no class");
        assert_eq!(problem("ImageId,PredictionString\nx,n1\nx,n2\n"), "line 3 repeats the image x");
        assert!(problem("ImageId,PredictionString\nx\n").contains("1 fields"));
    }
}
