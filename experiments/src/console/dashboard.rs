//! Training progress: burn-train's dashboard on a terminal, one line per epoch elsewhere.

use crate::console::heartbeat::{self, has_screen, say};
use burn::train::Interrupter;
use burn::train::metric::{
    MetricAttributes, MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry,
};
use burn::train::renderer::{MetricState, MetricsRenderer, tui::TuiMetricsRendererWrapper};
use ofa_train::{
    DamagedCheckpoint, EpochRecord, Phase, Schedule, StepNumbers, TrainError, TrainObserver, WatchedRecord,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shows training progress and passes its records to a callback that stores them.
pub struct Dashboard<'a> {
    screen: Option<Screen>,
    epochs_before: Vec<(String, usize)>,
    total_epochs: usize,
    /// Description of the current epoch, and its number of steps.
    epoch: (String, usize),
    interrupter: Interrupter,
    stop: Arc<AtomicBool>,
    keep: KeepRecords<'a>,
}

/// Called with all records so far, after every epoch and every phase.
pub type KeepRecords<'a> = Box<dyn FnMut(&[EpochRecord], &[WatchedRecord]) -> Result<(), TrainError> + 'a>;

impl<'a> Dashboard<'a> {
    /// A dashboard for `schedule`, as lines without a terminal. Training stops after the step in which `stop` becomes
    /// true.
    pub fn new(schedule: &Schedule, stop: Arc<AtomicBool>, keep: KeepRecords<'a>) -> Self {
        let mut dashboard = Self::in_lines(schedule, stop, keep);
        dashboard.screen = has_screen().then(|| Screen::open(&dashboard.interrupter));
        dashboard
    }

    /// The same, always as lines: under `mpirun`, the output of a process looks like a terminal.
    pub fn in_lines(schedule: &Schedule, stop: Arc<AtomicBool>, keep: KeepRecords<'a>) -> Self {
        let epochs_before =
            (0..schedule.phases.len()).map(|i| (schedule.phases[i].name.clone(), schedule.epochs_before(i))).collect();
        let interrupter = Interrupter::new();
        let epoch = Default::default();
        Self { screen: None, epochs_before, total_epochs: schedule.epochs(), epoch, interrupter, stop, keep }
    }

    /// Shows a line in the dashboard's log, or prints it.
    fn tell(&mut self, line: &str) {
        match &mut self.screen {
            Some(screen) => screen.renderer.log_event_training(line.to_owned()),
            None => say(line),
        }
    }

    fn overall_epoch(&self, phase: &str, epoch: usize) -> usize {
        let before = self.epochs_before.iter().find(|(name, _)| name == phase).map_or(0, |(_, before)| *before);
        before + epoch
    }
}

