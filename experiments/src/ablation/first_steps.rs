//! The weights after the first steps of a cell: a later version, or another processor, shows in a minute whether it
//! computes the same.

use super::record::FirstSteps;
use crate::config::ExperimentConfig;
use crate::run::images::Images;
use crate::run::run_dir::{RunDir, remove_file};
use crate::run::training;
use anyhow::{Context, Result};
use burn::tensor::Device;
use ofa_train::{Evaluator, Ranks, weights_sha256};
use std::fs;

/// Steps that are computed twice.
pub(super) const STEPS: usize = 20;
const NOTE: &str = "first-steps.json";
const SCRATCH: &str = "first-steps";

/// What the first steps of the cell in `dir` come to, which is computed once; rank 0 gets it.
///
/// # Errors
///
/// Those of training.
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

/// What the first `steps` steps of the cell in `dir` come to.
///
/// # Errors
///
/// Those of training.
pub(super) fn computed(
    steps: usize,
    (config, images, validation, device): (&ExperimentConfig, &Images, &mut Evaluator, &Device),
    dir: &RunDir,
    ranks: &dyn Ranks,
) -> Result<Option<FirstSteps>> {
    let scratch = dir.path(SCRATCH);
    // What a kill has left of an earlier attempt would be gone on with.
    if ranks.is_first() && scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    }
    ranks.broadcast(0, Vec::new());
    let supernet = training::first_steps(steps, config, images, validation, device, &scratch, ranks)?;
    if ranks.is_first() {
        fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    }
    Ok(supernet.map(|supernet| FirstSteps { steps, weights: weights_sha256(&supernet) }))
}

/// Removes the note: the record of the complete cell has it.
pub(super) fn remove(dir: &RunDir) -> Result<()> {
    remove_file(&dir.path(NOTE))
}
