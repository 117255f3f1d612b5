//! [`Devices`]: the cost models of all devices.

use super::{Deployment, DeploymentFile};
use crate::tables::measured::MeasuredTables;
use anyhow::{Context, Result, bail};
use ofa_model::SearchSpace;
use ofa_search::cost::AdditiveCost;
use ofa_search::{Constraint, LatencyTable, OriginalLatencyTable};
use std::collections::BTreeMap;
use std::path::Path;

/// Latency and energy by device, and the device-independent costs (MACs, parameters).
pub struct Devices {
    space: SearchSpace,
    macs: AdditiveCost,
    parameters: AdditiveCost,
    /// By name; `None` is the latency table beside the accuracies.
    devices: BTreeMap<Option<String>, Device>,
}

struct Device {
    /// Resolutions covered by the latency table.
    resolutions: Vec<usize>,
    latency: AdditiveCost,
    energy: Option<AdditiveCost>,
}

impl Devices {
    /// Reads the tables that the scenarios need.
    ///
    /// # Errors
    ///
    /// If a table cannot be read, lacks units (the error names them all), or is of another space or quantity; or if a
    /// scenario without a device limits latency and no `latency.csv` lies beside the accuracies.
    pub fn load(file: &DeploymentFile, tables: &MeasuredTables) -> Result<Self> {
        let space = &tables.space;
        let mut devices = BTreeMap::new();
        for scenario in &file.scenarios {
            if devices.contains_key(&scenario.device) {
                continue;
            }
            let (latency, energy) = match (&scenario.device, scenario.latency_ms) {
                (Some(name), _) => (&file.devices[name].latency, file.devices[name].energy.as_deref()),
                (None, Some(_)) => (
                    tables.latency.as_ref().with_context(|| {
                        format!(
                            "scenario `{}` names no device, and there is no latency.csv beside the accuracies",
                            scenario.name
                        )
                    })?,
                    None,
                ),
                (None, None) => continue,
            };
            let device = Device::load(latency, energy, space).with_context(|| {
                scenario.device.as_ref().map_or("own device".into(), |name| format!("device `{name}`"))
            })?;
            devices.insert(scenario.device.clone(), device);
        }
        let (macs, parameters) = (AdditiveCost::macs(space), AdditiveCost::parameters(space));
        Ok(Self { space: space.clone(), macs, parameters, devices })
    }

    /// The space a scenario searches: restricted to the resolutions that its device's latency table covers.
    pub fn space(&self, scenario: &Deployment) -> SearchSpace {
        let resolutions = self.devices.get(&scenario.device).map(|device| device.resolutions.clone());
        SearchSpace { resolutions: resolutions.unwrap_or(self.space.resolutions.clone()), ..self.space.clone() }
    }

    /// The limits of a scenario, in the order latency, energy, MACs, parameters.
    pub fn constraints(&self, scenario: &Deployment) -> Vec<Constraint<'_>> {
        let device = self.devices.get(&scenario.device);
        let costs = [
            ("latency", "ms", scenario.latency_ms, device.map(|device| &device.latency)),
            ("energy", "mJ", scenario.energy_mj, device.and_then(|device| device.energy.as_ref())),
            ("MACs", "MACs", scenario.macs.map(|macs| macs as f64), Some(&self.macs)),
            ("parameters", "parameters", scenario.parameters.map(|n| n as f64), Some(&self.parameters)),
        ];
        let limited = costs.into_iter().filter_map(|(name, unit, limit, cost)| Some((name, unit, limit?, cost?)));
        limited
            .map(|(name, unit, limit, cost)| Constraint::at_most(name, limit, unit, move |arch| cost.of(arch)))
            .collect()
    }

    /// Latency in milliseconds on the scenario's device; `None` without a latency table.
    pub fn latency(&self, scenario: &Deployment) -> Option<&AdditiveCost> {
        self.devices.get(&scenario.device).map(|device| &device.latency)
    }

    /// Energy in millijoules on the scenario's device; `None` without an energy table.
    pub fn energy(&self, scenario: &Deployment) -> Option<&AdditiveCost> {
        self.devices.get(&scenario.device)?.energy.as_ref()
    }
}

impl Device {
    fn load(latency: &Path, energy: Option<&Path>, space: &SearchSpace) -> Result<Self> {
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
        let energy = energy.map(|energy| cost(energy, Some(LatencyTable::ENERGY), space)).transpose()?;
        Ok(Self { resolutions, latency, energy })
    }
}

/// The cost model of a table in our format, which must be of this quantity (`None`: latency).
fn cost(path: &Path, quantity: Option<&str>, space: &SearchSpace) -> Result<AdditiveCost> {
    LatencyTable::load(path, space)?.cost_of(quantity, space).with_context(|| path.display().to_string())
}
