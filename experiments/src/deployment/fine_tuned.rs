//! Fine-tuning of a subnet as a configuration says.

use crate::config::ExperimentConfig;
use crate::run::images::Images;
use anyhow::Result;
use burn::tensor::Device;
use ofa_model::{Subnet, Supernet};
use ofa_train::{Evaluator, OneRank, fine_tune};

/// Fine-tunes a calibrated subnet, taught by the largest network of `teacher`, and calibrates it again. In 8-bit
/// integers its statistics stay, since it has learned with them.
///
/// # Errors
///
/// If an image cannot be read, or the loss or the weights are not finite.
pub fn fine_tuned(
    config: &ExperimentConfig,
    images: &Images,
    subnet: Subnet,
    teacher: Option<&Supernet>,
    validation: &mut Evaluator,
    device: &Device,
) -> Result<Subnet> {
    let loader = images.train_loader(config, &OneRank)?;
    let (recipe, rule, seed) = (&config.training.recipe, config.fine_tune.rule(), config.seed);
    Ok(match &config.tables.int8 {
        Some(settings) if config.fine_tune.int8 => {
            let network = validation.straight_through(subnet, settings)?;
            fine_tune(network, teacher, &rule, recipe, &loader, seed, device)?.into_subnet()
        }
        _ => validation.recalibrated(fine_tune(subnet, teacher, &rule, recipe, &loader, seed, device)?)?,
    })
}
