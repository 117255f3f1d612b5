//! [`DesignCost`]: the cost of designing networks for many deployment scenarios, as published and as measured.

use crate::run::records::PhaseTime;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// Pounds of CO2 equivalent per GPU hour. From the largest row of ICLR 2020, table 1 (MnasNet: 453.8k for 1,600k
/// hours), computed after Strubell et al. 2019.
pub const CO2E_LBS_PER_GPU_HOUR: f64 = 453.8 / 1600.0;

/// Cost of a method: a fixed part, and a part per deployment scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct DesignCost {
    /// Name of the method.
    pub method: String,
    /// Hours paid once, for all scenarios together.
    pub once_hours: f64,
    /// Hours per scenario.
    pub scenario_hours: f64,
}

/// The cost of a method for a number of scenarios; a row of the output of `ofa cost`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DesignCostRow {
    /// Name of the method.
    pub method: String,
    /// Number of deployment scenarios.
    pub scenarios: u32,
    /// GPU hours for published methods, hours of the run's machine for a run.
    pub hours: f64,
    /// Pounds of CO2 equivalent; `None` for a run.
    pub co2e_lbs: Option<f64>,
}

impl DesignCost {
    fn new(method: &str, once_hours: f64, scenario_hours: f64) -> Self {
        Self { method: method.into(), once_hours, scenario_hours }
    }

    /// The methods OFA is compared with, search plus training hours: ICLR 2020, table 1 (arXiv v1 has the same
    /// numbers).
    pub fn others() -> Vec<Self> {
        vec![
            Self::new("MnasNet", 0.0, 40_000.0),
            Self::new("FBNet-C", 0.0, 216.0 + 360.0),
            Self::new("ProxylessNAS", 0.0, 200.0 + 300.0),
        ]
    }

    /// OFA, training plus search, without fine-tuning and with 25 or 75 epochs of it per scenario, at one hour per
    /// epoch.
    ///
    /// Search costs 200 hours in arXiv:1908.09791v1 (16,000 measured subnets, table look-up) and 40 in ICLR 2020,
    /// table 1 (a predictor). Training costs 1,200 V100 hours in both.
    pub fn once_for_all() -> Vec<Self> {
        let of_version = |(version, search)| {
            [("", 0.0), (" #25", 25.0), (" #75", 75.0)]
                .map(|(tuned, hours)| Self::new(&format!("OFA {version}{tuned}"), 1_200.0 + search, hours))
        };
        [("v1", 200.0), ("ICLR", 40.0)].map(of_version).concat()
    }

