//! The report as one self-contained HTML page: no scripts, fonts or other files.

use super::data::ReportData;
use super::figure::figure;
use super::format::{correlation, duration, milliseconds, percent, thousands};
use super::{plot, summary, tables};
use crate::deployment::scenarios::Answer;
use crate::deployment::specialise::Chosen;
use crate::tables::fit::Fit;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use ofa_search::statistics::median;

const STYLE: &str = include_str!("page.css");

/// Half-width of the tolerance band in the latency plot, relative to the measured latency, as in
/// [`ReportData::latency_within_10_percent`].
pub(super) const LATENCY_TOLERANCE: f64 = 0.1;

/// Renders the page, for light mode, dark mode and print.
pub fn html(data: &ReportData) -> String {
    let title = format!("Once-for-all report: {}", data.preset);
    let body = html! {
        header {
            h1 { "Once-for-all: one network trained, any budget answered" }
            p.subtitle { (data.data) " · preset " (data.preset) " · " (data.machine.started) }
        }
        (summary::tiles(data))
        (summary::paragraph(data))
        (result(data))
        (training(data))
        (predictors(data))
        (search(&data.answers))
        (details(data))
    };
    page(&title, &body)
}

/// A complete page around `body`.
pub(super) fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

fn training(data: &ReportData) -> Markup {
    let epochs = &data.epochs;
    html! {
        h2 { "Training and shrinking" }
        div.row {
            (figure("Loss", plot::loss(epochs), &[],
                "Mean loss of each epoch over its steps and sampled subnets. Bands are the phases of the schedule; from \
                 the second phase on, a teacher may add a term to the loss."))
            (figure("Training accuracy", plot::train_top1(epochs), &[],
                "Top-1 accuracy of the sampled subnets on augmented training images, with batch statistics. It may \
                 drop when a phase adds smaller subnets."))
        }
        div.row.whole {
            (figure("Watched subnets", plot::watched(&data.watched), &[],
                "Validation accuracy of the same subnets at the end of every phase, each with recalibrated batch-norm \
                 statistics. Small subnets gain as the phases reach them; the largest should not lose."))
        }
    }
}

fn predictors(data: &ReportData) -> Markup {
    let (accuracy, latency) = (&data.accuracy_fit, &data.latency_fit);
    let facts = |fit: &Fit, error: String, more: Option<String>| {
        let tau = format!("Kendall τ {}", correlation(fit.kendall_tau));
        [Some(error), Some(tau), more, Some(subnets(fit.points.len()))].into_iter().flatten().collect::<Vec<_>>()
    };
    let accuracy_facts = facts(accuracy, format!("RMSE {}", points(accuracy.rmse)), None);
    let within = format!("{} within 10 %", percent(data.latency_within_10_percent));
    let latency_error = format!("mean error {}", percent(latency.mape));
    let latency_facts = facts(latency, latency_error, Some(within));
    html! {
        h2 { "Predicted against measured" }
        div.row {
            (figure("Accuracy predictor", plot::accuracy_agreement(accuracy), &accuracy_facts,
                "Subnets of the accuracy table that the predictor was not fitted on: predicted against measured \
                 validation accuracy. The closer to the diagonal, the better."))
            (figure("Latency table", plot::latency_agreement(latency, LATENCY_TOLERANCE), &latency_facts,
                "Whole networks: latency by table (sum over blocks) against the measured median. The band is ±10 %."))
        }
    }
}

fn result(data: &ReportData) -> Markup {
    html! {
        h2 { "Accuracy against latency" }
        div.row.whole {
            (figure("Subnets of one supernet", plot::front(&data.table, &data.chosen), &[],
                "Every subnet of the accuracy table, their Pareto front as a step line, and the subnet found for each \
                 scenario, extracted and measured. Table and front use validation images, found subnets test images, \
                 so a small offset between them is not a gain or loss."))
        }
        h2 { "Chosen subnets" }
        (tables::chosen(&data.chosen, &data.extremes))
        p.note {
            "The best answer of each scenario, extracted, calibrated and measured; below, the extremes of the space. \
             Latency is the median of the whole network on "
            @if let Some(device) = &data.latency_device { (device) }
            @else { (data.machine.device) ", " (summary::threads(data.machine.threads)) }
            (pace_note(&data.chosen)) "."
            @if let Some(onnxruntime) = &data.onnxruntime { " Beside it, raw: " (onnxruntime) "." }
        }
    }
}

/// Note on the correction of latencies to the pace of the table.
fn pace_note(chosen: &[Chosen]) -> String {
    let paces = chosen.iter().filter_map(|chosen| Some(chosen.measured_ms / chosen.stopwatch_ms?));
    let paces: Vec<f64> = paces.filter(|pace| pace.is_finite()).collect();
    if paces.is_empty() {
        return String::new();
    }
    format!(", corrected to the pace of the latency table: {:.2} times the raw latency", median(paces))
}

fn search(answers: &[Answer]) -> Markup {
    let mut scenarios: Vec<&str> = Vec::new();
    for answer in answers {
        if !scenarios.contains(&answer.scenario.as_str()) {
            scenarios.push(&answer.scenario);
        }
    }
    html! {
        h2 { "Search" }
        @if scenarios.is_empty() { p.absent { "no data" } }
        @else { p.note {
            "Best score so far against queries, one plot per scenario. Searches query the accuracy predictor; the \
             look-up in the accuracy table is shown as a horizontal line for comparison."
        } }
        div.row {
            @for scenario in scenarios {
                @let answers: Vec<&Answer> = answers.iter().filter(|answer| answer.scenario == scenario).collect();
                (figure(scenario, plot::best_so_far(&answers), &[], &best(&answers)))
            }
        }
        h2 { "All answers" }
        (tables::answers(answers))
    }
}

fn details(data: &ReportData) -> Markup {
    html! {
        div.row {
            section { h2 { "Time" } (tables::phases(data)) }
            section { h2 { "Setting" } (tables::setting(data)) }
        }
    }
}

/// One sentence about the answer with the highest prediction.
fn best(answers: &[&Answer]) -> String {
    let best = answers.iter().max_by(|a, b| a.predicted_top1.total_cmp(&b.predicted_top1));
    best.map_or_else(String::new, |best| {
        let (top1, ms) = (percent(best.predicted_top1), milliseconds(best.predicted_ms));
        let (queries, time) = (thousands(best.queries as u64), duration(best.seconds));
        format!("Best: {}, {top1} predicted at {ms}, after {queries} queries in {time}.", best.strategy)
    })
}

/// A difference of accuracies, in percentage points.
fn points(share: f64) -> String {
    if share.is_finite() { format!("{:.2} percentage points", 100.0 * share) } else { "n/a".into() }
}

fn subnets(count: usize) -> String {
    if count == 1 { "1 subnet".into() } else { format!("{} subnets", thousands(count as u64)) }
}
