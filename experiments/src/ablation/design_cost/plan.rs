//! What a comparison costs, before it is run.

use super::cell::{Cell, cells};
use super::config::{DesignConfig, Designer};
use super::record::{DesignRecord, Spent};
use super::runner::DesignAblation;
use super::setting::searched;
use crate::ablation::budget::expected_budget;
use crate::run::images::Images;
use anyhow::Result;
use ofa_model::{Arch, ChoiceCosts, ChoiceGroups, Mixture};
use ofa_train::baselines::{FbNet, ProxylessNas};
use std::fmt::Write;

/// Forward passes that a training step costs.
const PASSES: f64 = 3.0;

/// Sizes that costs depend on.
struct Sizes {
    batch: usize,
    /// Training and held-out images.
    images: [usize; 2],
    /// Images of an accuracy: calibration and validation.
    judged: f64,
    /// MACs of a network drawn uniformly, and of all candidates at once.
    mean: f64,
    all: f64,
    macs: ChoiceCosts,
}

impl Sizes {
    fn of(config: &DesignConfig) -> Result<Self> {
        let (base, images) = (&config.base, Images::load(&config.base, None)?);
        let groups = ChoiceGroups::new(&base.space, base.space.largest().resolution)?;
        let macs = ChoiceCosts::macs(&base.space, &groups);
        let uniform: Vec<Vec<f64>> = groups.sizes().into_iter().map(|size| vec![1.0 / size as f64; size]).collect();
        let (train, validation) = (images.splits.train.len(), images.splits.validation.len());
        let judged = base.tables.validation_images.min(validation) + base.tables.calibration_images.min(train);
        Ok(Self {
            batch: base.training.batch_size,
            images: [train, validation],
            judged: judged as f64,
            mean: macs.expected(&uniform),
            all: Mixture::all(&uniform).macs(&macs)[0],
            macs,
        })
    }

    /// Images in whole batches.
    fn whole(&self, images: usize) -> f64 {
        (images / self.batch * self.batch) as f64
    }

    /// MACs of a search with this designer on these training and held-out images.
    fn search(&self, designer: &Designer, images: [usize; 2]) -> f64 {
        let [train, held_out] = images.map(|images| self.whole(images));
        let steps = PASSES * train * self.mean;
        match designer {
            Designer::ProxylessNas(ProxylessNas { warmup_epochs, weights, weight_steps, .. }) => {
                // Two paths forwards and one backwards, without gradients of weights, every few steps.
                let choices = 3.0 * self.mean * train * weights.epochs.saturating_sub(1) as f64 / *weight_steps as f64;
                steps * (warmup_epochs + weights.epochs) as f64 + choices
            }
            Designer::FbNet(FbNet { weights, warmup_epochs, betas, drawn, .. }) => {
                let weights_learn = PASSES * train * self.all * weights.epochs as f64;
                let choices_learn = 2.0 * held_out * self.all * weights.epochs.saturating_sub(*warmup_epochs) as f64;
                betas.len() as f64 * (weights_learn + choices_learn + (drawn + 1) as f64 * self.judged * self.mean)
            }
            Designer::MnasNet(method) => {
                let sample = steps * method.proxy.epochs as f64 + self.judged * self.mean;
                let finals = if method.finalists > 1 { method.finalists as f64 } else { 0.0 };
                let last = steps * method.final_training.epochs as f64 + self.judged * self.mean;
                method.samples as f64 * sample + finals * last
            }
            Designer::RandomInBand(_) | Designer::Fixed(_) => 0.0,
        }
    }

