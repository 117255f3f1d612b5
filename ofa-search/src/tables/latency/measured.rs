//! User-supplied measurements of whole networks.

use crate::SearchError;
use crate::tables::table_file::invalid;
use ofa_model::{Arch, SearchSpace};
use std::collections::HashMap;
use std::path::Path;

/// Reads a CSV file of archs of `space` and a measurement of each (milliseconds, or another cost). The first line has
/// two column names, of which the first is `arch`. Each further line has an arch in its text form and a positive
/// number.
///
/// # Errors
///
/// If the file cannot be read or lacks these columns, an arch is outside the space, a number is not positive, or an
/// arch has two different measurements (naming the line).
pub fn read_measured(path: &Path, space: &SearchSpace) -> Result<Vec<(Arch, f64)>, SearchError> {
    let bytes = std::fs::read(path).map_err(|source| SearchError::Io { path: path.to_owned(), source })?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(bytes.as_slice());
    let fail = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        invalid(path, line, error.to_string())
    };
    let columns = reader.headers().map_err(fail)?;
    if columns.len() != 2 || &columns[0] != "arch" {
        let found = columns.iter().collect::<Vec<_>>().join(",");
        return Err(invalid(path, 1, format!("columns are `{found}`, expected `arch` and one measurement")));
    }
    let mut measured: Vec<(Arch, f64)> = Vec::new();
    let mut index: HashMap<Arch, usize> = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(fail)?;
        let line = record.position().map_or(1, csv::Position::line);
        let arch: Arch = record[0].parse().map_err(|error| invalid(path, line, format!("{error}")))?;
        space.check(&arch).map_err(|source| SearchError::OutsideSpace {
            path: path.to_owned(),
            line,
            source: source.into(),
        })?;
        let value = record[1].parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
        let value = value.ok_or_else(|| {
            invalid(path, line, format!("`{arch}` was measured as `{}`, not a positive number", &record[1]))
        })?;
        let known = *index.entry(arch.clone()).or_insert(measured.len());
        if known == measured.len() {
            measured.push((arch, value));
        } else if measured[known].1 != value {
            return Err(SearchError::ConflictingRows {
                path: path.to_owned(),
                line,
                key: arch.to_string(),
                found: value.to_string(),
                before: measured[known].1.to_string(),
            });
        }
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tiny_space;

    fn read(text: &str) -> Result<Vec<(Arch, f64)>, SearchError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("phone.csv");
        std::fs::write(&path, text).unwrap();
        read_measured(&path, &tiny_space())
    }

    #[test]
    fn archs_and_numbers_are_read_once() {
        let measured = read("# on a phone\narch, ms\nr8-k3e3, 1.5\nr12-k5e6,2\nr8-k3e3,1.5\n").unwrap();
        assert_eq!(measured, [("r8-k3e3".parse().unwrap(), 1.5), ("r12-k5e6".parse().unwrap(), 2.0)]);
    }

    #[test]
    fn what_is_no_measurement_names_its_line() {
        let cases = [
            ("net,ms\n", "csv:1: columns are `net,ms`, expected `arch` and one measurement"),
            ("arch,ms\nr8-k3e3,1\nr8-k9e3,1\n", "csv:3: arch `r8-k9e3` is outside the space `tiny`"),
            ("arch,ms\nr8,k3e3\n", "csv:2: "),
            ("arch,ms\nr8-k3e3,-2\n", "csv:2: `r8-k3e3` was measured as `-2`"),
            ("arch,ms\nr8-k3e3,NaN\n", "csv:2: `r8-k3e3` was measured as `NaN`"),
            ("arch,ms\nr8-k3e3,1\nr8-k3e3,2\n", "csv:3: `r8-k3e3` has 2 here, but 1 in an earlier row"),
            ("arch,ms\nr8-k3e3\n", "csv:2: "),
        ];
        for (text, expected) in cases {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
