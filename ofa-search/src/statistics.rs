//! Agreement of predicted with measured values, quantiles, Pareto fronts, samples in two parts.

mod correlation;
mod fit_report;
mod pareto;
mod quantile;
mod split;

pub use correlation::{kendall_tau, rmse, spearman};
pub(crate) use fit_report::require_samples;
pub use fit_report::{FitReport, HeldOut};
pub use pareto::{hypervolume, pareto_front};
pub use quantile::{median, quantile};
pub(crate) use split::split;