    fn of_cell(&self, config: &DesignConfig, cell: &Cell) -> Result<f64> {
        let (base, train) = (&config.base, self.whole(self.images[0]));
        let Some(method) = cell.method else {
            let training = match config.ofa.supernets {
                Some(_) => 0.0,
                None => expected_budget(&base.training.schedule, &base.space, train as usize).macs,
            };
            let tuning = base.fine_tune.epochs as f64 * train * (PASSES * self.mean + self.macs.range()[1]);
            let tuned = if base.fine_tune.epochs > 0 && cell.trial.is_none() {
                tuning * config.targets.len() as f64
            } else {
                0.0
            };
            return Ok(training + base.tables.archs as f64 * self.judged * self.mean + tuned);
        };
        let epochs = (config.final_training.epochs as f64 * cell.budget).round().max(1.0);
        let network = match &method.designer {
            Designer::Fixed(arch) => base.space.cost(&arch.parse::<Arch>()?).macs as f64,
            _ => self.mean,
        };
        let images = searched(method.images, self.images, base);
        Ok(self.search(&method.at(cell.budget, 1.0), images) + PASSES * train * epochs * network)
    }
}

/// The cells of every method and budget with their expected cost, one line each; `ablation`, if begun, tells what is
/// left and how fast it goes here.
///
/// # Errors
///
/// If the images cannot be listed, or a cell is damaged.
pub(super) fn plan(config: &DesignConfig, ablation: Option<&DesignAblation>) -> Result<String> {
    let sizes = Sizes::of(config)?;
    let all = cells(config);
    let mut text =
        format!("{:<24}{:>8}{:>8}{:>16}{:>12}{:>8}\n", "method", "budget", "cells", "TMACs per cell", "TMACs", "left");
    let name = |cell: &Cell| {
        let trial = if cell.trial.is_some() { " (trials)" } else { "" };
        format!("{}{trial}", cell.method.map_or(DesignConfig::OFA, |method| &method.name))
    };
    let mut lines: Vec<(String, f64)> = all.iter().map(|cell| (name(cell), cell.budget)).collect();
    lines.dedup();
    let mut sums = [0.0; 2];
    let mut seen: Vec<(String, f64)> = Vec::new();
    for line in lines {
        if seen.contains(&line) {
            continue;
        }
        let of_line: Vec<&Cell> = all.iter().filter(|cell| (name(cell), cell.budget) == line).collect();
        let each = of_line.iter().map(|cell| sizes.of_cell(config, cell)).collect::<Result<Vec<_>>>()?;
        let whole: f64 = each.iter().sum::<f64>() / 1e12;
        let is_left = |cell: &Cell| ablation.is_none_or(|ablation| !cell.is_done(ablation.dir().root()));
        let left: f64 =
            of_line.iter().zip(&each).filter(|(cell, _)| is_left(cell)).map(|(_, macs)| macs).sum::<f64>() / 1e12;
        sums = [sums[0] + whole, sums[1] + left];
        let per_cell = whole / of_line.len() as f64;
        writeln!(text, "{:<24}{:>8}{:>8}{per_cell:>16.3}{whole:>12.2}{left:>8.2}", line.0, line.1, of_line.len())?;
        seen.push(line);
    }
    let seeds = [config.seeds.as_slice(), &config.more_seeds].concat();
    write!(
        text,
        "{} training images, {} held out; {} targets; seeds {seeds:?}; {:.1} TMACs in all, {:.1} left; a network \
         has {:.2} MMACs on average, all candidates at once {:.1}",
        sizes.images[0],
        sizes.images[1],
        config.targets.len(),
        sums[0],
        sums[1],
        sizes.mean / 1e6,
        sizes.all / 1e6
    )?;
    if let Some(pace) = ablation.map(pace).transpose()?.flatten() {
        write!(
            text,
            "\nabout {:.2} processor hours left, at {pace:.3} processor hours per TMAC of the complete cells",
            sums[1] * pace
        )?;
    }
    Ok(text)
}

/// Processor hours per TMAC of the complete cells.
fn pace(ablation: &DesignAblation) -> Result<Option<f64>> {
    let spent: Spent = ablation.all_records()?.iter().map(DesignRecord::spent).sum();
    Ok((spent.macs > 0.0).then(|| spent.processor_seconds / 3600.0 / (spent.macs / 1e12)))
}
