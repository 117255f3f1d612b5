//! [`LatencyTable`]: measured latencies of units, which sum to the latency of any arch.

mod from_networks;
mod networks;
mod original;
mod overhead;
mod timed_rows;

pub use from_networks::NetworkFit;
pub use networks::NetworkLatencies;
pub use original::OriginalLatencyTable;
pub use overhead::Overhead;

use crate::SearchError;
use crate::cost::{AdditiveCost, distinct_units};
use crate::tables::table_file::{self, Format};
use crate::tables::unit_key::{format_unit, parse_unit};
use crate::timing::{Latency, LatencyConfig, device_name, on_device, smallest_units};
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace, Unit};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::ControlFlow;
use std::path::Path;
use timed_rows::{TimedFormat, TimedRows, checked};

/// The conditions under which a table was measured, and the fitted overhead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyHeader {
    /// Name of the search space whose units were measured.
    pub space: String,
    /// Name of the device, e.g. `Flex(Cpu)`.
    pub device: String,
    /// Images per forward pass.
    pub batch: usize,
    /// Number of threads, and the processor if noted.
    pub threads: String,
    /// The quantity and its unit (`energy_mj`) if the numbers are not milliseconds. Any cost that is a sum over units
    /// may have such a table, but the column names stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Time of the space's [`Pacemaker`](crate::timing::Pacemaker) in milliseconds at the machine's usual pace, to which
    /// all rows are scaled. `None`: rows are as measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace_ms: Option<f64>,
    /// Latency of whole networks relative to the sum of their units, if fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Overhead>,
}

impl LatencyHeader {
    /// The header of what is measured on `device` now, without a pace.
    fn new(space: &SearchSpace, device: &str, config: &LatencyConfig) -> Self {
        Self {
            space: space.name.clone(),
            device: device.to_owned(),
            batch: config.batch,
            threads: config.threads(),
            quantity: None,
            pace_ms: None,
            overhead: None,
        }
    }

    /// Fails if a number of the header is impossible, with the reason.
    fn check(&self) -> Result<(), String> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        if let Some(pace_ms) = self.pace_ms.filter(|&pace_ms| !positive(pace_ms)) {
            return Err(format!("pace_ms is {pace_ms}: it must be positive"));
        }
        match self.overhead {
            Some(Overhead { intercept_ms, slope }) if !(intercept_ms.is_finite() && positive(slope)) => Err(format!(
                "the overhead is {intercept_ms} ms with slope {slope}: both must be finite and the slope positive"
            )),
            _ => Ok(()),
        }
    }
}

/// Measured latencies of the units of a space on one device.
///
/// A network takes about as long as its units in sequence. [`LatencyTable::fit_overhead`] corrects the sum using
/// measurements of whole networks.
#[derive(Clone, Debug)]
pub struct LatencyTable {
    header: LatencyHeader,
    units: BTreeMap<Unit, Latency>,
    dropped_line: Option<String>,
}

struct LatencyFormat;

#[derive(Serialize, Deserialize)]
struct LatencyRow {
    unit: String,
    input_size: usize,
    macs: u64,
    median_ms: f64,
    iqr_ms: f64,
    samples: usize,
}

impl Format for LatencyFormat {
    const TITLE: &'static str = "latency table 1";
    const COLUMNS: &'static [&'static str] = &["unit", "input_size", "macs", "median_ms", "iqr_ms", "samples"];
    const RESULTS: &'static [&'static str] = &["overhead", "pace_ms"];
    type Header = LatencyHeader;
    type Row = LatencyRow;
}

impl TimedFormat for LatencyFormat {
    type Key = Unit;

    fn name(unit: &Unit) -> impl Display {
        format_unit(unit)
    }

    fn row(unit: &Unit, latency: &Latency) -> LatencyRow {
        LatencyRow::new(unit, latency)
    }

