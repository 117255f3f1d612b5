//! A cell: one arm trained once with one seed and measured.

use super::budget::{Budget, trained_macs};
use super::config::{AblationConfig, Arm};
use super::reported::{corner_name, corners};
use crate::config::ExperimentConfig;
use crate::images::Images;
use crate::report::Machine;
use crate::run_dir::RunDir;
use crate::supernet_file::{self, CHECKPOINTS, SUPERNET};
use crate::{device, environment, records, training};
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use ofa_model::{Arch, Supernet};
use ofa_train::{EpochRecord, Evaluator, OneRank, Sampler, weights_sha256};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Written last: a cell that has it is complete.
const RECORD: &str = "cell.json";
const SUBNETS: &str = "subnets.csv";

/// What makes a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'a> {
    pub(super) arm: &'a Arm,
    pub(super) seed: u64,
    /// Factor on the learning rates of the arm.
    pub(super) factor: f64,
    /// Whether it only helps to choose the factor; it then never sees a test image.
    pub(super) selects: bool,
}

/// Of one trained cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellRecord {
    /// Name of the arm.
    pub arm: String,
    /// Its seed.
    pub seed: u64,
    /// Factor on the learning rates of the arm.
    pub factor: f64,
    /// What the code computes, see `identity.json`.
    pub code: String,
    /// SHA-256 of the trained weights.
    pub weights: String,
    /// What its own training cost, without that of the arms it begins with.
    pub budget: Budget,
    /// Wall time of training and of measuring.
    pub seconds: [f64; 2],
    /// What it ran on.
    pub machine: Machine,
}

/// Accuracy of one subnet of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetRow {
    /// Name of a corner; empty for a random subnet.
    pub corner: String,
    /// The arch.
    pub arch: String,
    /// Its MACs.
    pub macs: u64,
    /// Top-1 accuracy, between 0 and 1, calibrated, on validation images; corners only.
    pub validation_top1: Option<f64>,
    /// The same on test images; in cells that choose a learning rate there is none.
    pub test_top1: Option<f64>,
    /// The same on test images without calibration of its own, by the statistics of the largest subnet that the arm trains;
    /// corners only.
    pub uncalibrated_top1: Option<f64>,
    /// Of a corner, the test images it classifies correctly: a bit each, four a hexadecimal digit, first image first.
    pub right: String,
}

/// A complete cell.
#[derive(Clone, Debug)]
pub struct DoneCell {
    /// How it was made.
    pub record: CellRecord,
    /// What it reached.
    pub subnets: Vec<SubnetRow>,
    /// How it got there.
    pub epochs: Vec<EpochRecord>,
}