    /// The cost of a finished run, from its `phases.json`. Training, tables and predictor count once; search (by all
    /// strategies) and specialisation are divided by the number of scenarios in `search/answers.csv`.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, a phase is missing, or no scenario was answered.
    pub fn of_run(run: &Path) -> Result<Self> {
        let path = run.join("phases.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let phases: Vec<PhaseTime> = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
        let hours = |names: &[&str]| {
            names.iter().try_fold(0.0, |sum, name| {
                let phase = phases.iter().find(|phase| phase.name == *name);
                let phase = phase.with_context(|| format!("{}: no phase `{name}`, unfinished run?", path.display()))?;
                Ok::<_, anyhow::Error>(sum + phase.seconds / 3600.0)
            })
        };
        let once = hours(&["training", "accuracy table", "latency table", "predictor"])?;
        let each = hours(&["search", "specialisation"])? / scenarios(&run.join("search/answers.csv"))? as f64;
        Ok(Self::new(&run.display().to_string(), once, each))
    }

    /// Hours for `scenarios` scenarios.
    pub fn hours(&self, scenarios: u32) -> f64 {
        self.once_hours + self.scenario_hours * f64::from(scenarios)
    }

    /// The number of scenarios from which this method is cheaper than `other`; `None` if it never is.
    pub fn break_even(&self, other: &Self) -> Option<u32> {
        let saved = other.scenario_hours - self.scenario_hours;
        let invested = self.once_hours - other.once_hours;
        (saved > 0.0).then(|| (invested / saved).floor().max(0.0) as u32 + 1)
    }

    /// One row per number of scenarios; with a CO2 equivalent if `published`, since those hours are GPU hours.
    pub fn rows(&self, scenarios: &[u32], published: bool) -> impl Iterator<Item = DesignCostRow> {
        scenarios.iter().map(move |&scenarios| {
            let hours = self.hours(scenarios);
            let co2e_lbs = published.then_some(hours * CO2E_LBS_PER_GPU_HOUR);
            DesignCostRow { method: self.method.clone(), scenarios, hours, co2e_lbs }
        })
    }
}

/// Number of distinct scenarios in a file of answers.
fn scenarios(path: &Path) -> Result<usize> {
    let read = || -> Result<BTreeSet<String>> {
        let mut reader = csv::Reader::from_path(path)?;
        let column = reader.headers()?.iter().position(|name| name == "scenario").context("no column `scenario`")?;
        reader.records().map(|record| Ok(record?.get(column).unwrap_or_default().to_owned())).collect()
    };
    let scenarios = read().with_context(|| format!("{}", path.display()))?;
    ensure!(!scenarios.is_empty(), "{}: no scenario was answered", path.display());
    Ok(scenarios.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cost of each other method relative to the named one, for `scenarios` scenarios.
    fn ratios(name: &str, scenarios: u32) -> Vec<f64> {
        let ofa = DesignCost::once_for_all().into_iter().find(|method| method.method == name).unwrap();
        DesignCost::others().iter().map(|other| other.hours(scenarios) / ofa.hours(scenarios)).collect()
    }

    fn rounded(ratios: &[f64], digits: i32) -> Vec<f64> {
        let scale = 10f64.powi(digits);
        ratios.iter().map(|ratio| (ratio * scale).round() / scale).collect()
    }

    #[test]
    fn forty_scenarios_cost_what_the_papers_say() {
        // arXiv v1: 1,142x, 16x, 14x in GPU hours, truncated to whole numbers; not truncated with fine-tuning.
        let whole: Vec<f64> = ratios("OFA v1", 40).iter().map(|ratio| ratio.floor()).collect();
        assert_eq!(whole, [1142.0, 16.0, 14.0]);
        assert_eq!(rounded(&ratios("OFA v1 #25", 40), 1), [666.7, 9.6, 8.3]);
        // ICLR 2020: 1,300x, 19x, 16x in CO2e, which is proportional to GPU hours.
        let iclr = ratios("OFA ICLR", 40);
        assert_eq!([rounded(&iclr[..1], -2), rounded(&iclr[1..], 0)].concat(), [1300.0, 19.0, 16.0]);
    }

    #[test]
    fn co2e_is_that_of_table_1() {
        // Thousands of pounds at 40 scenarios, to the printed digits: MnasNet, FBNet-C, ProxylessNAS, OFA plain and
        // #25.
        let methods = DesignCost::others().into_iter().chain(DesignCost::once_for_all());
        let thousands: Vec<f64> = methods
            .flat_map(|method| method.rows(&[40], true).collect::<Vec<_>>())
            .map(|row| row.co2e_lbs.unwrap() / 1e3)
            .collect();
        assert_eq!(rounded(&thousands[..3], 1), [453.8, 6.5, 5.7]);
        // Table 1 has 0.34 and 0.62, computed from hours rounded to 1.2k and 2.2k; the exact hours give 0.352 and
        // 0.635.
        assert_eq!(rounded(&thousands[6..], 2), [0.35, 0.64, 1.2]);
    }

    #[test]
    fn one_scenario_is_dearer_and_the_third_pays() {
        let others = DesignCost::others();
        for (name, expected) in [("OFA v1", [1, 3, 3]), ("OFA ICLR", [1, 3, 3]), ("OFA ICLR #75", [1, 3, 3])] {
            let ofa = DesignCost::once_for_all().into_iter().find(|method| method.method == name).unwrap();
            for (other, expected) in others.iter().zip(expected) {
                let n = ofa.break_even(other).unwrap();
                assert_eq!(n, expected, "{name} against {}", other.method);
                assert!(ofa.hours(n) < other.hours(n), "{name}");
                assert!(n == 1 || ofa.hours(n - 1) >= other.hours(n - 1), "{name}");
                assert_eq!(other.break_even(&ofa), None);
            }
        }
        assert_eq!(rounded(&ratios("OFA v1", 1), 3)[2], 0.357);
    }

    #[test]
    fn a_run_pays_training_and_tables_once() {
        let dir = tempfile::tempdir().unwrap();
        let message = || format!("{:#}", DesignCost::of_run(dir.path()).unwrap_err());
        assert!(message().contains("phases.json"), "{}", message());
        let phase = |(name, hours): (&str, f64)| format!(r#"{{"name":"{name}","seconds":{}}}"#, hours * 3600.0);
        let write = |phases: &[(&str, f64)]| {
            let phases: Vec<String> = phases.iter().copied().map(phase).collect();
            std::fs::write(dir.path().join("phases.json"), format!("[{}]", phases.join(","))).unwrap();
        };
        let phases = [("training", 4.0), ("accuracy table", 1.0), ("latency table", 0.5), ("predictor", 0.25)];
        write(&phases);
        assert!(message().contains("no phase `search`"), "{}", message());
        write(
            &[phases.as_slice(), &[("search", 0.5), ("specialisation", 1.0), ("test of the extremes", 9.0)]].concat(),
        );
        assert!(message().contains("answers.csv"), "{}", message());
        std::fs::create_dir(dir.path().join("search")).unwrap();
        let answers =
            |rows: &str| std::fs::write(dir.path().join("search/answers.csv"), format!("scenario,arch\n{rows}"));
        answers("").unwrap();
        assert!(message().contains("no scenario"), "{}", message());
        answers("tight,a\ntight,b\nloose,a\n").unwrap();
        let cost = DesignCost::of_run(dir.path()).unwrap();
        assert_eq!((cost.once_hours, cost.scenario_hours, cost.hours(40)), (5.75, 0.75, 35.75));
    }
}
