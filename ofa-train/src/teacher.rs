//! [`Teacher`]: a frozen network whose logits subnets learn from.

use crate::{Evaluator, Precision, TeacherStatistics, TrainError};
use burn::tensor::Tensor;
use ofa_model::{Arch, ElasticNetwork, FixedNetwork, SearchSpace, Statistics, in_pool};
use std::collections::HashMap;

/// The largest network of a supernet, frozen, on the plain device.
pub(crate) struct Teacher<N: ElasticNetwork> {
    pub(crate) supernet: N,
    /// Whether it was trained by the schedule it teaches in, so checkpoints must include it.
    pub(crate) is_own: bool,
    /// Calibrated subnets by resolution. A function of weights and calibration images, so a resumed run computes the
    /// same.
    calibrated: HashMap<usize, N::Subnet>,
}

impl<N: ElasticNetwork> Teacher<N> {
    /// A teacher from an earlier phase.
    pub(crate) fn own(supernet: N) -> Self {
        Self { supernet, is_own: true, calibrated: HashMap::new() }
    }

    /// An external teacher.
    pub(crate) fn given(supernet: N) -> Self {
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

/// Logits of the largest subnet of `teacher` at the resolution of `images`, with batch statistics as in the original.
/// Both arguments and the result are on the plain device.
///
/// # Shapes
///
/// - images: `[batch, channels, resolution, resolution]`
/// - output: `[batch, classes]`
pub fn teacher_logits(teacher: &impl ElasticNetwork, images: Tensor<4>, precision: Precision) -> Tensor<2> {
    let arch = largest(teacher, &images);
    in_pool(|| {
        let rounded = precision.rounded(teacher);
        precision.pass(rounded.as_ref().unwrap_or(teacher), images, |teacher, images| {
            teacher.view(&arch).forward_with(images, &mut Statistics::Batch, |features| features)
        })
    })
}

fn largest(supernet: &impl ElasticNetwork, images: &Tensor<4>) -> Arch {
    let [_, _, resolution, _] = images.dims();
    supernet.space().largest().at_resolution(resolution)
}

/// Checks that a teacher of space `teacher` can teach `learner` on images at `resolutions`.
///
/// # Errors
///
/// [`TrainError::UnfitTeacher`] says what does not fit.
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
        (Some((what, theirs, ours)), _) => format!("has {theirs} {what}, the learner has {ours}"),
        (None, Some(missing)) => format!("lacks resolution {missing} (it has {:?})", teacher.resolutions),
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
        // Any space with the same classes, channels and resolutions fits.
        let other = SearchSpace { resolutions: vec![16, 20, 24, 28], ..SearchSpace::mobilenet_v3_at_28(0.5, 1, 10) };
        check(&other).unwrap();
        let cases = [
            (SearchSpace::small_mobilenet_v3(1, 5), "has 5 classes, the learner has 10"),
            (SearchSpace::small_mobilenet_v3(3, 10), "has 3 image channels, the learner has 1"),
            (SearchSpace { resolutions: vec![20, 28], ..other }, "lacks resolution 24 (it has [20, 28])"),
        ];
        for (teacher, expected) in cases {
            let message = check(&teacher).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains(&teacher.name), "{message}");
        }
    }
}