impl Cell<'_> {
    /// Its directory in that of the ablation.
    pub(super) fn path(&self, root: &Path) -> PathBuf {
        let name = if self.selects { format!("select-{}", self.factor) } else { format!("seed-{}", self.seed) };
        root.join("cells").join(&self.arm.name).join(name)
    }

    /// The complete cell; `None` if it is not complete.
    pub(super) fn read(&self, root: &Path) -> Result<Option<DoneCell>> {
        let path = self.path(root);
        let record = path.join(RECORD);
        let text = match fs::read_to_string(&record) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| record.display().to_string()),
        };
        let record: CellRecord = serde_json::from_str(&text).with_context(|| record.display().to_string())?;
        Ok(Some(DoneCell {
            record,
            subnets: csv_rows(&path.join(SUBNETS))?,
            epochs: csv_rows(&path.join("metrics.csv"))?,
        }))
    }

    /// Whether it is complete.
    pub(super) fn is_done(&self, root: &Path) -> bool {
        self.path(root).join(RECORD).exists()
    }

    /// Whether later arms can begin with its weights.
    pub(super) fn has_supernet(&self, root: &Path) -> bool {
        Supernet::is_saved_in(&self.path(root).join(SUPERNET))
    }

    /// The configuration of the ordinary run that this cell is; earlier arms are read from where `cell_of` says.
    fn config(&self, ablation: &AblationConfig, supernet_of: impl Fn(&str) -> PathBuf) -> ExperimentConfig {
        let mut config = ablation.base.clone();
        config.seed = self.seed;
        config.training.start = self.arm.start.as_deref().map(&supernet_of);
        config.training.teacher = self.arm.teacher.as_deref().map(&supernet_of);
        config.training.schedule = self.arm.schedule.clone();
        for stage in &mut config.training.schedule.stages {
            stage.learning_rate *= self.factor;
        }
        config
    }

    /// Trains and measures the cell, or goes on where an attempt that was stopped ended. A complete cell is made again, as
    /// records may be kept without weights.
    ///
    /// # Errors
    ///
    /// Those of training, or if a complete cell has other weights than before.
    pub(super) fn run(
        &self,
        ablation: &AblationConfig,
        root: &Path,
        code: &str,
        cell_of: impl Fn(&str) -> PathBuf,
        stop: &Arc<AtomicBool>,
    ) -> Result<()> {
        let config = self.config(ablation, |arm| cell_of(arm).join(SUPERNET));
        let path = self.path(root);
        let dir = match RunDir::open(&path) {
            Ok((dir, _)) => dir,
            Err(_) => RunDir::create(&path, &config.to_toml()?)?,
        };
        let device = device::by_name(&config.device)?;
        let images = Images::load(&config, None)?;
        records::same_images(&dir, &images)?;
        let mut validation = images.validation(&config, &device);
        let trained = training::train(&config, &images, &mut validation, &device, &dir, &OneRank, stop)?;
        let supernet = trained.supernet.valid();
        let weights = weights_sha256(&supernet);
        if let Some(before) = self.read(root)? {
            ensure!(
                before.record.weights == weights,
                "{} ends with weights {weights}, its record has {}: it was made by other code",
                path.display(),
                before.record.weights
            );
        }

        let started = std::time::Instant::now();
        let subnets = self.measure(ablation, &supernet, &config, &images, &mut validation, &device)?;
        dir.write_csv(SUBNETS, &subnets)?;
        if ablation.arms.iter().any(|arm| [&arm.start, &arm.teacher].contains(&&Some(self.arm.name.clone()))) {
            supernet_file::write(&supernet, &dir)?;
        }
        let record = CellRecord {
            arm: self.arm.name.clone(),
            seed: self.seed,
            factor: self.factor,
            code: code.to_owned(),
            weights,
            budget: self.spent(&trained.epochs, &config),
            seconds: [trained.epochs.iter().map(|epoch| epoch.seconds).sum(), started.elapsed().as_secs_f64()],
            machine: environment::machine(&config.device),
        };
        dir.write_json(RECORD, &record)?;
        // What resuming takes is no longer needed.
        fs::remove_dir_all(dir.path(CHECKPOINTS)).with_context(|| format!("{}", dir.path(CHECKPOINTS).display()))
    }

    /// What the training has cost, by its records.
    fn spent(&self, epochs: &[EpochRecord], config: &ExperimentConfig) -> Budget {
        let epoch = |record: &EpochRecord| {
            let stage = self.arm.schedule.stages.iter().find(|stage| stage.name == record.stage);
            stage.map_or_else(Budget::default, |stage| Budget {
                subnet_epochs: stage.subnets_per_step as f64,
                macs: trained_macs(record.images, record.mean_macs, stage, &config.space),
            })
        };
        epochs.iter().map(epoch).sum()
    }

    fn measure(
        &self,
        ablation: &AblationConfig,
        supernet: &Supernet,
        config: &ExperimentConfig,
        images: &Images,
        validation: &mut Evaluator,
        device: &Device,
    ) -> Result<Vec<SubnetRow>> {
        let space = &config.space;
        let row = |corner: String, arch: &Arch| SubnetRow {
            corner,
            arch: arch.to_string(),
            macs: space.cost(arch).macs,
            validation_top1: None,
            test_top1: None,
            uncalibrated_top1: None,
            right: String::new(),
        };
        let mut test = images.test(config, device);
        let mut rows = Vec::new();
        let corners: Vec<Arch> = corners(space).into_iter().filter(|arch| self.trains(arch, config)).collect();
        let largest = corners.last().map(|arch| validation.calibrated(supernet, arch)).transpose()?;
        for arch in &corners {
            let subnet = validation.calibrated(supernet, arch)?;
            let mut found = row(corner_name(arch), arch);
            found.validation_top1 = Some(validation.subnet_top1(&subnet)?);
            if !self.selects {
                let right = test.subnet_right(&subnet)?;
                found.test_top1 = Some(right.iter().filter(|right| **right).count() as f64 / right.len() as f64);
                found.right = hexadecimal(&right);
                let uncalibrated = largest.as_ref().map(|largest| supernet.subnet(arch).with_statistics_of(largest));
                found.uncalibrated_top1 = uncalibrated.map(|subnet| test.subnet_top1(&subnet)).transpose()?;
            }
            rows.push(found);
        }
        if self.selects {
            return Ok(rows);
        }
        let some = images.splits.test.subset(ablation.reported.random_images, ablation.reported.random_seed);
        let mut test = images.evaluator(some, config, device);
        for arch in ablation.reported.random(space).iter().filter(|arch| self.trains(arch, config)) {
            rows.push(SubnetRow { test_top1: Some(test.top1(supernet, arch)?), ..row(String::new(), arch) });
        }
        Ok(rows)
    }

    /// Whether the last stage of the arm trains this subnet: of others there is nothing to report.
    fn trains(&self, arch: &Arch, config: &ExperimentConfig) -> bool {
        let last = self.arm.schedule.stages.last();
        last.is_some_and(|stage| match &stage.sampler {
            Sampler::Fixed(archs) => archs.iter().any(|fixed| fixed.at_resolution(arch.resolution) == *arch),
            _ => stage.opened.of(&config.space).check(arch).is_ok(),
        })
    }
}

