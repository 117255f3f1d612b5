//! Extracts, fine-tunes, measures and saves the chosen subnets.

use super::fine_tuned::fine_tuned;
use super::scenarios::Answer;
use crate::config::ExperimentConfig;
use crate::console::heartbeat;
use crate::console::interrupt;
use crate::console::say;
use crate::machine::latency_device::LatencyDevice;
use crate::run::images::Images;
use crate::run::run_dir::{RunDir, make_dir};
use crate::run::supernet_file;
use crate::tables::latency::whole_networks;
use anyhow::Result;
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace, SubnetCard, Supernet};
use ofa_search::LatencyHeader;
use ofa_search::timing::Timing;
use ofa_train::Evaluator;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A chosen subnet, extracted and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Name of the scenario.
    pub scenario: String,
    /// Strategy that found it.
    pub strategy: String,
    /// The arch as text.
    pub arch: String,
    /// Parameters.
    pub parameters: u64,
    /// MACs.
    pub macs: u64,
    /// Top-1 by the predictor, 0 to 1.
    pub predicted_top1: f64,
    /// Top-1 on validation images after calibration, 0 to 1.
    pub validation_top1: f64,
    /// Top-1 on test images after calibration, 0 to 1.
    pub test_top1: f64,
    /// Top-1 on test images after fine-tuning and calibration; `None` if it was not fine-tuned.
    pub fine_tuned_test_top1: Option<f64>,
    /// Top-1 on test images of the saved network in 8-bit integers; `None` if the configuration has no settings for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8_test_top1: Option<f64>,
    /// Latency by table, in milliseconds.
    pub predicted_ms: f64,
    /// Median latency of the whole network, corrected to the pace of the table.
    pub measured_ms: f64,
    /// Raw median latency, uncorrected; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopwatch_ms: Option<f64>,
    /// Raw median latency in onnxruntime, where it was at hand and the latency table is of another device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnxruntime_ms: Option<f64>,
}

impl Chosen {
    /// Name of the file that holds it, in the directory of a subnet.
    pub const FILE: &str = "metrics.json";
}

/// The largest or the smallest subnet on the test set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extreme {
    /// `largest` or `smallest`.
    pub label: String,
    /// The arch as text.
    pub arch: String,
    /// MACs.
    pub macs: u64,
    /// Parameters.
    pub parameters: u64,
    /// Top-1 on test images after calibration, 0 to 1.
    pub test_top1: f64,
}

/// What specialisation needs of a run.
pub struct Specialiser<'a> {
    /// Configuration of the run.
    pub config: &'a ExperimentConfig,
    /// Images of the run.
    pub images: &'a Images,
    /// The trained supernet, on `device`.
    pub supernet: &'a Supernet,
    /// The full network that taught it; `None` if it had no teacher.
    pub teacher: Option<&'a Supernet>,
    /// The device, without autodiff.
    pub device: &'a Device,
    /// What the latency table was measured on.
    pub latency_device: &'a LatencyDevice,
    /// onnxruntime, in which they are timed as well.
    pub onnxruntime: Option<&'a LatencyDevice>,
    /// Run directory; subnets go to `subnets/` in it.
    pub dir: &'a RunDir,
    /// Set to stop the run before the next subnet.
    pub stop: &'a AtomicBool,
}

