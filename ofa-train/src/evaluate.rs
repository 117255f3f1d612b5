//! Accuracy of one arch: calibrated, then measured.

use crate::TrainError;
use crate::step::correct;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ofa_data::{ImageBatch, ImageSet, Normalisation, evaluation_batches};
use ofa_model::{Arch, Subnet, Supernet};
use std::collections::HashMap;

/// Measures top-1 accuracies of subnets on fixed images.
///
/// Batches are decoded once a resolution and reused for every arch, so that memory does not grow with their number.
pub struct Evaluator {
    calibration: Images,
    evaluation: Images,
}

/// Images of one set at every resolution asked for so far.
struct Images {
    set: ImageSet,
    batch_size: usize,
    normalisation: Normalisation,
    device: Device,
    batches: HashMap<usize, Vec<ImageBatch>>,
}

impl Images {
    fn at(&mut self, resolution: usize) -> Result<&[ImageBatch], TrainError> {
        if !self.batches.contains_key(&resolution) {
            let Self { set, batch_size, normalisation, device, .. } = self;
            let batches = evaluation_batches(set, resolution, *batch_size, normalisation, device)?;
            self.batches.insert(resolution, batches);
        }
        Ok(&self.batches[&resolution])
    }
}

impl Evaluator {
    /// Calibrates on `calibration` (training images), measures on `evaluation`; both on the plain `device`.
    pub fn new(
        calibration: ImageSet,
        evaluation: ImageSet,
        batch_size: usize,
        normalisation: &Normalisation,
        device: &Device,
    ) -> Self {
        let images = |set| Images {
            set,
            batch_size,
            normalisation: normalisation.clone(),
            device: device.clone(),
            batches: HashMap::new(),
        };
        Self { calibration: images(calibration), evaluation: images(evaluation) }
    }

    /// Top-1 accuracy, between 0 and 1, of subnet `arch` after calibration.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the supernet's space.
    pub fn top1(&mut self, supernet: &Supernet, arch: &Arch) -> Result<f64, TrainError> {
        let subnet = self.calibrated(supernet, arch)?;
        self.subnet_top1(&subnet)
    }

    /// Subnet `arch` with batch-norm statistics of its own.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn calibrated(&mut self, supernet: &Supernet, arch: &Arch) -> Result<Subnet, TrainError> {
        self.recalibrated(supernet.subnet(arch))
    }

    /// `subnet` with its batch-norm statistics measured anew.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn recalibrated(&mut self, subnet: Subnet) -> Result<Subnet, TrainError> {
        let batches = self.calibration.at(subnet.arch().resolution)?;
        Ok(subnet.valid().calibrate(batches.iter().map(|batch| &batch.images)))
    }

    /// Top-1 accuracy, between 0 and 1, of a subnet with the statistics it has.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn subnet_top1(&mut self, subnet: &Subnet) -> Result<f64, TrainError> {
        let batches = self.evaluation.at(subnet.arch().resolution)?;
        let mut right = 0;
        let mut images = 0;
        for ImageBatch { images: batch, labels } in batches {
            let logits: Tensor<2> = subnet.infer(batch.clone());
            right += correct(logits, labels.clone());
            images += batch.dims()[0];
        }
        Ok(right as f64 / images.max(1) as f64)
    }

    /// Number of images an accuracy is measured on.
    pub fn evaluation_images(&self) -> usize {
        self.evaluation.set.len()
    }

    /// Number of images statistics are measured on.
    pub fn calibration_images(&self) -> usize {
        self.calibration.set.len()
    }
}
