//! Measures latency tables, and whole networks to judge them by.

use super::fit::Fit;
use super::{agreement, different_archs, latency_agreement, make_parent};
use crate::config::{ExperimentConfig, TableConfig};
use crate::console::{heartbeat, interrupt, say};
use crate::machine::latency_device::LatencyDevice;
use crate::run::run_dir::RunDir;
use anyhow::{Result, ensure};
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, SearchSpace, Supernet};
use ofa_search::statistics::HeldOut;
use ofa_search::timing::{Latency, LatencyConfig, Pacemaker, TimedRun, Timing, time_interleaved};
use ofa_search::{LatencyHeader, LatencyTable, NetworkFit, NetworkLatencies, SearchError};
use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A latency table to be measured.
pub struct LatencyJob<'a> {
    /// File of the table; an existing one is resumed.
    pub path: PathBuf,
    /// A network of the space; latency does not depend on its weights.
    pub supernet: &'a Supernet,
    /// What is timed.
    pub device: &'a LatencyDevice,
    /// Batch size and number of passes.
    pub settings: &'a LatencyConfig,
    /// Whole networks to be timed, see [`LatencyJob::run`].
    pub networks: usize,
    /// Seed of the networks.
    pub seed: u64,
    /// Set to stop.
    pub stop: &'a AtomicBool,
}

impl<'a> LatencyJob<'a> {
    /// The table of the run in `dir`.
    pub fn of_run(
        config: &'a ExperimentConfig,
        supernet: &'a Supernet,
        device: &'a LatencyDevice,
        dir: &RunDir,
        stop: &'a AtomicBool,
    ) -> Self {
        let TableConfig { latency: settings, latency_networks: networks, .. } = &config.tables;
        let path = dir.path("tables/latency.csv");
        Self { path, supernet, device, settings, networks: *networks, seed: config.seed, stop }
    }

    /// Measures the table, and its agreement with networks that it was not fitted to.
    ///
    /// On a device of burn, every unit of the space is timed, then whole networks: half of them fit the overhead, the
    /// other half validate the table. In onnxruntime, all networks are timed as a whole, and the table is estimated
    /// from them; a fifth of them, held out, validate it. These times are kept beside the table, in
    /// `NAME.networks.csv`.
    ///
    /// # Errors
    ///
    /// If an existing table is of another device or space, the table cannot be written, the device fails, or a stop was
    /// requested.
    pub fn run(&self) -> Result<(LatencyTable, Fit)> {
        make_parent(&self.path)?;
        match self.device {
            LatencyDevice::Burn(device) => {
                let progress = self.progress("units");
                let settings = self.settings;
                let table = LatencyTable::measure(&self.path, self.space(), device, settings, |done, total, _, _| {
                    progress(done, total)
                })?;
                // Last chance to stop: timings of whole networks are not saved and would be lost.
                interrupt::check(self.stop)?;
                self.corrected(table)
            }
            LatencyDevice::OnnxRuntime(_) => self.by_networks(),
        }
    }

    fn space(&self) -> &SearchSpace {
        self.supernet.space()
    }