impl Specialiser<'_> {
    /// Extracts, measures and saves the best answer of every scenario. Latencies are corrected to the pace of the
    /// latency table with the header `table`.
    ///
    /// # Errors
    ///
    /// If an image cannot be read, a file cannot be written, or a stop was requested.
    pub fn run(
        &self,
        answers: &[Answer],
        table: &LatencyHeader,
        validation: &mut Evaluator,
        test: &mut Evaluator,
    ) -> Result<Vec<Chosen>> {
        let best = best_by_scenario(answers);
        let archs = best.iter().map(|answer| answer.arch.parse()).collect::<Result<Vec<Arch>, _>>()?;
        let settings = &self.config.tables.latency;
        let mut pacemaker = self.latency_device.pacemaker(self.supernet, table)?;
        let timings = whole_networks(settings, self.supernet, &archs, self.latency_device, pacemaker.as_mut())?;
        let beside = self.in_onnxruntime(&archs)?;
        let mut chosen = Vec::new();
        for (((answer, arch), timing), beside) in best.into_iter().zip(&archs).zip(timings).zip(beside) {
            interrupt::check(self.stop)?;
            chosen.push(self.one(answer, arch, (&timing, beside), validation, test)?);
        }
        Ok(chosen)
    }

    /// Latencies in onnxruntime; `None` without it.
    fn in_onnxruntime(&self, archs: &[Arch]) -> Result<Vec<Option<f64>>> {
        let Some(onnxruntime) = self.onnxruntime else { return Ok(vec![None; archs.len()]) };
        let timings = whole_networks(&self.config.tables.latency, self.supernet, archs, onnxruntime, None)?;
        Ok(timings.iter().map(|timing| Some(timing.measured.median_ms)).collect())
    }

    /// Saves and measures the subnet of one answer. Fine-tuning takes minutes, so a subnet that an earlier attempt of
    /// this run finished is reused.
    fn one(
        &self,
        answer: &Answer,
        arch: &Arch,
        (timing, onnxruntime_ms): (&Timing, Option<f64>),
        validation: &mut Evaluator,
        test: &mut Evaluator,
    ) -> Result<Chosen> {
        let name = format!("subnets/{}", answer.scenario);
        let quality = match self.finished(&name, answer) {
            Some(quality) => quality,
            None => self.make(&name, arch, validation, test)?,
        };
        let chosen = Chosen {
            scenario: answer.scenario.clone(),
            strategy: answer.strategy.clone(),
            arch: answer.arch.clone(),
            parameters: quality.parameters,
            macs: answer.macs,
            predicted_top1: answer.predicted_top1,
            validation_top1: quality.validation_top1,
            test_top1: quality.test_top1,
            fine_tuned_test_top1: quality.fine_tuned_test_top1,
            int8_test_top1: quality.int8_test_top1,
            predicted_ms: answer.predicted_ms,
            measured_ms: timing.at_usual_pace.median_ms,
            stopwatch_ms: Some(timing.measured.median_ms),
            onnxruntime_ms,
        };
        // Written last: a directory with this file is complete.
        self.dir.write_json(&format!("{name}/{}", Chosen::FILE), &chosen)?;
        Ok(chosen)
    }

    /// Measurements of this answer's subnet from an earlier attempt, if its directory is complete and of the same arch.
    fn finished(&self, name: &str, answer: &Answer) -> Option<Quality> {
        let text = std::fs::read_to_string(self.dir.path(name).join(Chosen::FILE)).ok()?;
        let earlier: Chosen = serde_json::from_str(&text).ok()?;
        (earlier.arch == answer.arch).then_some(Quality {
            parameters: earlier.parameters,
            validation_top1: earlier.validation_top1,
            test_top1: earlier.test_top1,
            fine_tuned_test_top1: earlier.fine_tuned_test_top1,
            int8_test_top1: earlier.int8_test_top1,
        })
    }

    /// Extracts, measures, fine-tunes and saves a subnet.
    fn make(&self, name: &str, arch: &Arch, validation: &mut Evaluator, test: &mut Evaluator) -> Result<Quality> {
        heartbeat::at(|| name.to_owned());
        let Self { config, .. } = self;
        let mut subnet = validation.calibrated(self.supernet, arch)?;
        let mut quality = Quality {
            parameters: subnet.num_trainable() as u64,
            validation_top1: validation.subnet_top1(&subnet)?,
            test_top1: test.subnet_top1(&subnet)?,
            fine_tuned_test_top1: None,
            int8_test_top1: None,
        };
        if config.fine_tune.epochs > 0 {
            heartbeat::at(|| format!("{name}, fine-tuning"));
            subnet = fine_tuned(config, self.images, subnet, self.teacher, validation, self.device)?;
            quality.fine_tuned_test_top1 = Some(test.subnet_top1(&subnet)?);
        }
        if let Some(settings) = &config.tables.int8 {
            let quantised = validation.quantized(&subnet, settings)?;
            quality.int8_test_top1 = Some(test.subnet_top1(&quantised)?);
        }
        // There may be another arch, or an attempt that was interrupted.
        subnet.save_over(&card(self.images, &config.space, arch), &self.dir.path(name))?;
        Ok(quality)
    }

    /// The largest and the smallest subnet on the test set.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn extremes(&self, test: &mut Evaluator) -> Result<Vec<Extreme>> {
        let space = &self.config.space;
        let mut measure = |label: &str, arch: Arch| -> Result<Extreme> {
            let cost = space.cost(&arch);
            Ok(Extreme {
                label: label.to_owned(),
                arch: arch.to_string(),
                macs: cost.macs,
                parameters: cost.parameters,
                test_top1: test.top1(self.supernet, &arch)?,
            })
        };
        Ok(vec![measure("largest", space.largest())?, measure("smallest", space.smallest())?])
    }
}

/// Measurements of a saved subnet that are not repeated.
struct Quality {
    parameters: u64,
    validation_top1: f64,
    test_top1: f64,
    fine_tuned_test_top1: Option<f64>,
    int8_test_top1: Option<f64>,
}

/// Exports subnets of the trained supernet of `run` into named subdirectories of `root`, each with batch-norm
/// statistics calibrated on the run's images.
///
/// # Errors
///
/// If the run has no supernet, an image cannot be read, or a directory cannot be written.
pub fn export_calibrated(run: &Path, archs: &[(&str, &Arch)], root: &Path, device: &Device) -> Result<()> {
    let opened = supernet_file::open(run, device)?;
    let (config, supernet) = (opened.configuration(None)?, opened.supernet);
    let images = Images::load(&config, None)?;
    let mut validation = images.validation(&config, device);
    make_dir(root)?;
    for (name, arch) in archs {
        let subnet = validation.calibrated(&supernet, arch)?;
        subnet.save(&card(&images, &config.space, arch), &root.join(name))?;
    }
    say(&format!("{} subnets in {}", archs.len(), root.display()));
    Ok(())
}

/// The card saved with the weights of a subnet trained on `images`.
pub fn card(images: &Images, space: &SearchSpace, arch: &Arch) -> SubnetCard {
    let splits = &images.splits;
    SubnetCard {
        arch: arch.to_string(),
        space: space.clone(),
        classes: splits.classes.clone(),
        mean: splits.mean.clone(),
        std: splits.std.clone(),
    }
}

/// The answer with the highest predicted accuracy in each scenario. Looked-up answers count only where there is no
/// other, though the report shows them: their accuracies are measured, and the maximum of many noisy measurements is
/// biased upwards.
fn best_by_scenario(answers: &[Answer]) -> Vec<&Answer> {
    let rank = |answer: &Answer| (!answer.looked_up, answer.predicted_top1);
    let mut best: Vec<&Answer> = Vec::new();
    for answer in answers {
        match best.iter_mut().find(|found| found.scenario == answer.scenario) {
            Some(found) if rank(answer) > rank(found) => *found = answer,
            Some(_) => (),
            None => best.push(answer),
        }
    }
    best
}
