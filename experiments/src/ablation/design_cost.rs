//! What networks for N deployment scenarios cost: a once-for-all network against one search and one training each.
//!
//! A cell designs the networks of one method, budget, seed and target (OFA: of all targets) and measures them; cells
//! resume, and several processes may work in one directory.

mod cell;
mod command;
mod config;
mod curves;
mod designer;
mod findings;
mod meter;
mod ofa;
mod plan;
mod presets;
mod record;
mod runner;
mod setting;
mod trials;

pub use command::{DesignOptions, DesignRenderer, design_cost};
pub use config::{DesignConfig, DesignRule, Designer, Method, OfaDesign};
pub use curves::{Charged, CostCurve, CurveKind, Ratio};
pub use findings::{AtTarget, DesignFindings, DesignVerdict, MethodFindings};
pub use record::{DesignRecord, Designed, DesignedRow, Spent};
pub use runner::DesignAblation;
pub use trials::Trials;
