//! The search ablation: strategies at equal queries, on problems whose optimum is known exactly or nearly so.

pub mod choice;
mod contest;
mod contestant;
mod controller;
mod examined;
mod findings;
mod fronts;
pub mod int8;
mod tasks;

pub use contest::{CurveRow, Found, SearchRow, contest};
pub use contestant::Contestant;
pub use controller::controller_search;
pub use examined::Examined;
pub use findings::{Standing, TARGETS, TaskFindings, findings};
pub use fronts::{FrontRow, FrontStanding, front_standings, fronts};
pub use tasks::{Additive, Task, Trained, tasks};

use crate::machine::environment::Machine;
use anyhow::{Result, bail, ensure};
use ofa_search::EvolutionConfig;
use serde::Serialize;

/// All data of the report.
#[derive(Clone, Debug, Serialize)]
pub struct SearchFindings {
    /// Settings of the comparison.
    pub ablation: SearchAblation,
    /// Directory the tables come from.
    pub tables: String,
    /// The machine it ran on.
    pub machine: Machine,
    /// Results per task.
    pub tasks: Vec<TaskFindings>,
    /// Results of front searches, for the tasks that have them.
    pub fronts: Vec<FrontStanding>,
}

/// Size of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchAblation {
    /// Queries per search.
    pub queries: u64,
    /// Seeds per strategy: 1, 2, ...
    pub seeds: u64,
    /// Seed of the scores of the additive task.
    pub task_seed: u64,
    /// Budgets as fractions of the way from the smallest arch (0) to the largest (1).
    pub shares: Vec<f64>,
    /// Budgets of the additive task, in MACs of MobileNetV3 at width 1.
    pub macs: Vec<f64>,
    /// Number of resolutions in the space that is enumerated.
    pub counted_resolutions: usize,
    /// Searches that evolution runs per front; they share the queries equally.
    pub front_searches: u64,
    /// Whether MnasNet's controller takes part, whose searches take 20 times longer.
    pub controller: bool,
}

impl SearchAblation {
    /// `smoke` (a check that takes seconds) or `default`: the original's population of 100 and 60 generations, 20
    /// seeds.
    ///
    /// # Errors
    ///
    /// If no preset has this name.
    pub fn preset(name: &str) -> Result<Self> {
        let default = Self {
            queries: 6_100,
            seeds: 20,
            task_seed: 1,
            shares: vec![0.15, 0.35],
            macs: vec![2e8, 3e8],
            counted_resolutions: 1,
            front_searches: 10,
            controller: false,
        };
        match name {
            "default" => Ok(default),
            "smoke" => {
                Ok(Self { queries: 300, seeds: 2, shares: vec![0.25], macs: vec![2e8], front_searches: 3, ..default })
            }
            _ => bail!("unknown search ablation `{name}`; choose one of: smoke, default"),
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// If there are too few queries or no seeds; the error names the setting and its value.
    pub fn validate(&self) -> Result<()> {
        let Self { queries, seeds, .. } = *self;
        let least = 2 * EvolutionConfig::default().population as u64;
        ensure!(queries >= least, "queries is {queries}, but two generations of the original take {least}");
        ensure!(seeds > 0, "seeds is 0, it must be at least 1");
        Ok(())
    }
}