    fn check(row: &LatencyRow) -> Result<(Unit, Latency), String> {
        row.check()
    }
}

impl LatencyTable {
    /// The [`LatencyHeader::quantity`] of energy in millijoules.
    pub const ENERGY: &'static str = "energy_mj";

    /// Times every unit of `space` on `device` and appends the rows to the CSV file `path`.
    ///
    /// Units are timed in random groups, interleaved within a group and alongside a pace network, so load from other
    /// users of the machine does not make a single stage look slow. Each group is written when it is complete and an
    /// existing file is resumed, so a killed run loses only the group in progress (a few seconds). After each unit,
    /// `progress` receives the number of units done, their total, the unit and its latency; it can stop the measurement
    /// at the end of the group.
    ///
    /// # Errors
    ///
    /// If the file was measured for another space, device, batch or thread count (naming which), is damaged (naming the
    /// line) or cannot be written; if a setting is impossible or the device fails; or [`SearchError::Stopped`] if
    /// `progress` asked to stop.
    pub fn measure(
        path: &Path,
        space: &SearchSpace,
        device: &Device,
        config: &LatencyConfig,
        progress: impl FnMut(usize, usize, &Unit, &Latency) -> ControlFlow<()>,
    ) -> Result<Self, SearchError> {
        let header = LatencyHeader::new(space, &device_name(device), config);
        let mut units = distinct_units(space);
        units.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
        let pace = || Ok(smallest_units(space, device, config.batch));
        let run = |unit: &Unit| {
            let (network, input) = (unit.network(device), unit.input(config.batch, device));
            Ok(on_device(device, move || network.infer(input.clone())))
        };
        Ok(TimedRows::<LatencyFormat>::measure(path, &header, config, &units, pace, run, progress)?.into())
    }

    /// Reads the table at `path`, measured on `space`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, belongs to another space, or has a malformed, contradictory or impossible row
    /// (naming the line).
    pub fn load(path: &Path, space: &SearchSpace) -> Result<Self, SearchError> {
        let content = table_file::read::<LatencyFormat>(path)?;
        if content.header.space != space.name {
            return Err(SearchError::HeaderMismatch {
                path: path.to_owned(),
                field: "space".into(),
                found: content.header.space,
                expected: space.name.clone(),
            });
        }
        Ok(TimedRows::from_content(path, content)?.into())
    }

