//! The plan of an ablation: what it trains, what that costs, and how long it takes on this machine.

use super::budget::{Budget, expected_budget};
use super::config::{AblationConfig, Arm, BudgetConfig};
use super::ladder::Ladder;
use super::reported::corners;
use super::runner::Ablation;
use crate::machine::device;
use crate::run::images::Images;
use crate::run::plan;
use anyhow::Result;
use ofa_model::SupernetConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Instant;

/// Steps per phase in a measurement.
const STEPS: usize = 3;
/// Largest batch of a measured step: a batch meant for many ranks is too large for one process.
const BATCH: usize = 64;
/// Validation images in a measurement.
const IMAGES: usize = 250;

/// How fast cells are trained and measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Seconds per TMAC of training, for every arm with a complete cell.
    arms: BTreeMap<String, f64>,
    /// Seconds per TMAC of training, for all other arms.
    other: f64,
    /// Seconds to measure the subnets of one cell: a selection cell, a reporting cell.
    measuring: [f64; 2],
    /// Threads per process, as text.
    threads: String,
    /// Where the numbers come from, as text.
    source: String,
}

impl Pace {
    /// The pace of the complete cells; `None` if there are none.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read.
    pub fn of_cells(ablation: &Ablation) -> Result<Option<Self>> {
        let done = ablation.done()?;
        let (mut spent, mut measured): (BTreeMap<String, [f64; 2]>, [Vec<f64>; 2]) = Default::default();
        for (cell, done) in done.iter().filter(|(_, done)| done.record.budget.macs > 0.0) {
            let [training, measuring] = done.record.seconds;
            let [seconds, tmacs] = spent.entry(cell.arm.name.clone()).or_default();
            (*seconds, *tmacs) = (*seconds + training, *tmacs + done.record.budget.macs / 1e12);
            measured[usize::from(!cell.selects)].push(measuring);
        }
        let all = spent.values().fold([0.0; 2], |[s, m], [seconds, tmacs]| [s + seconds, m + tmacs]);
        if all[1] == 0.0 {
            return Ok(None);
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let [selecting, reported] = measured.map(|values| mean(&values));
        Ok(Some(Self {
            arms: spent.into_iter().map(|(arm, [seconds, tmacs])| (arm, seconds / tmacs)).collect(),
            other: all[0] / all[1],
            measuring: [selecting, if reported > 0.0 { reported } else { selecting }],
            threads: in_words(done.iter().map(|(_, done)| done.record.machine.threads)),
            source: format!("{} complete cells", done.len()),
        }))
    }

    /// Measures the pace on this device: a few steps of every phase of the base's own schedule, and one subnet's
    /// accuracy.
    ///
    /// # Errors
    ///
    /// If training fails, or there are too few images.
    pub fn measured(config: &AblationConfig) -> Result<Self> {
        let mut base = config.base.clone();
        base.training.batch_size = base.training.batch_size.min(BATCH);
        let base = &base;
        let images = Images::load(base, None)?;
        let device = device::by_name(&base.device)?;
        let costs = plan::measure(base, &images, &device, STEPS, 1)?;
        let phases = base.training.schedule.phases.iter().zip(&costs).enumerate();
        let (mut seconds, mut tmacs) = (0.0, 0.0);
        for (i, (phase, cost)) in phases {
            seconds += cost.seconds_per_step;
            tmacs += super::budget::epoch_macs(phase, i, &base.space) * base.training.batch_size as f64 / 1e12;
        }
        Ok(Self {
            arms: BTreeMap::new(),
            other: seconds / tmacs,
            measuring: measuring(config, &images, &device)?,
            threads: in_words([rayon::current_num_threads()]),
            source: format!("{STEPS} steps of every phase of `{}`", base.training.schedule.name),
        })
    }

    fn hours(&self, arm: &Arm, macs: f64, selects: bool) -> f64 {
        let training = macs / 1e12 * self.arms.get(&arm.name).unwrap_or(&self.other);
        (training + self.measuring[usize::from(!selects)]) / 3600.0
    }
}

/// The distinct numbers of threads, as text.
fn in_words(threads: impl IntoIterator<Item = usize>) -> String {
    let different: Vec<String> = BTreeSet::from_iter(threads).iter().map(usize::to_string).collect();
    format!("{} threads", different.join(" or "))
}

/// Estimated seconds to measure the subnets of a selection cell and of a reporting cell. Extrapolated by MACs from the
/// largest subnet on a few images.
fn measuring(config: &AblationConfig, images: &Images, device: &burn::tensor::Device) -> Result<[f64; 2]> {
    let (base, reported) = (&config.base, &config.reported);
    let largest = base.space.largest();
    let supernet = SupernetConfig::new(base.space.clone())?.init(device);
    let some = images.splits.validation.subset(IMAGES, 0);
    let mut evaluator = images.evaluator(some, base, device);
    evaluator.top1(&supernet, &largest)?;
    let started = Instant::now();
    evaluator.top1(&supernet, &largest)?;
    let passes = (evaluator.calibration_images() + evaluator.evaluation_images()) as f64;
    let per_mac = started.elapsed().as_secs_f64() / passes / base.space.cost(&largest).macs as f64;
    let cost = |archs: &[ofa_model::Arch]| archs.iter().map(|arch| base.space.cost(arch).macs as f64).sum::<f64>();
    let (corners, random) = (cost(&corners(&base.space)), cost(&reported.random(&base.space)));
    let calibration = evaluator.calibration_images() as f64;
    let validation = base.tables.validation_images.min(images.splits.validation.len()) as f64;
    let test = images.splits.test.len() as f64;
    let few = test.min(reported.random_images as f64);
    let selecting = corners * (calibration + validation);
    Ok([selecting, selecting + corners * 2.0 * test + random * (calibration + few)].map(|macs| macs * per_mac))
}

impl AblationConfig {
    /// Number of trainings that select an arm's learning rates, without extensions beyond the listed factors.
    fn selecting_trainings(&self, arm: &Arm) -> usize {
        if self.selection.chooses_for(arm) { self.selection.factors(arm).len() } else { 0 }
    }

