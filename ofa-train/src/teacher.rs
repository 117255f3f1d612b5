//! [`Teacher`]: a network that no longer changes and whose opinion subnets learn.

use crate::{Evaluator, Precision, TeacherStatistics, TrainError};
use burn::tensor::Tensor;
use ofa_model::{Arch, SearchSpace, Statistics, Subnet, Supernet, in_pool};
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
        precision: Precision,
        evaluator: &mut Evaluator,
    ) -> Result<Tensor<2>, TrainError> {
        match statistics {
            TeacherStatistics::Batch => Ok(teacher_logits(&self.supernet, images, precision)),
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
pub fn teacher_logits(teacher: &Supernet, images: Tensor<4>, precision: Precision) -> Tensor<2> {
    let arch = largest(teacher, &images);
    in_pool(|| {
        precision.pass(teacher, images, |teacher, images| teacher.forward(images, &arch, &mut Statistics::Batch))
    })
}

fn largest(supernet: &Supernet, images: &Tensor<4>) -> Arch {
    let [_, _, resolution, _] = images.dims();
    supernet.space().largest().at_resolution(resolution)
}

/// Makes sure that a teacher of space `teacher` can judge the images of `learner` at `resolutions`.
///
/// # Errors
///
/// [`TrainError::UnfitTeacher`] says what it lacks.
pub(crate) fn check_teacher(
    teacher: &SearchSpace,
    learner: &SearchSpace,
    resolutions: &[usize],
) -> Result<(), TrainError> {
    let counts = [
        ("classes", teacher.classes, learner.classes),
        ("image channels", teacher.image_channels, learner.image_channels),
    ];
    let differing = counts.into_iter().find(|(_, theirs, ours)| theirs != ours);
    let missing = resolutions.iter().find(|resolution| !teacher.resolutions.contains(resolution));
    let problem = match (differing, missing) {
        (Some((what, theirs, ours)), _) => format!("has {theirs} {what}, what it teaches has {ours}"),
        (None, Some(missing)) => format!("has no resolution {missing}, its own are {:?}", teacher.resolutions),
        (None, None) => return Ok(()),
    };
    Err(TrainError::UnfitTeacher { space: teacher.name.clone(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_teacher_that_cannot_judge_the_images_is_named_with_what_it_lacks() {
        let learner = SearchSpace::small_mobilenet_v3(1, 10);
        let check = |teacher: &SearchSpace| check_teacher(teacher, &learner, &learner.resolutions);
        // Another network of the same images is one, whatever else it offers.
        let other = SearchSpace { resolutions: vec![16, 20, 24, 28], ..SearchSpace::mobilenet_v3_at_28(0.5, 1, 10) };
        check(&other).unwrap();
        let cases = [
            (SearchSpace::small_mobilenet_v3(1, 5), "has 5 classes, what it teaches has 10"),
            (SearchSpace::small_mobilenet_v3(3, 10), "has 3 image channels, what it teaches has 1"),
            (SearchSpace { resolutions: vec![20, 28], ..other }, "has no resolution 24, its own are [20, 28]"),
        ];
        for (teacher, expected) in cases {
            let message = check(&teacher).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains(&teacher.name), "{message}");
        }
    }
}
