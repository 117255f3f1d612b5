//! The cells of the once-for-all network: trained or taken once, then searched for every target.

use super::config::DesignConfig;
use super::designer::{latency, measure};
use super::meter::Meter;
use super::record::{Designed, Spent};
use super::setting::Setting;
use crate::ablation::budget::trained_macs;
use crate::ablation::record::DoneCell;
use crate::config::ExperimentConfig;
use crate::run::run_dir::RunDir;
use crate::run::supernet_file;
use crate::run::training;
use crate::tables;
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, Subnet, Supernet};
use ofa_search::predictors::MlpPredictor;
use ofa_search::{Budget, Constraint, Evolution, Problem, search};
use ofa_train::{OneRank, fine_tune, weights_sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Forward passes that a training step costs.
const PASSES: f64 = 3.0;

/// Trains or takes the supernet, and designs a network for every target: plain and, if configured, fine-tuned. Returns
/// what was spent for all of them together, and the networks.
pub(super) fn networks(
    design: &DesignConfig,
    setting: &Setting,
    dir: &RunDir,
    stop: &Arc<AtomicBool>,
) -> Result<(Spent, Vec<Designed>)> {
    let Setting { config, images, device, .. } = setting;
    let (supernet, trained) = match &design.ofa.supernets {
        Some(arm) => taken(&arm.join(format!("seed-{}", config.seed)), setting)?,
        None => supernet(setting, dir, stop)?,
    };
    let mut validation = images.validation(config, device);
    let images_each = (validation.evaluation_images() + validation.calibration_images()) as f64;
    let source = weights_sha256(&supernet);
    let tables = || {
        let table = tables::accuracy(config, &supernet, &mut validation, source, dir, stop, &OneRank)?;
        let (predictor, _) = tables::predictor(config, &table, device)?;
        Ok((table, predictor))
    };
    let macs = |(table, _): &(ofa_search::AccuracyTable, MlpPredictor)| {
        table.rows().iter().map(|row| config.space.cost(&row.arch).macs as f64 * images_each).sum()
    };
    let ((_, predictor), measured) = Meter::start(dir, "accuracy")?.count(tables, macs)?;
    let mut networks = Vec::new();
    for target in 0..design.targets.len() {
        let found = Meter::start(dir, &format!("search-{target}"))?;
        let (arch, searched) = found.count(|| best(design, setting, &predictor, target), |_| 0.0)?;
        let limit_ms = setting.target(design, target).limit;
        let of = |network: Designed, trained: &str, training: Spent| Designed {
            target,
            trained: trained.into(),
            limit_ms,
            search: searched,
            training,
            ..network
        };
        networks.push(of(measure(setting, &supernet, &arch)?, "plain", Spent::default()));
        if config.fine_tune.epochs > 0 {
            let (tuned, spent) = tuned(setting, &supernet, &arch, dir, target)?;
            networks.push(of(measure(setting, &tuned, &arch)?, "fine_tuned", spent));
        }
    }
    Ok((trained + measured, networks))
}

/// The supernet of a cell of `ablate_shrinking`, and what its training cost.
///
/// # Errors
///
/// If `cell` is not complete, or began with the weights of another cell: its record does not have that cell's cost.
fn taken(cell: &Path, setting: &Setting) -> Result<(Supernet, Spent)> {
    let context = || format!("ofa.supernets: {}", cell.display());
    let done = DoneCell::read(cell)?.with_context(context)?;
    let own = ExperimentConfig::load(&cell.join("config.toml")).with_context(context)?.training;
    ensure!(
        own.start.is_none() && own.teacher.is_none(),
        "{} began with the weights of another cell, or was taught by one, whose cost is not in its record: choose an arm \
         that does neither, such as `none`",
        context()
    );
    let supernet = supernet_file::finished(cell, &setting.device).with_context(context)?;
    let fitting = supernet.in_space(&setting.config.space);
    let supernet = fitting.with_context(|| format!("{}: its space is another", context()))?;
    Ok((supernet, (&done.record).into()))
}

fn supernet(setting: &Setting, dir: &RunDir, stop: &Arc<AtomicBool>) -> Result<(Supernet, Spent)> {
    let Setting { config, images, device, .. } = setting;
    let mut validation = images.validation(config, device);
    let train = || training::train(config, images, &mut validation, device, dir, &OneRank, stop);
    let phases = &config.training.schedule.phases;
    let macs = |outcome: &ofa_train::TrainOutcome| {
        let of_epoch = |epoch: &ofa_train::EpochRecord| {
            let phase = phases.iter().find(|phase| phase.name == epoch.phase);
            phase.map_or(0.0, |phase| trained_macs(epoch.images, epoch.mean_macs, phase, &config.space))
        };
        outcome.epochs.iter().map(of_epoch).sum()
    };
    let (outcome, spent) = Meter::start(dir, "training")?.count(train, macs)?;
    let supernet = outcome.supernet.valid();
    supernet_file::write(&supernet, dir)?;
    Ok((supernet, spent))
}

/// The network with the highest predicted accuracy within a target, at the one resolution.
fn best(design: &DesignConfig, setting: &Setting, predictor: &MlpPredictor, target: usize) -> Result<Arch> {
    let Setting { config, space, costs, .. } = setting;
    let limit = setting.target(design, target);
    let within = Constraint {
        name: "latency".into(),
        unit: limit.unit,
        limit: limit.limit,
        lower: f64::NEG_INFINITY,
        cost: Box::new(|arch| latency(costs, arch)),
    };
    let problem = Problem { space, objective: predictor, constraints: vec![within] };
    let rng = &mut stream(config.seed, Purpose::Search, &[]);
    Ok(search(&problem, &mut Evolution::default(), Budget::new(design.ofa.queries), rng, |_| ())?.best.arch)
}

fn tuned(setting: &Setting, supernet: &Supernet, arch: &Arch, dir: &RunDir, target: usize) -> Result<(Subnet, Spent)> {
    let Setting { config, images, device, .. } = setting;
    let loader = images.train_loader(config, &OneRank)?;
    let (recipe, settings) = (&config.training.recipe, &config.fine_tune.rule());
    let tune = || Ok(fine_tune(supernet.subnet(arch), Some(supernet), settings, recipe, &loader, config.seed, device)?);
    let images = (loader.batches_per_epoch() * loader.images_per_step() * settings.epochs) as f64;
    let macs = |arch: &Arch| config.space.cost(arch).macs as f64;
    let teacher = macs(&config.space.largest().at_resolution(arch.resolution));
    let macs = images * (PASSES * macs(arch) + teacher);
    Meter::start(dir, &format!("fine-tuning-{target}"))?.count(tune, |_| macs)
}