    /// Says how far the measurement is, and whether it goes on.
    fn progress(&self, what: &str) -> impl Fn(usize, usize) -> ControlFlow<()> {
        let last_said = Cell::new(0);
        move |done, total| {
            heartbeat::at(|| format!("{done} of {total} {what}"));
            if done * 4 / total > last_said.get() {
                last_said.set(done * 4 / total);
                say(&format!("latency table: {done} of {total} {what}"));
            }
            if interrupt::check(self.stop).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
    }

    /// Corrects a table of units by half of the whole networks, and judges it by the other half.
    fn corrected(&self, table: LatencyTable) -> Result<(LatencyTable, Fit)> {
        let rng = &mut stream(self.seed, Purpose::LatencyNetworks, &[]);
        let archs: Vec<Arch> = (0..self.networks).map(|_| self.space().sample(rng)).collect();
        heartbeat::at(|| format!("{} whole networks in turns", archs.len()));
        let mut pacemaker = self.device.pacemaker(self.supernet, table.header())?;
        let timings = whole_networks(self.settings, self.supernet, &archs, self.device, pacemaker.as_mut())?;
        let measured: Vec<f64> = timings.iter().map(|timing| timing.at_usual_pace.median_ms).collect();
        let (fitted, judges) = archs.split_at(archs.len() / 2);
        let points: Vec<_> = fitted.iter().cloned().zip(measured.iter().copied()).collect();
        let table = with_overhead(self.space(), table, &points)?;
        table.save(&self.path)?;
        let judged = judges.iter().zip(&measured[fitted.len()..]).map(|(arch, &measured)| -> Result<HeldOut> {
            Ok(HeldOut { arch: arch.clone(), predicted: table.latency_ms(self.space(), arch)?, measured })
        });
        let fit = agreement(judged.collect::<Result<_>>()?);
        Ok((table, fit))
    }

    /// Estimates the table from whole networks.
    fn by_networks(&self) -> Result<(LatencyTable, Fit)> {
        let timed = self.path.with_extension("networks.csv");
        ensure!(
            timed.exists() || !self.path.exists(),
            "{} exists already and was not estimated from networks timed here ({} is missing): choose another file",
            self.path.display(),
            timed.display()
        );
        let rng = &mut stream(self.seed, Purpose::LatencyNetworks, &[]);
        let archs = different_archs(self.networks, || self.space().sample(rng));
        let progress = self.progress("networks");
        let threads = || format!("{} threads", self.device.threads());
        let threads_note = Some(self.settings.threads_note.clone().unwrap_or_else(threads));
        let settings = LatencyConfig { threads_note, ..self.settings.clone() };
        let measured = NetworkLatencies::measure(
            &timed,
            self.space(),
            &self.device.name(),
            &settings,
            &archs,
            |arch| self.device.run(self.supernet, arch, self.settings.batch),
            |done, total, _: &Arch, _: &Latency| progress(done, total),
        )?;
        let Estimated { table, fit, .. } = measured.table(self.space(), self.seed)?.into();
        table.save(&self.path)?;
        Ok((table, fit))
    }
}

/// The table with the overhead of whole networks fitted to `points`, unless the fit is noise. A correction that more
/// than halves or doubles the latency of the smallest or the largest subnet means that the machine was too busy.
fn with_overhead(space: &SearchSpace, table: LatencyTable, points: &[(Arch, f64)]) -> Result<LatencyTable> {
    let mut fitted = table.clone();
    let problem = match fitted.fit_overhead(space, points) {
        Ok(overhead) => {
            let ratio = |arch: &Arch| -> Result<f64> {
                let sum = (fitted.latency_ms(space, arch)? - overhead.intercept_ms) / overhead.slope;
                Ok(fitted.latency_ms(space, arch)? / sum)
            };
            let ratios = [ratio(&space.smallest())?, ratio(&space.largest())?];
            if ratios.iter().all(|ratio| (0.5..=2.0).contains(ratio)) {
                return Ok(fitted);
            }
            format!(
                "the smallest and the largest network seem to take {:.2} and {:.2} times the sums of their units",
                ratios[0], ratios[1]
            )
        }
        Err(error @ SearchError::OverheadFit { .. }) => error.to_string(),
        Err(error) => return Err(error.into()),
    };
    say(&format!("warning: {problem}; using plain sums of units; measure again on an idle machine"));
    Ok(table)
}

/// A latency table that is estimated from whole networks.
pub struct Estimated {
    /// The table.
    pub table: LatencyTable,
    /// Networks that the judged table was fitted to; the rest was held out.
    pub fitted: usize,
    /// Agreement with the networks that were held out.
    pub fit: Fit,
}

impl Estimated {
    /// Estimates the table with this header from archs and their latencies. `seed` selects the held-out networks.
    ///
    /// # Errors
    ///
    /// Those of [`LatencyTable::from_networks`].
    pub fn new(space: &SearchSpace, header: LatencyHeader, latencies: &[(Arch, f64)], seed: u64) -> Result<Self> {
        Ok(LatencyTable::from_networks(space, header, latencies, seed)?.into())
    }

    /// How many networks there were, and the agreement, in one line.
    pub fn described(&self) -> String {
        let held_out = self.fit.points.len();
        format!(
            "{} networks; fitted on {}, {held_out} held out: {}",
            self.fitted + held_out,
            self.fitted,
            latency_agreement(&self.fit)
        )
    }

    /// Writes the table, and says so.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        make_parent(path)?;
        self.table.save(path)?;
        say(&format!("{} units in {}", self.table.units().len(), path.display()));
        Ok(())
    }
}

impl From<NetworkFit> for Estimated {
    fn from(NetworkFit { table, report }: NetworkFit) -> Self {
        Self { table, fitted: report.training_rows, fit: agreement(report.held_out) }
    }
}

/// Latencies of whole subnets, with interleaved repetitions.
///
/// # Errors
///
/// If the device fails.
pub fn whole_networks(
    settings: &LatencyConfig,
    supernet: &Supernet,
    archs: &[Arch],
    device: &LatencyDevice,
    pacemaker: Option<&mut Pacemaker<'_>>,
) -> Result<Vec<Timing>> {
    let run = |arch| device.run(supernet, arch, settings.batch);
    let mut runs = archs.iter().map(run).collect::<Result<Vec<TimedRun>, _>>()?;
    Ok(time_interleaved(settings, &mut runs, pacemaker)?)
}
