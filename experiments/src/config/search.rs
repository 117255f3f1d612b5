//! [`SearchConfig`]: the scenarios to find networks for, as `[search]` of a run or as a file of their own.

use super::twice;
use anyhow::{Context, Result, bail, ensure};
use ofa_model::read_text;
use ofa_search::StrategyKind;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What to search for, and how.
///
/// ```
/// let text = r#"
///     queries = 2000
///     strategies = ["random", "evolution"]
///
///     [devices.note10]
///     latency = "note10_lookup_tables"   # the original's YAML files, or a latency.csv
///
///     [[scenarios]]
///     name = "phone"
///     device = "note10"
///     latency_ms = [15, 20, 25]          # three scenarios: phone-15ms, phone-20ms, phone-25ms
///     parameters = 6_000_000
/// "#;
/// let search = experiments::config::SearchConfig::parse(text, "".as_ref())?;
/// assert_eq!(search.scenarios[1].name, "phone-20ms");
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    /// Objective evaluations per strategy and scenario.
    #[serde(default = "default_queries")]
    pub queries: u64,
    /// Seed of the searches. If absent, that of the run; 0 in a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Strategies that answer each scenario. If absent, table look-up, random search and evolution; evolution alone in
    /// a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategies: Option<Vec<StrategyKind>>,
    /// What is maximised.
    #[serde(default, skip_serializing_if = "Objective::is_default")]
    pub objective: Objective,
    /// Tables of other devices, by name. Paths are relative to the file, in a run to the working directory.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: BTreeMap<String, DeviceTables>,
    /// The scenarios; a list of latency limits is expanded to one scenario each.
    #[serde(alias = "scenario", deserialize_with = "expanded")]
    pub scenarios: Vec<Scenario>,
}

/// What a search maximises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Top-1 accuracy.
    #[default]
    Top1,
    /// Top-1 accuracy in 8-bit integers, from the column `int8_top1` of the accuracy table.
    Int8Top1,
}

