//! Ablations: arms that differ in data alone, trained with several seeds and compared by a rule that was written before.
//!
//! An arm with a seed is a cell. A cell is an ordinary run directory, so that every binary reads it and
//! `train_supernet --config` makes it again.

mod arms;
mod budget;
mod cell;
mod config;
mod findings;
mod identity;
mod presets;
mod reported;
mod runner;
mod statistics;
#[cfg(test)]
pub(crate) mod testing;
mod verdict;

pub use arms::shrinking_arms;
pub use budget::{Budget, expected_budget};
pub use cell::{CellRecord, DoneCell, SubnetRow};
pub use config::{AblationConfig, Arm, Rule, Selection};
pub use findings::{ArmFindings, CornerMean, Findings};
pub use reported::{Reported, corner_name, corners};
pub use runner::{Ablation, Cells, Selections};
pub use statistics::{Gap, Interval, holm};
pub use verdict::{Contrast, CornerGap, Verdict};