    /// Writes the whole table, including the fitted overhead, to `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SearchError> {
        let rows: Vec<LatencyRow> = self.units.iter().map(|(unit, latency)| LatencyRow::new(unit, latency)).collect();
        table_file::write::<LatencyFormat>(path, &self.header, &rows)
    }

    /// The conditions of measurement and the fitted overhead.
    pub fn header(&self) -> &LatencyHeader {
        &self.header
    }

    /// All measured units, in ascending order.
    pub fn units(&self) -> impl ExactSizeIterator<Item = (&Unit, &Latency)> {
        self.units.iter()
    }

    /// The unfinished last line left by a killed run, dropped on reading. `None` if absent.
    pub fn dropped_line(&self) -> Option<&str> {
        self.dropped_line.as_deref()
    }

    /// Latency of `arch` in milliseconds: the sum over its units, corrected by the overhead if fitted.
    ///
    /// For many archs, use [`LatencyTable::cost`].
    ///
    /// # Errors
    ///
    /// If `arch` is outside `space`, or the table lacks some of its units (naming all of them).
    pub fn latency_ms(&self, space: &SearchSpace, arch: &Arch) -> Result<f64, SearchError> {
        let sum = self.sum_ms(space, arch)?;
        Ok(self.header.overhead.map_or(sum, |overhead| overhead.intercept_ms + overhead.slope * sum))
    }

    fn sum_ms(&self, space: &SearchSpace, arch: &Arch) -> Result<f64, SearchError> {
        space.check(arch)?;
        let units = space.units(arch);
        self.require(space, &units)?;
        Ok(units.iter().map(|unit| self.units[unit].median_ms).sum())
    }

    /// Latency in milliseconds as an additive cost, precomputed for millions of look-ups.
    ///
    /// # Errors
    ///
    /// If the table lacks units of `space` (naming all of them).
    pub fn cost(&self, space: &SearchSpace) -> Result<AdditiveCost, SearchError> {
        self.require(space, &distinct_units(space))?;
        let cost = AdditiveCost::new(space, |unit| self.units[unit].median_ms);
        Ok(match self.header.overhead {
            Some(Overhead { intercept_ms, slope }) => cost.scaled(slope, intercept_ms),
            None => cost,
        })
    }

    /// Like [`LatencyTable::cost`], but requires the table to hold `quantity`. `None` means latency in milliseconds.
    ///
    /// # Errors
    ///
    /// If the table holds another quantity, or lacks units of `space` (naming all of them).
    pub fn cost_of(&self, quantity: Option<&str>, space: &SearchSpace) -> Result<AdditiveCost, SearchError> {
        let found = self.header.quantity.as_deref();
        if found == quantity {
            return self.cost(space);
        }
        let name = |quantity: Option<&str>| quantity.unwrap_or("latency in ms").to_owned();
        Err(SearchError::OtherQuantity { found: name(found), expected: name(quantity) })
    }

    /// Fits the overhead of whole networks, `measured = intercept + slope * sum`, by least squares on `(arch, measured
    /// milliseconds)`. Replaces any earlier fit. [`LatencyTable::save`] stores it.
    ///
    /// # Errors
    ///
    /// If there are fewer than three archs with different sums, a measurement is not positive, the fitted slope is not
    /// positive, or the table lacks units.
    pub fn fit_overhead(&mut self, space: &SearchSpace, measured: &[(Arch, f64)]) -> Result<Overhead, SearchError> {
        let mut points = Vec::with_capacity(measured.len());
        for (arch, ms) in measured {
            if !(ms.is_finite() && *ms > 0.0) {
                return Err(SearchError::InvalidLatency { arch: arch.to_string(), latency_ms: *ms });
            }
            points.push((self.sum_ms(space, arch)?, *ms));
        }
        let overhead = Overhead::fit(&points)?;
        self.header.overhead = Some(overhead);
        Ok(overhead)
    }

    fn require(&self, space: &SearchSpace, units: &[Unit]) -> Result<(), SearchError> {
        let missing: Vec<String> =
            units.iter().filter(|unit| !self.units.contains_key(unit)).map(format_unit).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(SearchError::MissingUnits { device: self.header.device.clone(), space: space.name.clone(), missing })
    }
}

impl From<TimedRows<LatencyFormat>> for LatencyTable {
    fn from(TimedRows { header, latencies, dropped_line }: TimedRows<LatencyFormat>) -> Self {
        Self { header, units: latencies, dropped_line }
    }
}

impl LatencyRow {
    fn new(unit: &Unit, latency: &Latency) -> Self {
        Self {
            unit: format_unit(unit),
            input_size: unit.input_size,
            macs: unit.cost().macs,
            median_ms: latency.median_ms,
            iqr_ms: latency.iqr_ms,
            samples: latency.samples,
        }
    }

    fn check(&self) -> Result<(Unit, Latency), String> {
        let unit = parse_unit(&self.unit)?;
        if (self.input_size, self.macs) != (unit.input_size, unit.cost().macs) {
            return Err(format!(
                "`{}` has input size {} and {} MACs here, but its shape gives {} and {}",
                self.unit,
                self.input_size,
                self.macs,
                unit.input_size,
                unit.cost().macs
            ));
        }
        let &Self { median_ms, iqr_ms, samples, .. } = self;
        Ok((unit, checked(&self.unit, Latency { median_ms, iqr_ms, samples })?))
    }
}

#[cfg(test)]
mod tests;
