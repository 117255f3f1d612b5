//! Estimates how long a run will take on this machine.

use crate::config::ExperimentConfig;
use crate::deployment::specialise::Chosen;
use crate::run::images::Images;
use crate::run::plan;
use crate::run::run_dir::RunDir;
use crate::run::watched::{RANDOM_WATCHED, watched_archs};
use anyhow::Result;
use burn::tensor::Device;
use ofa_model::SupernetConfig;
use ofa_search::AccuracyTable;
use ofa_train::Phase;
use std::time::Instant;

/// Steps measured per phase, after one warm-up step.
const STEPS: usize = 4;
/// MACs of the largest network per measured step; large networks get smaller batches.
const STEP_MACS: u64 = 400_000_000;
/// Preset suggested as a shorter run.
const SHORT: &str = "smoke";

/// The first log line of a run: how long it will take, or how long is left, estimated from a few real steps, and a
/// quicker alternative.
///
/// The steps train a separate supernet, so the run is not affected. If they fail, the line gives the reason.
pub fn first_line(config: &ExperimentConfig, images: &Images, dir: &RunDir, device: &Device) -> String {
    let done = Done::of(config, dir);
    match Pace::measured(config, images, device) {
        Ok(pace) => pace.sentence(config, images, &done, rayon::current_num_threads()),
        Err(error) => format!("Cannot estimate how long this will take: {error:#}"),
    }
}

/// Work completed by an earlier attempt of a run.
#[derive(Debug, Default, PartialEq)]
struct Done {
    epochs: usize,
    archs: usize,
    subnets: usize,
}

impl Done {
    /// Counts what the run's files record; unreadable files count as nothing, since the run itself will report them.
    fn of(config: &ExperimentConfig, dir: &RunDir) -> Self {
        let epochs = csv::Reader::from_path(dir.path("metrics.csv"));
        let table = AccuracyTable::load(&dir.path("tables/accuracy.csv"), &config.space);
        let is_done = |name: &str| dir.path(&format!("subnets/{name}/{}", Chosen::FILE)).exists();
        Self {
            epochs: epochs.map_or(0, |rows| rows.into_records().count()),
            archs: table.map_or(0, |table| table.rows().len()),
            subnets: config.search.scenarios.iter().filter(|scenario| is_done(&scenario.name)).count(),
        }
    }
}

/// Seconds per image.
struct Pace {
    /// Training, per phase.
    training: Vec<f64>,
    /// Calibration of a subnet.
    calibration: f64,
    /// Inference of a subnet.
    evaluation: f64,
}

impl Pace {
    fn measured(config: &ExperimentConfig, images: &Images, device: &Device) -> Result<Self> {
        let probe = probe(config, images.splits.train.len());
        let batch = probe.training.batch_size as f64;
        let costs = plan::measure(&probe, images, device, STEPS, 1)?;
        let training = costs.iter().map(|cost| cost.seconds_per_step / batch).collect();
        let [calibration, evaluation] = measured_subnets(&probe, images, device)?;
        Ok(Self { training, calibration, evaluation })
    }

