//! Ablations: arms that differ only in configuration, trained with several seeds and compared by a rule fixed in
//! advance.
//!
//! A cell is one arm trained with one seed. It is an ordinary run directory: every command can read it, and
//! `ofa train --config` reproduces it.

mod additions;
mod again;
mod alone;
mod arms;
mod bins;
mod budget;
mod cell;
mod command;
mod config;
mod design_cost;
mod findings;
mod first_steps;
mod identity;
mod judgement;
mod known;
mod ladder;
mod measure;
mod parcel;
mod plan;
mod presets;
mod record;
mod reported;
mod runner;
mod selection;
mod setup;
mod statistics;
#[cfg(test)]
pub(crate) mod testing;
mod verdict;

pub use additions::Addition;
pub use again::Again;
pub use alone::Alone;
pub use arms::{full_arm, shrinking_arms, shrunk_arm};
pub use bins::BinGap;
pub use budget::{Budget, expected_budget};
pub use command::{Files, Options, Renderer, run};
pub use config::{AblationConfig, Arm, BudgetConfig, Criteria, Rule, Selection};
pub use design_cost::{
    AtTarget, Charged, CostCurve, CurveKind, DesignAblation, DesignConfig, DesignFindings, DesignOptions, DesignRecord,
    DesignRenderer, DesignRule, DesignVerdict, Designed, DesignedRow, Designer, Method, MethodFindings, OfaDesign,
    Ratio, Spent, Trials, design_cost,
};
pub use findings::{ArmFindings, CornerMean, Findings};
pub use judgement::Judgement;
pub use known::Cells;
pub use ladder::{AloneCost, ArmAt, AtBudget, Cheapest, CornerPrice, Ladder, LadderFindings, Price, Sign};
pub use plan::Pace;
pub use presets::Scale;
pub use record::{CellRecord, DoneCell, FirstSteps, SubnetRow};
pub use reported::{Reported, corner_name, corners};
pub use runner::Ablation;
pub use selection::Selections;
pub use statistics::{Gap, Interval, holm};
pub use verdict::{Contrast, CornerGap, Verdict};
