//! What a cell leaves behind: how it was made, and the accuracy of its subnets.

use super::budget::Budget;
use crate::machine::environment::Machine;
use anyhow::{Context, Result, ensure};
use ofa_train::EpochRecord;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Written last: a cell with this file is complete.
pub(super) const RECORD: &str = "cell.json";
pub(super) const SUBNETS: &str = "subnets.csv";
pub(super) const EPOCHS: &str = "metrics.csv";

/// Record of one trained cell, `cell.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellRecord {
    /// Name of the arm.
    pub arm: String,
    /// Seed of the training.
    pub seed: u64,
    /// Factor on the arm's learning rates.
    pub factor: f64,
    /// Digest of what the code computes, see `identity.json`.
    pub code: String,
    /// Weights after its first steps; absent in cells of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_steps: Option<FirstSteps>,
    /// SHA-256 of the trained weights; `none` if the training diverged.
    pub weights: String,
    /// Cost of its own training, without the arms it starts from.
    pub budget: Budget,
    /// Wall time of training and of measuring, in seconds.
    pub seconds: [f64; 2],
    /// The machine it ran on.
    pub machine: Machine,
    /// Where and how its training diverged, if it did; the cell then has no accuracies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged: Option<String>,
}

/// Fingerprint of the start of a training, which can be checked within a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstSteps {
    /// Number of steps.
    pub steps: usize,
    /// SHA-256 of the weights after these steps.
    pub weights: String,
}

/// Accuracy of one subnet of a cell: a row of `subnets.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetRow {
    /// Name of a corner, such as `D2 W3 K3`; empty for a random subnet.
    pub corner: String,
    /// The arch, as text.
    pub arch: String,
    /// MACs of a forward pass of one image.
    pub macs: u64,
    /// Top-1 accuracy on validation images after calibration, between 0 and 1; corners only.
    pub validation_top1: Option<f64>,
    /// The same on test images; absent in selection cells.
    pub test_top1: Option<f64>,
    /// The same on test images without calibration, with the statistics of the largest subnet that the arm trains;
    /// corners only.
    pub uncalibrated_top1: Option<f64>,
    /// For a corner, which test images it classifies correctly: one bit per image, four per hexadecimal digit, first
    /// image first.
    pub right: String,
}

/// A complete cell.
#[derive(Clone, Debug)]
pub struct DoneCell {
    /// How the cell was made.
    pub record: CellRecord,
    /// Accuracy of its subnets.
    pub subnets: Vec<SubnetRow>,
    /// Metrics of its training, per epoch.
    pub epochs: Vec<EpochRecord>,
}

impl DoneCell {
    /// Reads the cell in the directory `path`; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// If a file of a complete cell is missing or damaged; the message names it.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let record = path.join(RECORD);
        let text = match fs::read_to_string(&record) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| record.display().to_string()),
        };
        let record: CellRecord = serde_json::from_str(&text).with_context(|| record.display().to_string())?;
        if record.diverged.is_some() {
            return Ok(Some(Self { record, subnets: Vec::new(), epochs: Vec::new() }));
        }
        Ok(Some(Self { record, subnets: csv_rows(&path.join(SUBNETS))?, epochs: csv_rows(&path.join(EPOCHS))? }))
    }

    /// Checks that the cell is the one its directory should hold.
    ///
    /// # Errors
    ///
    /// If it has another arm, seed or factor; the message gives both.
    pub(super) fn check(&self, arm: &str, seed: u64, factor: f64, path: &Path) -> Result<()> {
        let CellRecord { arm: other, seed: other_seed, factor: other_factor, .. } = &self.record;
        ensure!(
            (other.as_str(), *other_seed, *other_factor) == (arm, seed, factor),
            "{} holds arm `{other}` with seed {other_seed} and factor {other_factor}, not arm `{arm}` with seed {seed} \
             and factor {factor}: it was copied there, or another learning rate is selected now; remove it to train it \
             again",
            path.display()
        );
        Ok(())
    }

    /// Mean validation accuracy of the corners; negative infinity if there is none.
    pub(super) fn validation_top1(&self) -> f64 {
        let found: Vec<f64> = self.subnets.iter().filter_map(|row| row.validation_top1).collect();
        if found.is_empty() { f64::NEG_INFINITY } else { found.iter().sum::<f64>() / found.len() as f64 }
    }

    /// Names of the corners it reports.
    pub(super) fn corner_names(&self) -> impl Iterator<Item = &str> {
        self.subnets.iter().map(|row| row.corner.as_str()).filter(|name| !name.is_empty())
    }

    /// The row of a corner.
    pub(super) fn corner(&self, name: &str) -> Option<&SubnetRow> {
        self.subnets.iter().find(|row| row.corner == name)
    }

    /// Test accuracy of a corner; NaN if it is not reported.
    pub(super) fn test_top1(&self, corner: &str) -> f64 {
        self.corner(corner).and_then(|row| row.test_top1).unwrap_or(f64::NAN)
    }

    /// MACs and test accuracy of the random subnets.
    pub(super) fn random(&self) -> Vec<(u64, f64)> {
        let random = self.subnets.iter().filter(|row| row.corner.is_empty());
        random.filter_map(|row| Some((row.macs, row.test_top1?))).collect()
    }

    /// Reorders the test images: position i receives the one from `order[i]`.
    pub(super) fn reorder_images(&mut self, order: &[usize]) {
        for row in self.subnets.iter_mut().filter(|row| !row.right.is_empty()) {
            let right = row.right();
            if right.len() == order.len() {
                row.right = hexadecimal(&order.iter().map(|&i| right[i]).collect::<Vec<_>>());
            }
        }
    }
}

