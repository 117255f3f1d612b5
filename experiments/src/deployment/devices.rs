//! [`Devices`]: the cost models of all devices.

use crate::config::{DeviceTables, Scenario, SearchConfig};
use anyhow::{Context, Result, bail, ensure};
use ofa_model::{Arch, SearchSpace};
use ofa_search::cost::AdditiveCost;
use ofa_search::predictors::MlpPredictor;
use ofa_search::{Constraint, LatencyTable, OriginalLatencyTable, Predictor};
use std::collections::BTreeMap;
use std::path::Path;

/// Latency and energy by device, and the device-independent costs (MACs, parameters).
pub struct Devices {
    space: SearchSpace,
    macs: AdditiveCost,
    parameters: AdditiveCost,
    /// By name; `None` is the latency table beside the accuracies.
    devices: BTreeMap<Option<String>, Device>,
    /// Predicts accuracies in 8-bit integers.
    int8: Option<MlpPredictor>,
}

struct Device {
    /// Resolutions covered by the latency table.
    resolutions: Vec<usize>,
    latency: AdditiveCost,
    energy: Option<AdditiveCost>,
}

impl Devices {
    /// Reads the tables that the scenarios need; `own` reads the latency table beside the accuracies.
    ///
    /// # Errors
    ///
    /// If a table cannot be read, lacks units (the error names them all), or is of another space or quantity.
    pub fn load(search: &SearchConfig, space: &SearchSpace, own: impl Fn() -> Result<LatencyTable>) -> Result<Self> {
        let mut devices = BTreeMap::new();
        for scenario in &search.scenarios {
            let limits_latency = scenario.latency_ms.is_some() || scenario.latency_share.is_some();
            let device = match &scenario.device {
                _ if devices.contains_key(&scenario.device) => continue,
                Some(name) => Device::load(&search.devices[name], space).with_context(|| format!("device `{name}`"))?,
                None if limits_latency => {
                    Device::own(&own, space).with_context(|| format!("scenario `{}` names no device", scenario.name))?
                }
                None => continue,
            };
            devices.insert(scenario.device.clone(), device);
        }
        let (macs, parameters) = (AdditiveCost::macs(space), AdditiveCost::parameters(space));
        Ok(Self { space: space.clone(), macs, parameters, devices, int8: None })
    }

    /// With a predictor of accuracies in 8-bit integers, for scenarios that limit them.
    pub fn with_int8(self, predictor: MlpPredictor) -> Self {
        Self { int8: Some(predictor), ..self }
    }

    /// The space of the tables.
    pub(super) fn whole_space(&self) -> &SearchSpace {
        &self.space
    }

    /// The space a scenario searches: restricted to the resolutions that its device's latency table covers.
    pub fn space(&self, scenario: &Scenario) -> SearchSpace {
        let resolutions = self.devices.get(&scenario.device).map(|device| device.resolutions.clone());
        SearchSpace { resolutions: resolutions.unwrap_or(self.space.resolutions.clone()), ..self.space.clone() }
    }

    /// The limits of a scenario, in the order latency, energy, MACs, parameters, error in integers.
    ///
    /// # Errors
    ///
    /// If latency is limited to a share of an implausible table, or accuracy in integers without a predictor of it.
    pub fn constraints(&self, scenario: &Scenario) -> Result<Vec<Constraint<'_>>> {
        let (latency, energy) = (self.latency(scenario), self.energy(scenario));
        let latency_ms = match (scenario.latency_share, latency) {
            (Some(share), Some(latency)) => Some(share_of(latency, &self.space(scenario), share)?),
            _ => scenario.latency_ms,
        };
        let costs = [
            ("latency", "ms", latency_ms, latency),
            ("energy", "mJ", scenario.energy_mj, energy),
            ("MACs", "MACs", scenario.macs.map(|macs| macs as f64), Some(&self.macs)),
            ("parameters", "parameters", scenario.parameters.map(|n| n as f64), Some(&self.parameters)),
        ];
        let limited = costs.into_iter().filter_map(|(name, unit, limit, cost)| Some((name, unit, limit?, cost?)));
        let mut limits: Vec<Constraint> = limited
            .map(|(name, unit, limit, cost)| Constraint::at_most(name, limit, unit, move |arch| cost.of(arch)))
            .collect();
        if let Some(least) = scenario.int8_top1 {
            let predictor = self.int8.as_ref().context("int8_top1 needs a predictor of accuracies in integers")?;
            // A search reports a cost that is not finite, with its arch.
            let error =
                move |arch: &Arch| predictor.predict(std::slice::from_ref(arch)).map_or(f64::NAN, |top1| 1.0 - top1[0]);
            limits.push(Constraint::at_most("int8 error", 1.0 - least, "of the images", error));
        }
        Ok(limits)
    }

    /// Latency in milliseconds on the scenario's device; `None` without a latency table.
    pub fn latency(&self, scenario: &Scenario) -> Option<&AdditiveCost> {
        self.devices.get(&scenario.device).map(|device| &device.latency)
    }

    /// Energy in millijoules on the scenario's device; `None` without an energy table.
    pub fn energy(&self, scenario: &Scenario) -> Option<&AdditiveCost> {
        self.devices.get(&scenario.device)?.energy.as_ref()
    }
}

impl Device {
    /// The device that the latency table beside the accuracies was measured on.
    fn own(table: impl Fn() -> Result<LatencyTable>, space: &SearchSpace) -> Result<Self> {
        Ok(Self { resolutions: space.resolutions.clone(), latency: table()?.cost_of(None, space)?, energy: None })
    }

    fn load(DeviceTables { latency, energy }: &DeviceTables, space: &SearchSpace) -> Result<Self> {
        let (latency, resolutions) = if latency.is_dir() {
            let table = OriginalLatencyTable::load(latency)?;
            let known: Vec<usize> = table.resolutions().collect();
            let resolutions: Vec<usize> = space.resolutions.iter().copied().filter(|r| known.contains(r)).collect();
            if resolutions.is_empty() {
                bail!(
                    "{} has latencies at {known:?} px, but `{}` has networks at {:?} px",
                    latency.display(),
                    space.name,
                    space.resolutions
                );
            }
            let space = SearchSpace { resolutions: resolutions.clone(), ..space.clone() };
            (table.cost(&space)?, resolutions)
        } else {
            (cost(latency, None, space)?, space.resolutions.clone())
        };
        let energy = energy.as_ref().map(|energy| cost(energy, Some(LatencyTable::ENERGY), space)).transpose()?;
        Ok(Self { resolutions, latency, energy })
    }
}

/// The latency at fraction `share` of the way from the smallest subnet to the largest.
fn share_of(latency: &AdditiveCost, space: &SearchSpace, share: f64) -> Result<f64> {
    let [low, high] = [0.0, 1.0].map(|share| latency.at_share(space, share));
    ensure!(
        low < high,
        "implausible latency table (smallest subnet {low:.3} ms, largest {high:.3} ms), probably measured on a busy \
         machine: measure it again (in a run, remove tables/latency.csv and resume)"
    );
    Ok(latency.at_share(space, share))
}

/// The cost model of a table in our format, which must be of this quantity (`None`: latency).
fn cost(path: &Path, quantity: Option<&str>, space: &SearchSpace) -> Result<AdditiveCost> {
    LatencyTable::load(path, space)?.cost_of(quantity, space).with_context(|| path.display().to_string())
}
