//! An ablation of search: strategies at equal queries, on problems whose optimum is known or as good as known.

pub mod choice;
mod contest;
mod contestant;
mod findings;
mod fronts;
mod tasks;

pub use contest::{CurveRow, Found, SearchRow, contest};
pub use contestant::Contestant;
pub use findings::{Standing, TARGETS, TaskFindings, findings};
pub use fronts::{FrontRow, FrontStanding, front_standings, fronts};
pub use tasks::{Additive, Task, Trained, tasks};

use crate::machine::environment::Machine;
use anyhow::{Result, bail, ensure};
use ofa_search::EvolutionConfig;
use serde::Serialize;

/// Everything that a report shows.
#[derive(Clone, Debug, Serialize)]
pub struct SearchFindings {
    /// What was compared.
    pub ablation: SearchAblation,
    /// Where the tables are from.
    pub tables: String,
    /// Where it ran.
    pub machine: Machine,
    /// The tasks.
    pub tasks: Vec<TaskFindings>,
    /// Fronts of some tasks.
    pub fronts: Vec<FrontStanding>,
}

/// How much is compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchAblation {
    /// Queries of every search.
    pub queries: u64,
    /// Seeds of every strategy: 1, 2, ...
    pub seeds: u64,
    /// Seed of the additive task's scores.
    pub task_seed: u64,
    /// Limits as shares of the way from the smallest to the largest arch.
    pub shares: Vec<f64>,
    /// Limits of the additive task, in MACs of MobileNetV3 at width 1.
    pub macs: Vec<f64>,
    /// Resolutions of the space that is counted.
    pub counted_resolutions: usize,
    /// Searches that evolution makes for a front, each with its part of the queries.
    pub front_searches: u64,
}

impl SearchAblation {
    /// `smoke` (seconds, to see that everything works) or `default`: the original's population of 100 and 60 generations, 20
    /// seeds.
    ///
    /// # Errors
    ///
    /// If there is no preset of this name.
    pub fn preset(name: &str) -> Result<Self> {
        let default = Self {
            queries: 6_100,
            seeds: 20,
            task_seed: 1,
            shares: vec![0.15, 0.35],
            macs: vec![2e8, 3e8],
            counted_resolutions: 1,
            front_searches: 10,
        };
        match name {
            "default" => Ok(default),
            "smoke" => {
                Ok(Self { queries: 300, seeds: 2, shares: vec![0.25], macs: vec![2e8], front_searches: 3, ..default })
            }
            _ => bail!("there is no ablation of search `{name}`; choose one of: smoke, default"),
        }
    }

    /// Refuses what cannot be compared.
    ///
    /// # Errors
    ///
    /// Names the setting and its value.
    pub fn validate(&self) -> Result<()> {
        let Self { queries, seeds, .. } = *self;
        let least = 2 * EvolutionConfig::default().population as u64;
        ensure!(queries >= least, "queries is {queries}: the original's two generations take {least}");
        ensure!(seeds > 0, "seeds is 0: there must be a search");
        Ok(())
    }
}
