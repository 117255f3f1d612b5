//! Reports of a run for human readers: one self-contained HTML page and a short console table.
//!
//! Rendering reads nothing but [`ReportData`], which is also stored as `report.json` in the run directory. The report
//! of a finished run can therefore be rendered again at any time.

mod ablation;
mod choices;
mod console;
mod data;
mod deployment;
mod figure;
mod format;
mod html;
mod int8;
mod latency_check;
mod plot;
mod predictors;
mod search_ablation;
mod summary;
mod tables;
#[cfg(test)]
mod tests;

pub use ablation::{ABLATION_REPORTS, design_cost_reports};
pub use choices::choice_markdown;
pub use console::console;
pub use data::ReportData;
pub use deployment::{DeploymentPage, deployment_html};
pub use html::html;
pub use int8::int8_markdown;
pub use latency_check::latency_check_html;
pub use predictors::predictors_html;
pub use search_ablation::{search_ablation_html, search_verdict};
