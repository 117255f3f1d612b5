//! [`Teacher`]: a network that no longer changes and whose opinion subnets learn.

use crate::{Evaluator, TeacherStatistics, TrainError};
use burn::tensor::Tensor;
use ofa_model::{Arch, Statistics, Subnet, Supernet};
use std::collections::HashMap;

/// The largest network of a supernet at the end of a stage, on the plain device.
pub(crate) struct Teacher {
    pub(crate) supernet: Supernet,
    /// Whether it was trained by the schedule that it teaches in, and must be part of checkpoints.
    pub(crate) is_own: bool,
    /// By resolution; a function of weights and calibration images, so that a resumed run finds the same.
    calibrated: HashMap<usize, Subnet>,
}

impl Teacher {
    /// The network of an earlier stage.
    pub(crate) fn own(supernet: Supernet) -> Self {
        Self { supernet, is_own: true, calibrated: HashMap::new() }
    }

    /// A network from elsewhere.
    pub(crate) fn given(supernet: Supernet) -> Self {
        Self { is_own: false, ..Self::own(supernet) }
    }

    /// Logits `[batch, classes]` for `images` on the plain device, at their resolution.
    pub(crate) fn logits(
        &mut self,
        images: Tensor<4>,
        statistics: TeacherStatistics,
        evaluator: &mut Evaluator,
    ) -> Result<Tensor<2>, TrainError> {
        match statistics {
            TeacherStatistics::Batch => Ok(teacher_logits(&self.supernet, images)),
            TeacherStatistics::Calibrated => {
                let arch = largest(&self.supernet, &images);
                if !self.calibrated.contains_key(&arch.resolution) {
                    let subnet = evaluator.calibrated(&self.supernet, &arch)?;
                    self.calibrated.insert(arch.resolution, subnet);
                }
                Ok(self.calibrated[&arch.resolution].infer(images))
            }
        }
    }
}

/// Logits `[batch, classes]` of the largest subnet of `teacher` for `images`, at their resolution and with the statistics of
/// the batch, as in the original; both are on the plain device.
pub fn teacher_logits(teacher: &Supernet, images: Tensor<4>) -> Tensor<2> {
    let arch = largest(teacher, &images);
    teacher.forward(images, &arch, &mut Statistics::Batch)
}

fn largest(supernet: &Supernet, images: &Tensor<4>) -> Arch {
    let [_, _, resolution, _] = images.dims();
    supernet.space().largest().at_resolution(resolution)
}
