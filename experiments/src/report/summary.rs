//! Summary of a run: one paragraph and the headline numbers.

use super::data::ReportData;
use super::format::{big_count, duration, milliseconds, percent, prefixed, thousands};
use crate::deployment::specialise::{Chosen, Extreme};
use maud::{Markup, html};

/// Wall-clock seconds of all phases together.
pub(super) fn total_seconds(data: &ReportData) -> f64 {
    data.phases.iter().map(|phase| phase.seconds).sum()
}

/// The extreme labelled `label`; `None` if it was not measured.
pub(super) fn extreme<'d>(data: &'d ReportData, label: &str) -> Option<&'d Extreme> {
    data.extremes.iter().find(|extreme| extreme.label == label)
}

/// Peak resident memory as text; `n/a` if unknown.
pub(super) fn memory(data: &ReportData) -> String {
    let text = |mib: f64| format!("{} MiB", thousands(mib.round() as u64));
    data.peak_memory_mib.map_or_else(|| "n/a".into(), text)
}

/// The headline numbers at the top of the page.
pub(super) fn tiles(data: &ReportData) -> Markup {
    let top1 = |label| extreme(data, label).map_or_else(|| "n/a".into(), |extreme| percent(extreme.test_top1));
    let tiles = [
        ("largest subnet, test top-1", top1("largest")),
        ("smallest subnet, test top-1", top1("smallest")),
        ("networks in one supernet", big_count(&data.space.networks)),
        ("wall time", duration(total_seconds(data))),
        ("peak memory", memory(data)),
    ];
    html! {
        dl.tiles { @for (meaning, value) in tiles { div { dt { (meaning) } dd { (value) } } } }
    }
}

/// One paragraph: the work done, the data and the results.
pub(super) fn paragraph(data: &ReportData) -> Markup {
    let resolutions: Vec<_> = data.space.resolutions.iter().map(usize::to_string).collect();
    html! {
        p.summary {
            "A supernet of " (big_count(&data.space.networks)) " networks (space " code { (data.space.name) }
            @if !resolutions.is_empty() { ", at " (resolutions.join(", ")) " pixels" }
            ") was trained, shrunk, measured and searched on " (data.data) " in "
            b { (duration(total_seconds(data))) }
            @if data.peak_memory_mib.is_some() { " and at most " b { (memory(data)) } " of memory" }
            ". " (extremes(data)) (found(&data.chosen))
            "It ran on " (data.machine.device) " with " (threads(data.machine.threads)) " (" (data.machine.processor)
            "), preset " code { (data.preset) } ", seed " (data.seed) ", revision " code { (data.machine.revision) } "."
        }
    }
}

/// `1 thread`, `2 threads`.
pub(super) fn threads(count: usize) -> String {
    if count == 1 { "1 thread".into() } else { format!("{count} threads") }
}

fn extremes(data: &ReportData) -> Markup {
    html! {
        @if let (Some(largest), Some(smallest)) = (extreme(data, "largest"), extreme(data, "smallest")) {
            "On the test set its largest subnet (" (prefixed(largest.macs)) " MACs, " (prefixed(largest.parameters))
            " parameters) reaches " b { (percent(largest.test_top1)) } " top-1 and its smallest ("
            (prefixed(smallest.macs)) " MACs, " (prefixed(smallest.parameters)) " parameters) "
            b { (percent(smallest.test_top1)) } ". "
        }
    }
}

fn found(chosen: &[Chosen]) -> Markup {
    let fastest = chosen.iter().min_by(|a, b| a.measured_ms.total_cmp(&b.measured_ms));
    let test_top1 = |row: &Chosen| row.fine_tuned_test_top1.unwrap_or(row.test_top1);
    let best = chosen.iter().max_by(|a, b| test_top1(a).total_cmp(&test_top1(b)));
    html! {
        @if let (Some(fastest), Some(best)) = (fastest, best) {
            @if chosen.len() == 1 { "The subnet found for one scenario reaches " }
            @else { "Of the subnets found for " (chosen.len()) " scenarios, the fastest reaches " }
            (percent(test_top1(fastest))) " in " (milliseconds(fastest.measured_ms))
            @if chosen.len() > 1 {
                ", the most accurate " (percent(test_top1(best))) " in " (milliseconds(best.measured_ms))
            }
            ". "
        }
    }
}