    /// Seconds left for each named part of a run. Latencies, the predictor and searches take little time and are
    /// ignored.
    fn parts(&self, config: &ExperimentConfig, images: &Images, done: &Done) -> [(&'static str, f64); 3] {
        let splits = &images.splits;
        let train = splits.train.len().min(config.data.train_images.unwrap_or(usize::MAX));
        let validation = splits.validation.len().min(config.tables.validation_images);
        let test = splits.test.len().min(config.data.test_images.unwrap_or(usize::MAX));

        // One subnet with its teacher, as in the last phase.
        let last = config.training.schedule.phases.last().zip(self.training.last());
        let one = last.map_or(0.0, |(phase, seconds)| seconds / phase.subnets_per_step as f64);
        let training = self.epochs(config, done) * train as f64;
        let watching = self.subnets(config, watched_left(config, done), validation);

        let archs = config.tables.archs.saturating_sub(done.archs);
        let chosen = config.search.scenarios.len() - done.subnets;
        let tables = self.subnets(config, archs, validation)
            + self.subnets(config, chosen, validation + test)
            + self.subnets(config, 2, test);
        let tuning = one * (chosen * config.fine_tune.epochs * train) as f64;
        [("training", training + watching), ("tables and search", tables), ("fine-tuning", tuning)]
    }

    /// Seconds per training image, summed over the remaining epochs.
    fn epochs(&self, config: &ExperimentConfig, done: &Done) -> f64 {
        epochs_left(config, done).zip(&self.training).map(|(epochs, seconds)| epochs as f64 * seconds).sum()
    }

    /// Seconds to calibrate `count` subnets and evaluate each on `images` images.
    fn subnets(&self, config: &ExperimentConfig, count: usize, images: usize) -> f64 {
        let calibration = config.tables.calibration_images as f64 * self.calibration;
        count as f64 * (calibration + images as f64 * self.evaluation)
    }

    fn sentence(&self, config: &ExperimentConfig, images: &Images, done: &Done, threads: usize) -> String {
        let (all, each) = in_words(&self.parts(config, images, done));
        let are_left = if *done == Done::default() { "" } else { " are left" };
        let plural = if threads == 1 { "" } else { "s" };
        let quicker = if are_left.is_empty() { self.quicker(config, images) } else { String::new() };
        format!("About {all}{are_left} on {threads} thread{plural}{each}{quicker}")
    }

    /// Suggests a shorter preset, with its time.
    fn quicker(&self, config: &ExperimentConfig, images: &Images) -> String {
        let Ok(mut short) = ExperimentConfig::preset(SHORT) else { return String::new() };
        if config.preset == SHORT {
            return String::new();
        }
        if config.space.name != short.space.name {
            return format!("; `--preset {SHORT}` shows the same much sooner, with a small network");
        }
        // The pace was measured for the phases of this schedule.
        let subnet_epochs = short.training.schedule.subnet_epochs();
        short.training.schedule = config.training.schedule.scale_to(subnet_epochs);
        let (all, _) = in_words(&self.parts(&short, images, &Done::default()));
        format!("; `--preset {SHORT}` shows the same in about {all}")
    }
}

/// Seconds per image for calibration and for inference, averaged over the watched archs.
fn measured_subnets(probe: &ExperimentConfig, images: &Images, device: &Device) -> Result<[f64; 2]> {
    let supernet = SupernetConfig::new(probe.space.clone())?.with_seed(probe.seed).init(device);
    let mut evaluator = images.validation(probe, device);
    let archs = watched_archs(&probe.space, probe.seed);
    // Warm-up: reads the images.
    evaluator.top1(&supernet, &archs[0])?;
    let mut seconds = [0.0; 2];
    for arch in &archs {
        let started = Instant::now();
        let subnet = evaluator.calibrated(&supernet, arch)?;
        let calibrated = Instant::now();
        evaluator.subnet_top1(&subnet)?;
        seconds[0] += (calibrated - started).as_secs_f64();
        seconds[1] += calibrated.elapsed().as_secs_f64();
    }
    let count = [evaluator.calibration_images(), evaluator.evaluation_images()];
    Ok([0, 1].map(|i| seconds[i] / (archs.len() * count[i].max(1)) as f64))
}

/// Epochs left in each phase.
fn epochs_left(config: &ExperimentConfig, done: &Done) -> impl Iterator<Item = usize> {
    let schedule = &config.training.schedule;
    let done = done.epochs;
    let left =
        move |(i, phase): (usize, &Phase)| phase.epochs.saturating_sub(done.saturating_sub(schedule.epochs_before(i)));
    schedule.phases.iter().enumerate().map(left)
}

/// Accuracies of watched archs left to measure.
fn watched_left(config: &ExperimentConfig, done: &Done) -> usize {
    let times = |epochs: usize| match config.training.watch_epochs {
        Some(every) => epochs.div_ceil(every),
        None => epochs.min(1),
    };
    epochs_left(config, done).map(times).sum::<usize>() * (2 + RANDOM_WATCHED)
}

/// A configuration with very short steps: few images, all at the resolution nearest to the mean area.
fn probe(config: &ExperimentConfig, train_images: usize) -> ExperimentConfig {
    let mut probe = config.clone();
    let resolutions = &config.space.resolutions;
    let area = |side: &usize| (side * side) as f64;
    let mean = resolutions.iter().map(area).sum::<f64>() / resolutions.len() as f64;
    let off = |side: &&usize| (area(side) - mean).abs();
    probe.space.resolutions =
        resolutions.iter().min_by(|a, b| off(a).total_cmp(&off(b))).copied().into_iter().collect();
    if probe.validate().is_err() {
        // A phase has its own archs or space, tied to certain resolutions.
        probe.space = config.space.clone();
    }
    let affordable = STEP_MACS / probe.space.cost(&probe.space.largest()).macs.max(1);
    let batch = config.training.batch_size.min(train_images / (STEPS + 1)).min(affordable as usize).max(2);
    probe.training.batch_size = batch;
    let tables = &mut probe.tables;
    (tables.batch_size, tables.calibration_images, tables.validation_images) = (batch, batch, batch);
    probe
}

/// The sum of `parts` (name, seconds) with its unit, and a parenthesised list of the parts that do not round to zero,
/// in the same unit.
fn in_words(parts: &[(&str, f64)]) -> (String, String) {
    let sum: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    let (unit, length, step) = match sum {
        ..120.0 => ("seconds", 1.0, 5.0),
        ..7_200.0 => ("minutes", 60.0, 1.0),
        _ => ("hours", 3_600.0, 0.1),
    };
    let digits = usize::from(step < 1.0);
    let rounded = |seconds: f64| (seconds / length / step).round() * step;
    let shown = parts.iter().map(|(name, seconds)| (name, rounded(*seconds))).filter(|(_, rounded)| *rounded > 0.0);
    let shown: Vec<_> = shown.collect();
    let sum = shown.iter().map(|(_, rounded)| rounded).sum::<f64>().max(step);
    let each: Vec<String> = shown.iter().map(|(name, rounded)| format!("{name} {rounded:.digits$}")).collect();
    let each = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
    (format!("{sum:.digits$} {unit}"), each)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace { training: vec![2e-3; 6], calibration: 2e-4, evaluation: 1e-4 }
    }

