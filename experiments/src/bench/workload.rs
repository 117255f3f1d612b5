//! Benchmark workloads, compared between devices and with PyTorch: fixed work on random images.

#[cfg(feature = "gpu")]
use crate::bench::launches::Launches;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Distribution, Int, Tensor};
use clap::ValueEnum;
use ofa_data::ImageBatch;
use ofa_model::{Arch, SearchSpace, SupernetConfig};
use ofa_train::{Precision, Recipe, SoftTargets, StepRules, Teaching, step_gradients, teacher_logits};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use strum::Display;

/// Batches for calibration and for evaluation.
const CALIBRATION_BATCHES: usize = 4;
const EVALUATION_BATCHES: usize = 8;

/// A kind of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Work {
    /// A training step from labels: forward and backward pass of every arch, and optimizer
    TrainStep,
    /// A progressive-shrinking step: every arch learns from labels and from the largest network
    ShrinkStep,
    /// A forward pass of the first arch, extracted
    Inference,
    /// Extracts the first arch, calibrates it on 4 batches and classifies 8
    CalibrateEvaluate,
}

/// A workload with its networks and batch size.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The kind of work.
    pub work: Work,
    /// The space of the supernet.
    pub space: SearchSpace,
    /// The networks, all at one resolution.
    pub archs: Vec<Arch>,
    /// Images per batch.
    pub batch: usize,
    /// Precision of the forward and backward passes of training steps.
    pub precision: Precision,
}

impl Workload {
    /// Wall-clock milliseconds of each of `samples` repetitions on `device`, after `warm_ups` untimed ones.
    ///
    /// # Errors
    ///
    /// If the space is invalid, or the device fails.
    pub fn time(&self, device: &Device, warm_ups: usize, samples: usize) -> Result<Vec<f64>> {
        let mut work = self.prepare(device)?;
        let mut times = Vec::with_capacity(samples);
        for round in 0..warm_ups + samples {
            device.sync()?;
            let start = Instant::now();
            work();
            device.sync()?;
            if round >= warm_ups {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        Ok(times)
    }

    /// Kernels that one repetition launches on `device`, after `warm_ups` in which kernels are compiled and chosen.
    ///
    /// # Errors
    ///
    /// If the space is invalid, or the device fails.
    #[cfg(feature = "gpu")]
    pub fn launches(&self, device: &Device, warm_ups: usize) -> Result<Launches> {
        let mut work = self.prepare(device)?;
        for _ in 0..warm_ups {
            work();
        }
        device.sync()?;
        let (launches, synced) = Launches::during(|| {
            work();
            device.sync()
        });
        synced?;
        Ok(launches)
    }

    /// Multiply-accumulates per repetition. A training pass counts as three forward passes: the gradients of inputs
    /// and of weights cost one each.
    pub fn macs(&self) -> u64 {
        let of = |arch: &Arch| self.space.cost(arch).macs;
        let trained = 3 * self.archs.iter().map(of).sum::<u64>();
        let an_image = match self.work {
            Work::TrainStep => trained,
            Work::ShrinkStep => trained + of(&self.space.largest().at_resolution(self.archs[0].resolution)),
            Work::Inference => of(&self.archs[0]),
            Work::CalibrateEvaluate => (CALIBRATION_BATCHES + EVALUATION_BATCHES) as u64 * of(&self.archs[0]),
        };
        self.batch as u64 * an_image
    }

    /// A closure that does the work once per call.
    fn prepare(&self, device: &Device) -> Result<Box<dyn FnMut()>> {
        self.precision.check(device)?;
        let config = || -> Result<SupernetConfig> { Ok(SupernetConfig::new(self.space.clone())?.with_seed(1)) };
        Ok(match self.work {
            Work::TrainStep | Work::ShrinkStep => self.training(config()?, device),
            Work::Inference => {
                let subnet = config()?.init(device).subnet(&self.archs[0]);
                let images = self.images(device).images;
                Box::new(move || _ = subnet.infer(images.clone()).into_data())
            }
            Work::CalibrateEvaluate => {
                let (supernet, arch) = (config()?.init(device), self.archs[0].clone());
                let batches = |count| (0..count).map(|_| self.images(device)).collect::<Vec<_>>();
                let calibration: Vec<_> = batches(CALIBRATION_BATCHES).into_iter().map(|batch| batch.images).collect();
                let evaluation = batches(EVALUATION_BATCHES);
                Box::new(move || {
                    let subnet = supernet.subnet(&arch).calibrate(&calibration);
                    for batch in &evaluation {
                        subnet.infer(batch.images.clone()).argmax(1).into_data();
                    }
                })
            }
        })
    }

    fn training(&self, config: SupernetConfig, device: &Device) -> Box<dyn FnMut()> {
        let mut supernet = Some(config.init(&device.clone().autodiff()));
        let teacher = supernet.as_ref().map(|supernet| supernet.clone().valid());
        let teacher = teacher.filter(|_| self.work == Work::ShrinkStep);
        let mut optimizer = Recipe::default().optimizer();
        let (batch, archs, precision) = (self.images(device), self.archs.clone(), self.precision);
        Box::new(move || {
            let mut rules = StepRules { label_smoothing: 0.1, precision, ..StepRules::default() };
            if let Some(teacher) = &teacher {
                let logits = teacher_logits(teacher, batch.images.clone(), precision);
                rules.teaching = Teaching::Logits(logits, SoftTargets::default());
            }
            let before = supernet.take().expect("it is put back after every step");
            let output = step_gradients(&before, &batch, &archs, &rules);
            supernet = Some(optimizer.step(0.01, before, output.gradients));
        })
    }

    fn images(&self, device: &Device) -> ImageBatch {
        let (channels, size) = (self.space.image_channels, self.archs[0].resolution);
        let shape = [self.batch, channels, size, size];
        let images = Tensor::random(shape, Distribution::Normal(0.0, 1.0), device);
        ImageBatch::new(images, Tensor::<1, Int>::zeros([self.batch], device))
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    #[test]
    fn every_work_is_done() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        for work in Work::value_variants() {
            let archs = vec![space.smallest(), space.smallest()];
            let workload = Workload { work: *work, space: space.clone(), archs, batch: 2, precision: Precision::F32 };
            let times = workload.time(&Device::flex(), 1, 2).unwrap();
            assert_eq!(times.len(), 2, "{work}");
        }
    }

    #[test]
    fn training_costs_three_passes_and_a_teacher_one() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let [smallest, largest] = [space.smallest(), space.largest()].map(|arch| arch.at_resolution(24));
        let of = |arch: &Arch| space.cost(arch).macs;
        let (small, large, precision) = (of(&smallest), of(&largest), Precision::F32);
        let macs = |work, archs: &[&Arch]| {
            let archs = archs.iter().copied().cloned().collect();
            Workload { work, space: space.clone(), archs, batch: 2, precision }.macs()
        };
        assert_eq!(macs(Work::TrainStep, &[&largest]), 2 * 3 * large);
        assert_eq!(macs(Work::ShrinkStep, &[&smallest, &largest]), 2 * (3 * small + 3 * large + large));
        assert_eq!(macs(Work::Inference, &[&smallest]), 2 * small);
        assert_eq!(macs(Work::CalibrateEvaluate, &[&smallest]), 2 * 12 * small);
    }
}
