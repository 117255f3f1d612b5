//! The file of scenarios, `scenarios.toml`.

use crate::config::{names_a_directory, twice};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Contents of a `scenarios.toml`.
///
/// ```
/// let text = r#"
///     queries = 2000
///
///     [devices.note10]
///     latency = "note10_lookup_tables"   # the original's YAML files, or a latency.csv
///
///     [[scenario]]
///     name = "phone"
///     device = "note10"
///     latency_ms = [15, 20, 25]          # three scenarios: phone-15ms, phone-20ms, phone-25ms
///     parameters = 6_000_000
/// "#;
/// let file = experiments::deployment::DeploymentFile::parse(text, "".as_ref())?;
/// assert_eq!(file.scenarios[1].name, "phone-20ms");
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentFile {
    /// Predictor queries per scenario.
    pub queries: u64,
    /// Seed of the searches.
    pub seed: u64,
    /// Device tables, by name; paths are relative to the file.
    pub devices: BTreeMap<String, DeviceTables>,
    /// The scenarios; a list of latency limits is expanded to one scenario each.
    pub scenarios: Vec<Deployment>,
}

/// The tables of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceTables {
    /// A latency table, or a directory of the original's YAML files.
    pub latency: PathBuf,
    /// An energy table in the format of a latency table, in millijoules and with `quantity` set to `energy_mj`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<PathBuf>,
}

/// One scenario; all its limits must be met.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Unique name, also of the subnet's directory.
    pub name: String,
    /// Device whose tables give latency and energy; if `None`, the latency table beside the accuracies is used.
    pub device: Option<String>,
    /// Maximum latency in milliseconds.
    pub latency_ms: Option<f64>,
    /// Maximum energy in millijoules.
    pub energy_mj: Option<f64>,
    /// Maximum MACs.
    pub macs: Option<u64>,
    /// Maximum number of parameters.
    pub parameters: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default = "default_queries")]
    queries: u64,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    devices: BTreeMap<String, DeviceTables>,
    scenario: Vec<WrittenScenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenScenario {
    name: String,
    device: Option<String>,
    latency_ms: Option<OneOrMany>,
    energy_mj: Option<f64>,
    macs: Option<u64>,
    parameters: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(f64),
    Many(Vec<f64>),
}

fn default_queries() -> u64 {
    2_000
}

impl DeploymentFile {
    /// Reads and validates a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has an unknown key, a missing key or an invalid value; the error names the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, directory).with_context(|| path.display().to_string())
    }

    /// Parses and validates TOML text; paths in it are relative to `directory`.
    ///
    /// # Errors
    ///
    /// If it has an unknown key, a missing key or an invalid value.
    pub fn parse(text: &str, directory: &Path) -> Result<Self> {
        let Written { queries, seed, mut devices, scenario } = toml::from_str(text)?;
        ensure!(queries > 0, "queries is 0, it must be positive");
        ensure!(!scenario.is_empty(), "the file has no [[scenario]]");
        for tables in devices.values_mut() {
            tables.latency = directory.join(&tables.latency);
            tables.energy = tables.energy.take().map(|energy| directory.join(energy));
        }
        let scenarios: Vec<Deployment> = scenario.into_iter().flat_map(WrittenScenario::each).collect();
        scenarios.iter().try_for_each(|scenario| scenario.validate(&devices))?;
        if let Some(name) = twice(&scenarios.iter().map(|scenario| &scenario.name).collect::<Vec<_>>()) {
            bail!("two scenarios are named `{name}`");
        }
        Ok(Self { queries, seed, devices, scenarios })
    }
}

impl WrittenScenario {
    /// The scenario, or one per latency limit.
    fn each(self) -> Vec<Deployment> {
        let Self { name, device, latency_ms, energy_mj, macs, parameters } = self;
        let one = |name: String, latency_ms: Option<f64>| Deployment {
            name,
            device: device.clone(),
            latency_ms,
            energy_mj,
            macs,
            parameters,
        };
        match latency_ms {
            None => vec![one(name, None)],
            Some(OneOrMany::One(ms)) => vec![one(name, Some(ms))],
            Some(OneOrMany::Many(limits)) => {
                limits.into_iter().map(|ms| one(format!("{name}-{ms}ms"), Some(ms))).collect()
            }
        }
    }
}

impl Deployment {
    fn validate(&self, devices: &BTreeMap<String, DeviceTables>) -> Result<()> {
        let name = &self.name;
        names_a_directory(name)?;
        if let Some(device) = self.device.as_ref().filter(|device| !devices.contains_key(*device)) {
            let known = devices.keys().map(|device| format!("`{device}`")).collect::<Vec<_>>().join(", ");
            bail!("scenario `{name}`: no device `{device}`; [devices] has: {known}");
        }
        let limits = [self.latency_ms, self.energy_mj, self.macs.map(|n| n as f64), self.parameters.map(|n| n as f64)];
        ensure!(
            limits.iter().any(Option::is_some),
            "scenario `{name}` has none of latency_ms, energy_mj, macs and parameters: set at least one limit"
        );
        if let Some(limit) = limits.into_iter().flatten().find(|limit| !(limit.is_finite() && *limit > 0.0)) {
            bail!("scenario `{name}`: a limit is {limit}, it must be positive");
        }
        let energy = self.device.as_ref().and_then(|device| devices[device].energy.as_ref());
        ensure!(
            self.energy_mj.is_none() || energy.is_some(),
            "scenario `{name}` limits energy_mj, but its device names no `energy` table"
        );
        Ok(())
    }
}
