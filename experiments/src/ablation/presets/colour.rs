//! Progressive shrinking against none in colour: CIFAR-10, which the user provides.

use super::{CONTRASTS, QUESTION, Scale, is_compared};
use crate::ablation::arms::shrinking_arms;
use crate::ablation::config::AblationConfig;
use crate::config::few_epochs;
use anyhow::Result;
use ofa_model::SearchSpace;

/// Training images of CIFAR-10, without the tenth that is held out.
const IMAGES: usize = 45_000;
/// Large enough for all decoded images.
const CACHE_MIB: usize = 512;

/// A space whose last feature map is 8x8.
pub(super) fn colour() -> Result<AblationConfig> {
    let space = SearchSpace { resolutions: vec![24, 28, 32], ..SearchSpace::small_mobilenet_v3(3, 10) };
    of_space(space, [12, 3, 1, 3, 1, 9])
}

/// ImageNet's strides, which leave a last feature map of one pixel.
pub(super) fn strided() -> Result<AblationConfig> {
    let space = SearchSpace {
        name: "mobilenet_v3_w0.5_at_32".into(),
        resolutions: vec![24, 28, 32],
        ..SearchSpace::mobilenet_v3_at_28(0.5, 3, 10)
    };
    of_space(space, [12, 3, 1, 3, 1, 9])
}

fn of_space(space: SearchSpace, phases: [usize; 6]) -> Result<AblationConfig> {
    let mut scale = Scale::all_images()?;
    scale.base.space = space;
    scale.base.data.channels = 3;
    scale.base.data.read.cache_mib = CACHE_MIB;
    // Fewer images are held out than of the embedded ones.
    scale.base.tables.validation_images = 5_000;
    scale.base.training.schedule =
        ofa_train::ScheduleKind::ProgressiveShrinking.schedule(&scale.base.space, &few_epochs(phases));
    scale.seeds = vec![1, 2, 3];
    scale.recipe = few_epochs(phases);
    let mut arms = shrinking_arms(&scale.base.space, &scale.recipe, IMAGES);
    arms.retain(|arm| is_compared(&arm.name));
    scale.ablation(QUESTION, &CONTRASTS, arms)
}