impl SubnetRow {
    /// For a corner, whether each test image is classified correctly.
    pub fn right(&self) -> Vec<bool> {
        let digits = self.right.chars().map(|digit| digit.to_digit(16).unwrap_or(0));
        let mut bits: Vec<bool> = digits.flat_map(|value| [8, 4, 2, 1].map(|bit| value & bit != 0)).collect();
        let ones = bits.iter().filter(|bit| **bit).count() as f64;
        // The last digit may be padded; the accuracy tells how many images there were.
        if let Some(top1) = self.test_top1.filter(|top1| *top1 > 0.0) {
            bits.truncate((ones / top1).round() as usize);
        }
        bits
    }
}

fn csv_rows<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let rows = csv::Reader::from_path(path).and_then(|reader| reader.into_deserialize().collect());
    rows.with_context(|| path.display().to_string())
}

/// Bits as hexadecimal digits, most significant bit first; the last digit is padded with zeros.
pub(super) fn hexadecimal(bits: &[bool]) -> String {
    let digit = |four: &[bool]| {
        let value = (0..4).fold(0, |value, i| 2 * value + u32::from(four.get(i).copied().unwrap_or(false)));
        char::from_digit(value, 16).unwrap_or('0')
    };
    bits.chunks(4).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::testing::{ablation, cells};

    fn row(bits: &[bool]) -> SubnetRow {
        SubnetRow {
            corner: "D2".into(),
            arch: String::new(),
            macs: 0,
            validation_top1: None,
            test_top1: Some(bits.iter().filter(|bit| **bit).count() as f64 / bits.len() as f64),
            uncalibrated_top1: None,
            right: hexadecimal(bits),
        }
    }

    #[test]
    fn bits_survive_as_digits() {
        for images in [1, 3, 4, 9, 100] {
            let bits: Vec<bool> = (0..images).map(|i| i % 3 == 0 || i % 7 == 2).collect();
            assert_eq!(row(&bits).right(), bits);
        }
        assert_eq!(hexadecimal(&[true, false, false, true, true]), "98");
    }

    #[test]
    fn images_can_be_put_in_another_order() {
        let mut cell = cells(&ablation(), 0.0).into_values().next().unwrap();
        cell.subnets = vec![row(&[true, false, false, true, true])];
        cell.reorder_images(&[1, 0, 2, 4, 3]);
        assert_eq!(cell.subnets[0].right(), [false, true, false, true, true]);
    }

    #[test]
    fn a_cell_in_the_place_of_another_is_refused() {
        let cell = cells(&ablation(), 0.0).into_values().next().unwrap();
        let record = &cell.record;
        let path = Path::new("cells/none/seed-9");
        cell.check(&record.arm, record.seed, 1.0, path).unwrap();
        let message = cell.check("none", 9, 1.0, path).unwrap_err().to_string();
        assert!(
            message.contains("holds arm `full` with seed 1") && message.contains("not arm `none` with seed 9"),
            "{message}"
        );
    }

    #[test]
    fn half_written_cells_are_not_complete_and_damaged_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let cell = cells(&ablation(), 0.0).into_values().next().unwrap();
        fs::write(dir.path().join(SUBNETS), "corner,arch").unwrap();
        // A killed process leaves its output under a temporary name.
        fs::write(dir.path().join(".cell.json.tmp"), "{").unwrap();
        assert!(DoneCell::read(dir.path()).unwrap().is_none());
        fs::write(dir.path().join(RECORD), serde_json::to_string(&cell.record).unwrap()).unwrap();
        let message = format!("{:#}", DoneCell::read(dir.path()).unwrap_err());
        assert!(message.contains(EPOCHS) || message.contains(SUBNETS), "{message}");
        fs::write(dir.path().join(RECORD), "{\"arm\"").unwrap();
        assert!(format!("{:#}", DoneCell::read(dir.path()).unwrap_err()).contains(RECORD));
    }
}