fn csv_rows<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let rows = csv::Reader::from_path(path).and_then(|reader| reader.into_deserialize().collect());
    rows.with_context(|| path.display().to_string())
}

/// Bits as hexadecimal digits, the first bit of four the greatest; a last digit is filled with 0.
pub(super) fn hexadecimal(bits: &[bool]) -> String {
    let digit = |four: &[bool]| {
        let value = (0..4).fold(0, |value, i| 2 * value + u32::from(four.get(i).copied().unwrap_or(false)));
        char::from_digit(value, 16).unwrap_or('0')
    };
    bits.chunks(4).map(digit).collect()
}

impl SubnetRow {
    /// Of a corner, for each test image whether it is classified correctly.
    pub fn right(&self) -> Vec<bool> {
        let digits = self.right.chars().map(|digit| digit.to_digit(16).unwrap_or(0));
        let mut bits: Vec<bool> = digits.flat_map(|value| [8, 4, 2, 1].map(|bit| value & bit != 0)).collect();
        let ones = bits.iter().filter(|bit| **bit).count() as f64;
        // The last digit may be filled up; the accuracy tells how many images there were.
        if let Some(top1) = self.test_top1.filter(|top1| *top1 > 0.0) {
            bits.truncate((ones / top1).round() as usize);
        }
        bits
    }
}

impl DoneCell {
    /// Names of the corners it reports.
    pub(super) fn corner_names(&self) -> impl Iterator<Item = &str> {
        self.subnets.iter().map(|row| row.corner.as_str()).filter(|name| !name.is_empty())
    }

    /// The row of a corner.
    pub(super) fn corner(&self, name: &str) -> Option<&SubnetRow> {
        self.subnets.iter().find(|row| row.corner == name)
    }

    /// Test accuracy of a corner; not a number if it is not reported.
    pub(super) fn test_top1(&self, corner: &str) -> f64 {
        self.corner(corner).and_then(|row| row.test_top1).unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_survive_as_digits() {
        for images in [1, 3, 4, 9, 100] {
            let bits: Vec<bool> = (0..images).map(|i| i % 3 == 0 || i % 7 == 2).collect();
            let top1 = bits.iter().filter(|bit| **bit).count() as f64 / images as f64;
            let row = SubnetRow {
                corner: String::new(),
                arch: String::new(),
                macs: 0,
                validation_top1: None,
                test_top1: Some(top1),
                uncalibrated_top1: None,
                right: hexadecimal(&bits),
            };
            assert_eq!(row.right(), bits);
        }
        assert_eq!(hexadecimal(&[true, false, false, true, true]), "98");
    }
}