    fn said(config: &ExperimentConfig, done: &Done) -> String {
        pace().sentence(config, &Images::load(config, None).unwrap(), done, 2)
    }

    #[test]
    fn the_line_says_how_long_and_what_is_quicker() {
        // 14 epochs of 50,000 images, 6 times 5 watched archs; 160 archs of 2,500 and 500 images.
        let standard = ExperimentConfig::preset("standard").unwrap();
        assert_eq!(
            said(&standard, &Done::default()),
            "About 25 minutes on 2 threads (training 24, tables and search 1); `--preset smoke` shows the same in about 40 \
             seconds"
        );
        let smoke = ExperimentConfig::preset("smoke").unwrap();
        assert_eq!(
            said(&smoke, &Done::default()),
            "About 40 seconds on 2 threads (training 30, tables and search 5, fine-tuning 5)"
        );
    }

    #[test]
    fn a_run_that_goes_on_says_what_is_left() {
        let standard = ExperimentConfig::preset("standard").unwrap();
        let all = standard.tables.archs;
        assert_eq!(
            said(&standard, &Done { epochs: 9, archs: 0, subnets: 0 }),
            "About 9 minutes are left on 2 threads (training 8, tables and search 1)"
        );
        assert_eq!(
            said(&standard, &Done { epochs: 14, archs: all, subnets: 4 }),
            "About 5 seconds are left on 2 threads"
        );
    }

    #[test]
    fn what_is_done_is_read_from_the_directory() {
        let temporary = tempfile::tempdir().unwrap();
        let config = ExperimentConfig::preset("smoke").unwrap();
        let dir = RunDir::create(temporary.path(), "").unwrap();
        assert_eq!(Done::of(&config, &dir), Done::default());
        dir.write("metrics.csv", "stage,epoch\nfull,1\nkernel,1\n").unwrap();
        dir.write(&format!("subnets/macs-2M/{}", Chosen::FILE), "{}").unwrap();
        assert_eq!(Done::of(&config, &dir), Done { epochs: 2, archs: 0, subnets: 1 });
    }

    #[test]
    fn long_runs_are_told_in_hours() {
        let parts = [("training", 15_000.0), ("tables and search", 2_500.0), ("fine-tuning", 0.0)];
        assert_eq!(in_words(&parts), ("4.9 hours".into(), " (training 4.2, tables and search 0.7)".into()));
    }

    #[test]
    fn what_is_measured_is_small_and_real() {
        let mut config = ExperimentConfig::preset("photographs").unwrap();
        let small = probe(&config, 50_000);
        assert_eq!(small.space.resolutions, [180]);
        assert!((2..16).contains(&small.training.batch_size), "{}", small.training.batch_size);
        config = ExperimentConfig::preset("smoke").unwrap();
        assert_eq!(probe(&config, 2_048).training.batch_size, 64);
        config.data.train_images = Some(64);
        let images = Images::load(&config, None).unwrap();
        let pace = Pace::measured(&config, &images, &Device::flex()).unwrap();
        assert_eq!(pace.training.len(), 6);
        let all = pace.training.iter().chain([&pace.calibration, &pace.evaluation]);
        assert!(all.into_iter().all(|seconds| (1e-7..1.0).contains(seconds)));
    }
}
