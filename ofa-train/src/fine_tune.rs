//! Training one extracted subnet a little further.

use crate::step::step;
use crate::{Recipe, SoftTargets, StepRules, Teaching, TrainError, teacher_logits};
use burn::module::Module;
use burn::tensor::Device;
use ofa_data::Loader;
use ofa_model::{Statistics, Subnet, Supernet};
use serde::{Deserialize, Serialize};

/// How long and how fast a subnet is fine-tuned.
///
/// The papers give 25 and 75 epochs without a recipe; this one is our own: the training recipe at a small learning
/// rate that falls to zero by a cosine, with the full network as the teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTune {
    /// Passes over the training images; 0 leaves the subnet as it is.
    pub epochs: usize,
    /// Learning rate of the first step.
    pub learning_rate: f64,
    /// Weight of the distillation from the teacher.
    pub distillation_weight: f64,
}

/// Trains `subnet` at its own resolution. Its statistics must be calibrated again afterwards.
///
/// # Errors
///
/// If an image cannot be read.
pub fn fine_tune(
    subnet: Subnet,
    teacher: Option<&Supernet>,
    config: &FineTune,
    recipe: &Recipe,
    loader: &Loader,
    device: &Device,
) -> Result<Subnet, TrainError> {
    let resolution = subnet.arch().resolution;
    let classes = subnet.space().classes;
    let mut subnet = subnet.train();
    let mut optimizer = recipe.optimizer();
    let total = (config.epochs * loader.batches_per_epoch()) as f64;
    let mut done = 0.0;
    let soft = SoftTargets { weight: config.distillation_weight, ..SoftTargets::default() };
    for epoch in 0..config.epochs {
        for batch in loader.epoch(epoch as u64, 0, move |_| resolution, device) {
            let batch = batch?;
            let teaching = match teacher {
                Some(teacher) => Teaching::Logits(teacher_logits(teacher, batch.images.clone()), soft),
                None => Teaching::None,
            };
            let rules = StepRules { label_smoothing: recipe.label_smoothing, teaching, ..StepRules::default() };
            let output = step(&subnet, 1, classes, &batch, &rules, |_, images, features| {
                subnet.forward_with(images, &mut Statistics::Batch, features)
            });
            let learning_rate = 0.5 * config.learning_rate * (1.0 + (std::f64::consts::PI * done / total).cos());
            subnet = optimizer.step(learning_rate, subnet, output.gradients);
            done += 1.0;
        }
    }
    Ok(subnet.valid())
}