    /// Names of an arm's cells, as far as they are known before the run.
    fn cell_names(&self, arm: &Arm) -> String {
        let factors = self.selection.factors(arm).iter().take(self.selecting_trainings(arm));
        let seeds = self.seeds_of(arm).iter().map(|seed| format!("seed-{seed}"));
        factors.map(|factor| format!("select-{factor}")).chain(seeds).collect::<Vec<_>>().join(" ")
    }

    /// Number of trainings of an arm: those that select its learning rates, and one per seed.
    pub fn trainings(&self, arm: &Arm) -> usize {
        self.selecting_trainings(arm) + self.seeds_of(arm).len()
    }

    /// Lists the arms and their cost, one line each; with a pace, also how long they take.
    ///
    /// # Errors
    ///
    /// If the images cannot be listed and the configuration does not say how many there are.
    pub fn plan(&self, pace: Option<&Pace>) -> Result<String> {
        let (images, note) = self.train_images()?;
        let own: Vec<Budget> =
            self.arms.iter().map(|arm| expected_budget(&arm.schedule, &self.base.space, images)).collect();
        let whole = |arm: &Arm| -> Budget {
            let needed = self.with_ancestors(arm);
            self.arms.iter().zip(&own).filter(|(other, _)| needed.contains(other)).map(|(_, own)| *own).sum()
        };
        let treatment = self.arm(&self.rule.treatment).map_or(f64::NAN, |arm| whole(arm).macs);
        let mut text = format!(
            "{:<24}{:>14}{:>12}{:>16}{:>14}",
            "arm", "subnet-epochs", "TMACs", "with ancestors", "of treatment"
        );
        text.push_str(if pace.is_some() { "   hours per cell   cells\n" } else { "   cells\n" });
        for (arm, own) in self.arms.iter().zip(&own) {
            let whole = whole(arm).macs;
            write!(
                text,
                "{:<24}{:>14}{:>12.2}{:>16.2}{:>14.3}",
                arm.name,
                own.subnet_epochs,
                own.macs / 1e12,
                whole / 1e12,
                whole / treatment
            )?;
            if let Some(pace) = pace {
                write!(text, "{:>17.3}", pace.hours(arm, own.macs, false))?;
            }
            writeln!(text, "   {}", self.cell_names(arm))?;
        }
        let all: f64 = self.arms.iter().zip(&own).map(|(arm, own)| own.macs * self.trainings(arm) as f64).sum();
        let cells: usize = self.arms.iter().map(|arm| self.trainings(arm)).sum();
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        let seeds = if seeds.is_empty() { "no seeds".into() } else { format!("seeds {}", seeds.join(", ")) };
        write!(
            text,
            "{images} training images; {seeds}; learning rates {}\n{cells} cells, {:.0} TMACs in total",
            self.selection.describe(),
            all / 1e12
        )?;
        if let Some(pace) = pace {
            write!(text, "\n{}", self.time(&own, pace))?;
        }
        if self.selection.extensions > 0 {
            write!(
                text,
                "\nplus up to {} more for each arm whose best rate is the lowest or highest tried",
                self.selection.extensions
            )?;
        }
        if let Some(note) = note {
            write!(text, "\n{note}")?;
        }
        Ok(text)
    }