impl Objective {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
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

/// Limits that a network must all meet. `Latency` is what a file may say for `latency_ms`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario<Latency = f64> {
    /// Unique name, also of the subnet's directory.
    pub name: String,
    /// Device whose tables give latency and energy. If absent, the latency table beside the accuracies is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Maximum latency by table, in milliseconds.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Latency>,
    /// The same as a fraction, 0 to 1, of the way from the smallest to the largest subnet; for unknown machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_share: Option<f64>,
    /// Maximum energy by table, in millijoules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_mj: Option<f64>,
    /// Maximum MACs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<u64>,
    /// Maximum number of parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Minimum top-1 accuracy in 8-bit integers as predicted from the accuracy table, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8_top1: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "latency_ms must be a number or a list of numbers")]
enum OneOrMany {
    One(f64),
    Many(Vec<f64>),
}

fn default_queries() -> u64 {
    2_000
}

/// serde would ask for `Latency: Default`.
fn none<T>() -> Option<T> {
    None
}

fn expanded<'de, D: Deserializer<'de>>(written: D) -> Result<Vec<Scenario>, D::Error> {
    let written = Vec::<Scenario<OneOrMany>>::deserialize(written)?;
    let empty = |scenario: &&Scenario<_>| matches!(&scenario.latency_ms, Some(OneOrMany::Many(all)) if all.is_empty());
    match written.iter().find(empty) {
        Some(Scenario { name, .. }) => Err(D::Error::custom(format!("scenario `{name}`: latency_ms is an empty list"))),
        None => Ok(written.into_iter().flat_map(Scenario::each).collect()),
    }
}

impl Scenario<OneOrMany> {
    /// The scenario, or one per latency limit.
    fn each(self) -> Vec<Scenario> {
        let Self { name, device, latency_ms, latency_share, energy_mj, macs, parameters, int8_top1 } = self;
        let one = |name: String, latency_ms: Option<f64>| Scenario {
            name,
            device: device.clone(),
            latency_ms,
            latency_share,
            energy_mj,
            macs,
            parameters,
            int8_top1,
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

impl SearchConfig {
    /// Reads and validates a file of scenarios.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has an unknown key, a missing key or an invalid value; the error names the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, directory).with_context(|| path.display().to_string())
    }

    /// Parses and validates the text of a file of scenarios; paths in it are relative to `directory`.
    ///
    /// # Errors
    ///
    /// If it has an unknown key, a missing key or an invalid value.
    pub fn parse(text: &str, directory: &Path) -> Result<Self> {
        let mut search: Self = toml::from_str(text)?;
        for tables in search.devices.values_mut() {
            tables.latency = directory.join(&tables.latency);
            tables.energy = tables.energy.take().map(|energy| directory.join(energy));
        }
        ensure!(!search.scenarios.is_empty(), "the file has no [[scenarios]]");
        search.validate()?;
        Ok(search)
    }

    /// Whether the accuracy table must have the column `int8_top1`.
    pub fn asks_for_int8(&self) -> bool {
        self.objective == Objective::Int8Top1 || self.scenarios.iter().any(|scenario| scenario.int8_top1.is_some())
    }

    /// Checks the values beyond their types.
    ///
    /// # Errors
    ///
    /// If a value is invalid; the error names the scenario, the key and the value.
    pub fn validate(&self) -> Result<()> {
        ensure!(self.queries > 0, "queries is 0, it must be positive");
        if let Some(strategies) = &self.strategies {
            ensure!(!strategies.is_empty(), "strategies is empty: name at least one, or drop the key");
            if let Some(kind) = twice(strategies) {
                bail!("strategies names {kind:?} twice");
            }
        }
        if let Some(name) = twice(&self.scenarios.iter().map(|scenario| &scenario.name).collect::<Vec<_>>()) {
            bail!("two scenarios are named `{name}`: each needs its own directory");
        }
        let validate = |scenario: &Scenario| {
            scenario.validate(&self.devices).with_context(|| format!("scenario `{}`", scenario.name))
        };
        self.scenarios.iter().try_for_each(validate)
    }
}

impl Scenario {
    fn validate(&self, devices: &BTreeMap<String, DeviceTables>) -> Result<()> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        ensure!(
            self.name.chars().all(allowed) && self.name.chars().any(|c| c != '.'),
            "use only letters, digits, `-`, `_` and `.`, and not dots alone: the name names a directory"
        );
        let limits = [
            ("latency_ms", self.latency_ms),
            ("latency_share", self.latency_share),
            ("energy_mj", self.energy_mj),
            ("macs", self.macs.map(|n| n as f64)),
            ("parameters", self.parameters.map(|n| n as f64)),
            ("int8_top1", self.int8_top1),
        ];
        let given = || limits.into_iter().filter_map(|(key, limit)| Some((key, limit?)));
        ensure!(given().next().is_some(), "no limit: set at least one of {}", limits.map(|(key, _)| key).join(", "));
        for (key, limit) in given() {
            match key {
                "latency_share" => {
                    ensure!((0.0..=1.0).contains(&limit), "{key} is {limit}, it must be between 0 and 1");
                }
                // The error that it leaves is a limit, and limits are positive.
                "int8_top1" => {
                    ensure!((0.0..1.0).contains(&limit), "{key} is {limit}, it must be at least 0 and below 1");
                }
                _ => ensure!(limit.is_finite() && limit > 0.0, "{key} is {limit}, it must be positive and finite"),
            }
        }
        ensure!(
            self.latency_ms.is_none() || self.latency_share.is_none(),
            "latency_ms and latency_share both limit latency: set one of them"
        );
        let tables = self.device.as_ref().map(|device| {
            let known = || devices.keys().map(|device| format!("`{device}`")).collect::<Vec<_>>().join(", ");
            devices.get(device).with_context(|| format!("no device `{device}`; [devices] has: {}", known()))
        });
        let energy = tables.transpose()?.and_then(|tables| tables.energy.as_ref());
        ensure!(
            self.energy_mj.is_none() || energy.is_some(),
            "energy_mj needs a `device` whose entry in [devices] names an `energy` table"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SearchConfig> {
        SearchConfig::parse(text, Path::new(""))
    }

    #[test]
    fn both_earlier_dialects_are_one() {
        // `[search]` of a run, and a file of scenarios with its singular key.
        let of_run = "[[scenarios]]\nname = \"a\"\nlatency_share = 0.15\n[[scenarios]]\nname = \"b\"\nmacs = 2";
        let of_file = "[[scenario]]\nname = \"a\"\nlatency_share = 0.15\n[[scenario]]\nname = \"b\"\nmacs = 2";
        let search = parse(of_run).unwrap();
        assert_eq!(search, parse(of_file).unwrap());
        assert_eq!((search.queries, search.seed, &search.strategies), (2_000, None, &None));
        let expected = [
            Scenario { name: "a".into(), latency_share: Some(0.15), ..Scenario::default() },
            Scenario { name: "b".into(), macs: Some(2), ..Scenario::default() },
        ];
        assert_eq!(search.scenarios, expected);
    }

    #[test]
    fn every_limit_goes_with_every_other_and_is_written_as_it_is_read() {
        let text = "strategies = [\"nsga2\", \"table\"]\nseed = 3\n[devices.d]\nlatency = \"l\"\nenergy = \"e\"\n\
                    [[scenarios]]\nname = \"a\"\ndevice = \"d\"\nlatency_ms = [1.5, 2]\nenergy_mj = 3\nmacs = 4\n\
                    parameters = 5\nint8_top1 = 0.9\n[[scenarios]]\nname = \"b\"\nlatency_share = 0.5\nparameters = 6";
        let search = parse(text).unwrap();
        assert_eq!(search.strategies, Some(vec![StrategyKind::Nsga2, StrategyKind::Table]));
        let names: Vec<(&str, Option<f64>)> =
            search.scenarios.iter().map(|scenario| (scenario.name.as_str(), scenario.latency_ms)).collect();
        assert_eq!(names, [("a-1.5ms", Some(1.5)), ("a-2ms", Some(2.0)), ("b", None)]);
        let Scenario { energy_mj, macs, parameters, int8_top1, .. } = search.scenarios[1];
        assert_eq!((energy_mj, macs, parameters, int8_top1), (Some(3.0), Some(4), Some(5), Some(0.9)));
        assert_eq!((search.objective, search.asks_for_int8()), (Objective::Top1, true));
        assert_eq!(parse(&toml::to_string_pretty(&search).unwrap()).unwrap(), search);
    }

    /// Every TOML file below a directory.
    fn configurations(dir: &Path) -> Vec<PathBuf> {
        let paths = || std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let here = paths().filter(|path| path.extension() == Some("toml".as_ref()));
        here.chain(paths().filter(|path| path.is_dir()).flat_map(|path| configurations(&path))).collect()
    }

    #[test]
    fn searches_on_record_are_read_and_written_as_they_are() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut read = 0;
        for path in [configurations(&root.join("records")), configurations(&root.join("configs"))].concat() {
            let text = std::fs::read_to_string(&path).unwrap();
            let config: toml::Table = toml::from_str(&text).unwrap();
            let base = config.get("base").and_then(toml::Value::as_table).unwrap_or(&config);
            if let Some(written) = base.get("search") {
                let search: SearchConfig = written.clone().try_into().unwrap();
                search.validate().unwrap();
                assert_eq!(&toml::Value::try_from(&search).unwrap(), written, "{}", path.display());
                read += 1;
            }
        }
        assert!(read > 60, "{read}");
        assert_eq!(SearchConfig::load(&root.join("configs/scenarios.toml")).unwrap().scenarios.len(), 7);
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_scenario_and_key() {
        let a = |keys: &str| format!("[devices.d]\nlatency = \"l\"\n[[scenario]]\nname = \"a\"\n{keys}");
        let cases = [
            (String::new(), "missing field `scenarios`"),
            ("scenarios = []".to_owned(), "no [[scenarios]]"),
            (format!("queries = 0\n{}", a("macs = 1")), "queries is 0"),
            (format!("strategies = []\n{}", a("macs = 1")), "strategies is empty"),
            (format!("strategies = [\"table\", \"table\"]\n{}", a("macs = 1")), "strategies names Table twice"),
            (format!("strategies = [\"luck\"]\n{}", a("macs = 1")), "unknown variant `luck`, expected one of `table`"),
            (a(""), "scenario `a`: no limit: set at least one of latency_ms, latency_share, energy_mj, macs"),
            (a("macs = 0"), "scenario `a`: macs is 0"),
            (a("latency_ms = [1.0, -1.0]"), "scenario `a--1ms`: latency_ms is -1"),
            (a("latency_ms = inf"), "scenario `a`: latency_ms is inf"),
            (a("latency_ms = []"), "scenario `a`: latency_ms is an empty list"),
            (a("latency_ms = \"1\""), "latency_ms must be a number or a list"),
            (a("latency_share = nan"), "scenario `a`: latency_share is NaN"),
            (a("latency_share = 1.5"), "scenario `a`: latency_share is 1.5"),
            (a("int8_top1 = 92"), "scenario `a`: int8_top1 is 92, it must be at least 0 and below 1"),
            (
                format!("objective = \"int8\"\n{}", a("macs = 1")),
                "unknown variant `int8`, expected `top1` or `int8_top1`",
            ),
            (a("latency_ms = 1\nlatency_share = 0.5"), "scenario `a`: latency_ms and latency_share both"),
            (a("latency = 1.0"), "unknown field `latency`"),
            (a("device = \"b\"\nmacs = 1"), "scenario `a`: no device `b`; [devices] has: `d`"),
            (a("energy_mj = 1"), "scenario `a`: energy_mj needs"),
            (a("device = \"d\"\nenergy_mj = 1"), "scenario `a`: energy_mj needs"),
            (a("macs = 1\n[[scenario]]\nname = \"a\"\nmacs = 2"), "two scenarios are named `a`"),
            ("[[scenario]]\nname = \"../a\"\nmacs = 1".to_owned(), "scenario `../a`: use only letters"),
            ("[[scenario]]\nname = \"..\"\nmacs = 1".to_owned(), "not dots alone"),
        ];
        for (text, expected) in cases {
            let message = format!("{:#}", parse(&text).unwrap_err());
            assert!(message.contains(expected), "{message}, not {expected}");
        }
    }
}
