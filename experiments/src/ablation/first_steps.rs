//! The weights after the first steps of a cell. They show within a minute whether a later version, or another
//! processor, computes the same.

use super::record::FirstSteps;
use crate::config::ExperimentConfig;
use crate::run::images::Images;
use crate::run::run_dir::{RunDir, remove_dir, remove_file};
use crate::run::training;
use anyhow::{Context, Result};
use burn::tensor::Device;
use ofa_train::{Evaluator, Ranks, weights_sha256};
use std::fs;

/// Number of steps; a cell computes them twice, for this note and in its training.
pub(super) const STEPS: usize = 20;
const NOTE: &str = "first-steps.json";
const SCRATCH: &str = "first-steps";

/// Weights after the first steps of the cell in `dir`, computed once and then read from a note; only rank 0 gets them.
///
/// # Errors
///
/// If training fails, or the note cannot be read.
pub(super) fn noted(
    bench: (&ExperimentConfig, &Images, &mut Evaluator, &Device),
    dir: &RunDir,
    ranks: &dyn Ranks,
) -> Result<Option<FirstSteps>> {
    let path = dir.path(NOTE);
    if ranks.any(path.exists()) {
        if !ranks.is_first() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        return serde_json::from_str(&text).map(Some).with_context(|| path.display().to_string());
    }
    let found = computed(STEPS, bench, dir, ranks)?;
    if let Some(found) = &found {
        dir.write_json(NOTE, found)?;
    }
    Ok(found)
}

/// Computes the weights after the first `steps` steps of the cell in `dir`; only rank 0 gets them.
///
/// # Errors
///
/// If training fails.
pub(super) fn computed(
    steps: usize,
    (config, images, validation, device): (&ExperimentConfig, &Images, &mut Evaluator, &Device),
    dir: &RunDir,
    ranks: &dyn Ranks,
) -> Result<Option<FirstSteps>> {
    let scratch = dir.path(SCRATCH);
    // Training would otherwise resume from the remains of a killed attempt.
    if ranks.is_first() {
        remove_dir(&scratch)?;
    }
    ranks.broadcast(0, Vec::new());
    let supernet = training::first_steps(steps, config, images, validation, device, &scratch, ranks)?;
    if ranks.is_first() {
        remove_dir(&scratch)?;
    }
    Ok(supernet.map(|supernet| FirstSteps { steps, weights: weights_sha256(&supernet) }))
}

/// Removes the note; the record of the complete cell contains it.
pub(super) fn remove(dir: &RunDir) -> Result<()> {
    remove_file(&dir.path(NOTE))
}
