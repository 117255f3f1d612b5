//! The page about deployment scenarios.

use super::figure::figure;
use super::format::{correlation, duration, percent, prefixed, significant};
use super::html::page;
use super::plot;
use super::tables::{arch, table};
use crate::deployment::{Answers, Axis, Failed, Found};
use maud::{Markup, html};

/// Context shown on the page besides the answers.
pub struct DeploymentPage<'a> {
    /// Directory the tables come from.
    pub tables: &'a str,
    /// One-line description of the tables: space and number of rows.
    pub measured: &'a str,
    /// Root mean squared error of the predictor on held-out rows, as a fraction.
    pub rmse: f64,
    /// Kendall's tau of the predictor on held-out rows.
    pub kendall_tau: f64,
    /// Wall-clock seconds of all searches together.
    pub seconds: f64,
    /// Command that reproduces the page.
    pub command: &'a str,
}

/// Renders the answers as a self-contained page; hovering over a point of a plot shows its arch.
pub fn deployment_html(answers: &Answers, about: &DeploymentPage<'_>) -> String {
    let Answers { found, failed, fronts } = answers;
    let count = found.len() + failed.len();
    let body = html! {
        header {
            h1 { "Deployment scenarios" }
            p.subtitle { (about.tables) " · " (about.measured) }
        }
        p.summary {
            (found.len()) " of " (count) " scenarios answered in " b { (duration(about.seconds)) }
            " from tables measured once, by search on an accuracy predictor (error on held-out rows "
            (percent(about.rmse)) ", Kendall τ " (correlation(about.kendall_tau)) "). " (gains(found))
        }
        @if !failed.is_empty() { h2 { "Without an answer" } (failures(failed)) }
        h2 { "Fronts" }
        @for (axis, front) in fronts {
            @let of_axis: Vec<&Found> = found.iter().filter(|found| found.axis == *axis).collect();
            div.row.whole {
                (figure(&heading(axis), plot::deployment_front(axis, front, &of_axis), &[],
                    "Predicted accuracy of the best networks that the searches met. Scenarios with further limits may \
                     lie below the front. Hover over a point to see its arch."))
            }
        }
        h2 { "Answers" }
        (rows(found))
        p.note {
            "± is the standard deviation across the predictor's networks, not a confidence interval. Gain: percentage \
             points over the best network within the same limits that makes the same choice in every stage, by the \
             same predictor. A search favours networks that the predictor overrates, so both numbers are optimistic by \
             roughly its error: measure the networks before you rely on a gain."
        }
        h2 { "Reproduce" }
        p { code { (about.command) } }
    };
    page("Deployment scenarios", &body)
}

fn heading(axis: &Axis) -> String {
    if axis.device.is_empty() { axis.cost.clone() } else { format!("{} on {}", axis.cost, axis.device) }
}

fn gains(found: &[Found]) -> String {
    let gains: Vec<f64> = found.iter().filter_map(Found::gain).collect();
    if gains.is_empty() {
        return String::new();
    }
    let mean = gains.iter().sum::<f64>() / gains.len() as f64;
    format!("Mean predicted gain over uniformly scaled networks: {} percentage points.", points(mean))
}

fn failures(failed: &[Failed]) -> Markup {
    let row = |failed: &Failed| vec![html! { (failed.scenario.name) }, html! { (failed.problem) }];
    table(&["Scenario", "Reason"], 2, failed.iter().map(row).collect())
}

fn rows(found: &[Found]) -> Markup {
    let headings = [
        "Scenario",
        "Limits",
        "Predicted top\u{2011}1",
        "Latency, ms",
        "Energy, mJ",
        "MACs",
        "Parameters",
        "Gain",
        "Arch",
    ];
    let optional = |value: Option<f64>| value.map_or("–".into(), |value| significant(value, 3));
    let row = |found: &Found| {
        let spread = format!(" ± {:.2}", 100.0 * found.predicted.spread);
        vec![
            html! { (found.scenario.name) },
            html! { (found.limits) },
            html! { b { (percent(found.predicted.mean)) } (spread) },
            html! { (optional(found.latency_ms)) },
            html! { (optional(found.energy_mj)) },
            html! { (prefixed(found.macs)) },
            html! { (prefixed(found.parameters)) },
            html! { (found.gain().map_or("–".into(), points)) },
            arch(&found.arch.to_string()),
        ]
    };
    table(&headings, 2, found.iter().map(row).collect())
}

/// A difference of accuracies, in percentage points.
fn points(share: f64) -> String {
    format!("{:+.2}", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scenario;
    use crate::deployment::Rival;
    use ofa_search::predictors::Prediction;
    use ofa_search::{Front, Trial};

    fn answers() -> Answers {
        let scenario = Scenario {
            name: "phone<1>".into(),
            device: Some("a & b".into()),
            latency_ms: Some(10.0),
            ..Scenario::default()
        };
        let axis = Axis { cost: "latency".into(), unit: "ms".into(), device: "a & b".into() };
        let (arch, rival): (ofa_model::Arch, ofa_model::Arch) =
            ("r28-k3e3".parse().unwrap(), "r20-k5e6".parse().unwrap());
        let mut front = Front::default();
        for (arch, score, cost) in [(arch.clone(), 0.75, 9.0), ("r24-k7e4".parse().unwrap(), 0.5, 8.0)] {
            front.add(&Trial { arch, score, costs: vec![cost], query: 1 });
        }
        let found = Found {
            limits: "latency <= 10 ms".into(),
            axis: axis.clone(),
            cost: 9.0,
            predicted: Prediction { mean: 0.75, spread: 0.0125 },
            latency_ms: Some(9.0),
            energy_mj: None,
            macs: 1_000_000,
            parameters: 5_000,
            uniform: Some(Rival { arch: rival, predicted_top1: 0.7, cost: 9.5 }),
            strategy: Some("evolution".into()),
            queries: 100,
            seconds: 0.1,
            scenario: scenario.clone(),
            arch,
        };
        let failed = Failed { scenario, problem: "no arch has latency <= 1 ms".into() };
        Answers { found: vec![found], failed: vec![failed], fronts: [(axis, front)].into() }
    }

    #[test]
    fn the_pointer_finds_every_arch_and_text_is_escaped() {
        let about = DeploymentPage {
            tables: "runs/mine",
            measured: "160 rows",
            rmse: 0.004,
            kendall_tau: 0.8,
            seconds: 1.5,
            command: "ofa deploy --tables runs/mine",
        };
        let page = deployment_html(&answers(), &about);
        // Two points of the front, the answer and its rival.
        assert_eq!(page.matches("<title>").count(), 1 + 4);
        assert!(page.contains("<title>phone&lt;1&gt;\nr28-k3e3\n75.00 %, 9.000 ms</title>"), "{page}");
        assert!(page.contains("uniform network for phone&lt;1&gt;\nr20-k5e6"));
        assert!(page.contains("latency on a &amp; b") && !page.contains("phone<1>"));
        assert!(page.contains("+5.00") && page.contains(" ± 1.25") && page.contains("no arch has latency"));
        for external in ["<script", "<link", "<img", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(external), "{external}");
        }
    }
}
