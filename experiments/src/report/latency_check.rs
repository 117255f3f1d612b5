//! The page that compares a latency table with whole networks.

use super::figure::figure;
use super::format::{correlation, milliseconds, percent};
use super::html::{LATENCY_TOLERANCE, page};
use super::plot;
use crate::tables::fit::Fit;
use maud::html;

/// Renders the agreement of table latencies with whole networks. `setting` is the subtitle (what was timed, and
/// where); `command` reproduces the page.
pub fn latency_check_html(fit: &Fit, within_10_percent: f64, setting: &str, command: &str) -> String {
    let facts = [
        format!("mean error {}", percent(fit.mape)),
        format!("{} within 10 %", percent(within_10_percent)),
        format!("Kendall τ {}", correlation(fit.kendall_tau)),
        format!("RMSE {}", milliseconds(fit.rmse)),
        format!("{} random networks", fit.points.len()),
    ];
    let body = html! {
        header {
            h1 { "Latency table against whole networks" }
            p.subtitle { (setting) }
        }
        div.row.whole {
            (figure("Predicted against measured", plot::latency_agreement(fit, LATENCY_TOLERANCE), &facts,
                "Whole networks: latency by table against the measured median. The band is ±10 %."))
        }
        h2 { "Reproduce" }
        p { code { (command) } }
    };
    page("Latency table against whole networks", &body)
}
