//! Accuracy of one arch: calibrated, then measured.

use crate::TrainError;
use crate::step::correct;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ofa_data::{DataError, ImageBatch, ImageSet, Normalisation, evaluation_batches};
use ofa_model::{Arch, Subnet, Supernet};
use std::collections::HashMap;

/// Bytes of the images of one set that are kept for the next arch.
const KEPT: usize = 1 << 30;

/// Measures top-1 accuracies of subnets on fixed images.
///
/// Batches are decoded once a resolution and reused for every arch as far as they fit into a gibibyte a set; what does not
/// fit is decoded again for every arch. Memory does not grow with the number of archs or of images.
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
    kept: HashMap<usize, Vec<ImageBatch>>,
    /// Bytes that may still be kept.
    room: usize,
}

/// Batches from memory or from a loader.
type Batches<'a> = Box<dyn Iterator<Item = Result<ImageBatch, DataError>> + 'a>;

impl Images {
    fn at(&mut self, resolution: usize) -> Result<Batches<'_>, TrainError> {
        let bytes = self.set.len() * self.set.channels() * resolution * resolution * size_of::<f32>();
        if !self.kept.contains_key(&resolution) && bytes <= self.room {
            let batches = self.loaded(resolution)?.collect::<Result<_, _>>()?;
            self.kept.insert(resolution, batches);
            self.room -= bytes;
        }
        match self.kept.get(&resolution) {
            Some(batches) => Ok(Box::new(batches.iter().cloned().map(Ok))),
            None => self.loaded(resolution),
        }
    }

    fn loaded(&self, resolution: usize) -> Result<Batches<'static>, TrainError> {
        let Self { set, batch_size, normalisation, device, .. } = self;
        Ok(Box::new(evaluation_batches(set, resolution, *batch_size, normalisation, device)?))
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
            kept: HashMap::new(),
            room: KEPT,
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
        let mut failure = None;
        let images = self.calibration.at(subnet.arch().resolution)?.map_while(|batch| match batch {
            Ok(batch) => Some(batch.images),
            Err(error) => {
                failure = Some(error);
                None
            }
        });
        let mut images = images.peekable();
        // Without a first batch there is nothing to calibrate on, but there is a reason.
        let calibrated = images.peek().is_some().then(|| subnet.valid().calibrate(images));
        match (failure, calibrated) {
            (None, Some(calibrated)) => Ok(calibrated),
            (Some(error), _) => Err(error.into()),
            (None, None) => unreachable!("a set without images is refused"),
        }
    }

    /// Top-1 accuracy, between 0 and 1, of a subnet with the statistics it has.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn subnet_top1(&mut self, subnet: &Subnet) -> Result<f64, TrainError> {
        let mut right = 0;
        let mut images = 0;
        for batch in self.evaluation.at(subnet.arch().resolution)? {
            let batch = batch?;
            images += batch.size();
            let logits: Tensor<2> = subnet.infer(batch.images);
            right += correct(logits, batch.labels);
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
