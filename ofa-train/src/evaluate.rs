//! Accuracy of single archs: calibrate, then measure.

mod images;
mod scores;

pub use scores::Scores;

use crate::TrainError;
use crate::step::hits;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use images::Images;
use ofa_data::transfer::read_one;
use ofa_data::{ImageSet, Normalisation};
use ofa_model::{Arch, ElasticNetwork, FixedNetwork, Quantization, QuantizedSubnet, StraightThrough, Subnet};

/// Evaluates subnets on fixed images: top-1 accuracy, which is all that accuracy tables need, or full [`Scores`].
///
/// Images are decoded once per resolution and kept as bytes, in the memory of the device, while they fit into 1 GiB per
/// image set. Resolutions that do not fit are decoded again for every arch. Memory use is bounded regardless of the
/// number of archs and images.
pub struct Evaluator {
    calibration: Images,
    evaluation: Images,
}

impl Evaluator {
    /// Calibrates on `calibration` (training images) and measures on `evaluation`, both on the plain `device`.
    ///
    /// Departure from the original: both sets are preprocessed as in evaluation, identically for every arch. The
    /// original calibrates on training views (`build_sub_train_loader`: randomly cropped, mirrored and recoloured),
    /// drawn once per resolution.
    pub fn new(
        calibration: ImageSet,
        evaluation: ImageSet,
        batch_size: usize,
        normalisation: &Normalisation,
        device: &Device,
    ) -> Self {
        let images = |set| Images::new(set, batch_size, normalisation, device);
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
    pub fn top1(&mut self, supernet: &impl ElasticNetwork, arch: &Arch) -> Result<f64, TrainError> {
        let subnet = self.calibrated(supernet, arch)?;
        self.subnet_top1(&subnet)
    }

    /// Accuracies, loss and confusion matrix of subnet `arch` after calibration.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the supernet's space, or a label is not one of the supernet's classes.
    pub fn scores(&mut self, supernet: &impl ElasticNetwork, arch: &Arch) -> Result<Scores, TrainError> {
        let subnet = self.calibrated(supernet, arch)?;
        self.subnet_scores(&subnet)
    }

    /// Extracts subnet `arch` and calibrates its batch-norm statistics.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn calibrated<N: ElasticNetwork>(&mut self, supernet: &N, arch: &Arch) -> Result<N::Subnet, TrainError> {
        self.recalibrated(supernet.view(arch).valid())
    }

    /// Measures the batch-norm statistics of `subnet` again.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn recalibrated<S: FixedNetwork>(&mut self, subnet: S) -> Result<S, TrainError> {
        let calibrated = self.on_calibration_images(subnet.arch().resolution, |images| {
            let mut images = images.peekable();
            // Calibration needs a first batch.
            images.peek().is_some().then(|| subnet.valid().calibrate(images))
        })?;
        Ok(calibrated.expect("a set without images is refused"))
    }

    /// Quantises `subnet`, at its current batch-norm statistics; ranges are calibrated on calibration images.
    ///
    /// # Errors
    ///
    /// Those of [`Subnet::quantize`], or if an image cannot be read.
    pub fn quantized(&mut self, subnet: &Subnet, settings: &Quantization) -> Result<QuantizedSubnet, TrainError> {
        Ok(self.on_calibration_images(subnet.arch().resolution, |images| subnet.quantize(images, settings))??)
    }

    /// `subnet`, at its current batch-norm statistics, to be trained as it will compute in 8-bit integers; ranges are
    /// calibrated on calibration images.
    ///
    /// # Errors
    ///
    /// Those of [`Subnet::straight_through`], or if an image cannot be read.
    pub fn straight_through(&mut self, subnet: Subnet, settings: &Quantization) -> Result<StraightThrough, TrainError> {
        let resolution = subnet.arch().resolution;
        Ok(self.on_calibration_images(resolution, |images| subnet.straight_through(images, settings))??)
    }

    /// What `measure` finds on batches of calibration images `[batch, channels, height, width]`.
    ///
    /// # Errors
    ///
    /// If an image cannot be read; what was found on those before it is dropped.
    fn on_calibration_images<T>(
        &mut self,
        resolution: usize,
        measure: impl FnOnce(&mut dyn Iterator<Item = Tensor<4>>) -> T,
    ) -> Result<T, TrainError> {
        let mut failure = None;
        let mut images = self.calibration.at(resolution)?.map_while(|batch| match batch {
            Ok(batch) => Some(batch.images),
            Err(error) => {
                failure = Some(error);
                None
            }
        });
        let found = measure(&mut images);
        drop(images);
        failure.map_or(Ok(found), |error| Err(error.into()))
    }

    /// Top-1 accuracy, between 0 and 1, of a subnet with its current batch-norm statistics.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn subnet_top1(&mut self, subnet: &impl FixedNetwork) -> Result<f64, TrainError> {
        let right = self.subnet_right(subnet)?;
        Ok(right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64)
    }

    /// For each image in order, whether a subnet with its current batch-norm statistics classifies it correctly.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub fn subnet_right(&mut self, subnet: &impl FixedNetwork) -> Result<Vec<bool>, TrainError> {
        let mut right = Vec::new();
        self.classify(subnet, |logits, labels| right.push(hits(logits, labels)))?;
        // Read once, so the device classifies all batches without waiting for the host.
        let right = if right.is_empty() { return Ok(Vec::new()) } else { Tensor::cat(right, 0) };
        Ok(read_one(right).iter::<bool>().collect())
    }

    /// Accuracies, loss and confusion matrix of a subnet with its current batch-norm statistics, in one pass over the
    /// images.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    ///
    /// # Panics
    ///
    /// If a label is not one of the subnet's classes.
    pub fn subnet_scores(&mut self, subnet: &impl FixedNetwork) -> Result<Scores, TrainError> {
        let mut scores = Scores::new(subnet.space().classes);
        self.classify(subnet, |logits, labels| scores.add(logits, labels))?;
        Ok(scores)
    }

    /// Calls `judge` with the logits `[batch, classes]` and labels `[batch]` of every evaluation batch.
    fn classify(
        &mut self,
        subnet: &impl FixedNetwork,
        mut judge: impl FnMut(Tensor<2>, Tensor<1, Int>),
    ) -> Result<(), TrainError> {
        for batch in self.evaluation.at(subnet.arch().resolution)? {
            let batch = batch?;
            judge(subnet.infer(batch.images), batch.labels);
        }
        Ok(())
    }

    /// Number of images that accuracies are measured on.
    pub fn evaluation_images(&self) -> usize {
        self.evaluation.len()
    }

    /// Number of images that batch-norm statistics are measured on.
    pub fn calibration_images(&self) -> usize {
        self.calibration.len()
    }
}