    fn time(&self, own: &[Budget], pace: &Pace) -> String {
        let of_arm = |(arm, own): (&Arm, &Budget)| {
            pace.hours(arm, own.macs, true) * self.selecting_trainings(arm) as f64
                + pace.hours(arm, own.macs, false) * self.seeds_of(arm).len() as f64
        };
        let hours: f64 = self.arms.iter().zip(own).map(of_arm).sum();
        format!("about {hours:.2} hours in one process with {}, estimated from {}", pace.threads, pace.source)
    }

    /// Number of training images. If they cannot be listed, the configured number and a note that says so.
    fn train_images(&self) -> Result<(usize, Option<String>)> {
        match (Images::load(&self.base, None), self.base.data.train_images) {
            (Ok(images), _) => Ok((images.splits.train.len(), None)),
            (Err(error), Some(most)) => {
                Ok((most, Some(format!("the number of images is taken from data.train_images, since {error:#}"))))
            }
            (Err(error), None) => Err(error),
        }
    }
}

impl Ablation {
    /// The plan, the number of complete cells, and the time left.
    fn plan(&self, pace: &Pace) -> Result<String> {
        let config = self.config();
        let done = self.done()?;
        let (images, _) = config.train_images()?;
        let mut left = 0.0;
        for arm in &config.arms {
            let macs = expected_budget(&arm.schedule, &config.base.space, images).macs;
            let complete = |selects| done.iter().filter(|(cell, _)| cell.arm == arm && cell.selects == selects).count();
            let missing = [self.selecting(arm)?.len() - complete(true), config.seeds_of(arm).len() - complete(false)];
            left += missing[0] as f64 * pace.hours(arm, macs, true) + missing[1] as f64 * pace.hours(arm, macs, false);
        }
        Ok(format!("{}\n{}; about {left:.2} hours left", config.plan(Some(pace))?, self.progress()?))
    }
}

impl Ladder {
    /// The plan of each budget with the time left, based on the complete cells or, if there are none, on a measurement.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read, or the measurement fails.
    pub fn plan(&self) -> Result<String> {
        let mut pace = None;
        for rung in self.rungs() {
            pace = pace.or(Pace::of_cells(rung)?);
        }
        let pace = pace.map_or_else(|| Pace::measured(self.config()), Ok)?;
        let plan = |(rung, ablation): (usize, &Ablation)| Ok(headed(self.name(rung), &ablation.plan(&pace)?));
        Ok(self.rungs().iter().enumerate().map(plan).collect::<Result<Vec<_>>>()?.join("\n\n"))
    }
}

/// The plan of every budget of a configuration that was not started yet. It includes times, based on a measurement, if
/// the images are available.
///
/// # Errors
///
/// As for [`AblationConfig::plan`] and [`Pace::measured`].
pub(super) fn plan_of(config: &AblationConfig) -> Result<String> {
    let pace = match Images::load(&config.base, None) {
        Ok(_) => Some(Pace::measured(config)?),
        Err(_) => None,
    };
    if config.budgets.is_empty() {
        return config.plan(pace.as_ref());
    }
    let plan = |budget: &BudgetConfig| Ok(headed(&budget.name, &config.at(budget).plan(pace.as_ref())?));
    Ok(config.budgets.iter().map(plan).collect::<Result<Vec<_>>>()?.join("\n\n"))
}

fn headed(name: &str, plan: &str) -> String {
    if name.is_empty() { plan.to_owned() } else { format!("Budget {name}\n{plan}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::testing::ablation;

    #[test]
    fn hours_follow_from_the_pace() {
        let config = ablation();
        let pace = Pace {
            arms: [("none".to_owned(), 7200.0)].into(),
            other: 3600.0,
            measuring: [0.0, 1800.0],
            threads: in_words([2, 1, 2]),
            source: "a guess".into(),
        };
        let hours = |arm: &str| pace.hours(config.arm(arm).unwrap(), 2e12, false);
        assert_eq!((hours("full"), hours("none")), (2.5, 4.5));
        let text = config.plan(Some(&pace)).unwrap();
        assert!(
            text.contains("hours per cell") && text.contains("with 1 or 2 threads, estimated from a guess"),
            "{text}"
        );
        let treatment = text.lines().find(|line| line.starts_with("progressive ")).unwrap();
        assert!(treatment.contains(" 1.000"), "{treatment}");
        assert!(!config.plan(None).unwrap().contains("hours"));
    }

    #[test]
    fn images_that_are_not_there_are_counted_if_the_configuration_does() {
        let mut config = ablation();
        config.base.data.dir = Some("/nowhere".into());
        config.base.data.train_images = Some(1000);
        let text = config.plan(None).unwrap();
        assert!(
            text.contains("1000 training images")
                && text.contains("data.train_images, since")
                && text.contains("/nowhere"),
            "{text}"
        );
        config.base.data.train_images = None;
        assert!(config.plan(None).unwrap_err().to_string().contains("/nowhere"));
    }
}