impl TrainObserver for Dashboard<'_> {
    fn resumed(&mut self, phase: &str, epoch: usize, step: usize, damaged: &[DamagedCheckpoint]) {
        for DamagedCheckpoint { path, problem } in damaged {
            self.tell(&format!("warning: {}: {problem}; resuming from the previous checkpoint", path.display()));
        }
        self.tell(&format!("resumed: phase `{phase}`, epoch {epoch}, {step} steps done"));
    }

    fn epoch_started(&mut self, phase: &Phase, epoch: usize, steps: usize) {
        let overall = self.overall_epoch(&phase.name, epoch);
        self.epoch = (format!("epoch {overall}/{} ({})", self.total_epochs, phase.name), steps);
        if let Some(screen) = &mut self.screen {
            screen.epoch_started(&phase.name, overall, self.total_epochs, steps);
        }
    }

    fn step_done(&mut self, step: usize, numbers: &StepNumbers, learning_rate: f64) {
        let (epoch, steps) = &self.epoch;
        heartbeat::at(|| format!("{epoch}, step {step} of {steps}"));
        if let Some(screen) = &mut self.screen {
            screen.step_done(step, numbers, learning_rate);
        }
    }

    fn epoch_done(&mut self, epochs: &[EpochRecord]) -> Result<(), TrainError> {
        heartbeat::at(|| format!("{}, watched subnets", self.epoch.0));
        (self.keep)(epochs, &[])?;
        let Some(epoch) = epochs.last() else { return Ok(()) };
        let overall = self.overall_epoch(&epoch.phase, epoch.epoch);
        match &mut self.screen {
            Some(screen) => screen.epoch_done(overall),
            None => say(&format!(
                "epoch {overall:>3}/{} {:<9} loss {:.4} train top-1 {:5.2} % lr {:.4} {:6.1} s",
                self.total_epochs,
                epoch.phase,
                epoch.loss,
                100.0 * epoch.train_top1,
                epoch.learning_rate,
                epoch.seconds
            )),
        }
        Ok(())
    }

    fn watched(&mut self, watched: &[WatchedRecord]) -> Result<(), TrainError> {
        (self.keep)(&[], watched)?;
        let Some(last) = watched.last() else { return Ok(()) };
        let now = watched.iter().filter(|record| (&record.phase, record.epoch) == (&last.phase, last.epoch));
        let accuracies: Vec<_> = now.map(|record| format!("{:.2}", 100.0 * record.top1)).collect();
        let (phase, epoch) = (&last.phase, last.epoch);
        self.tell(&format!(
            "validation top-1 of watched subnets after epoch {epoch} of phase `{phase}`: {} %",
            accuracies.join(" ")
        ));
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.interrupter.should_stop()
    }
}

/// burn-train's terminal dashboard.
struct Screen {
    renderer: Box<dyn MetricsRenderer>,
    metrics: [MetricId; 3],
    started: bool,
    batch_images: usize,
}

const METRICS: [(&str, Option<&str>, bool); 3] =
    [("Loss", None, false), ("Train top-1", Some("%"), true), ("Learning rate", None, false)];

impl Screen {
    fn open(interrupter: &Interrupter) -> Self {
        let mut renderer = Box::new(TuiMetricsRendererWrapper::new(interrupter.clone(), None));
        let metrics = METRICS.map(|(name, unit, higher_is_better)| {
            let name = Arc::new(name.to_owned());
            let metric_id = MetricId::new(name.clone());
            let unit = unit.map(str::to_owned);
            renderer.register_metric(MetricDefinition {
                metric_id: metric_id.clone(),
                name,
                description: None,
                attributes: MetricAttributes::Numeric(NumericAttributes { unit, higher_is_better }),
            });
            metric_id
        });
        Self { renderer, metrics, started: false, batch_images: 1 }
    }

    fn epoch_started(&mut self, phase: &str, epoch: usize, total: usize, steps: usize) {
        if !self.started {
            self.renderer.start(total, epoch, None, Some("once-for-all training"));
            self.started = true;
        }
        self.renderer.log_event_training(format!("phase {phase}"));
        self.renderer.start_split("train", steps);
    }

    fn step_done(&mut self, step: usize, numbers: &StepNumbers, learning_rate: f64) {
        self.batch_images = numbers.images.max(1);
        let subnets = numbers.subnets.max(1) as f64;
        let top1 = 100.0 * numbers.correct as f64 / (subnets * self.batch_images as f64);
        let values = [numbers.loss / subnets, top1, learning_rate];
        for (id, value) in self.metrics.iter().zip(values) {
            let text = format!("{value:.4}");
            let entry = MetricEntry::new(id.clone(), SerializedEntry::new(text.clone(), text));
            self.renderer.update_train(MetricState::Numeric(entry, Some(NumericEntry::Value(value))));
        }
        self.renderer.update_split(step);
    }

    fn epoch_done(&mut self, epoch: usize) {
        self.renderer.end_split();
        self.renderer.update_epoch(epoch);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.renderer.end();
        // Restores the terminal; no summary to show.
        let _ = self.renderer.on_train_end(None);
    }
}
