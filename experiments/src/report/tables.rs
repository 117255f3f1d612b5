//! HTML tables of the page.

use super::data::ReportData;
use super::format::{duration, milliseconds, percent, prefixed, thousands};
use super::summary::{memory, total_seconds};
use crate::deployment::scenarios::Answer;
use crate::deployment::specialise::{Chosen, Extreme};
use maud::{Markup, html};

/// Chosen subnets and the extremes, with predicted and measured values.
pub(super) fn chosen(chosen: &[Chosen], extremes: &[Extreme]) -> Markup {
    let mut headings = vec![
        "Scenario",
        "Strategy",
        "Predicted top\u{2011}1",
        "Validation",
        "Test",
        "Fine-tuned",
        "Predicted latency",
        "Measured latency",
        "MACs",
        "Parameters",
        "Arch",
    ];
    let mut rows: Vec<_> = chosen.iter().map(chosen_row).chain(extremes.iter().map(extreme_row)).collect();
    let onnxruntime = chosen.iter().map(|row| row.onnxruntime_ms.map(milliseconds));
    insert(&mut headings, &mut rows, "MACs", "In onnxruntime", onnxruntime);
    let int8 = chosen.iter().map(|row| row.int8_test_top1.map(percent));
    insert(&mut headings, &mut rows, "Predicted latency", "In int8", int8);
    table(&headings, 2, rows)
}

/// Adds the column `heading` before the column `next`, if one of `cells` has something; rows without a cell have nothing.
fn insert(
    headings: &mut Vec<&str>,
    rows: &mut [Vec<Markup>],
    next: &str,
    heading: &'static str,
    cells: impl Iterator<Item = Option<String>> + Clone,
) {
    if cells.clone().all(|cell| cell.is_none()) {
        return;
    }
    let at = headings.iter().position(|heading| *heading == next).expect("the next column is there");
    headings.insert(at, heading);
    for (row, cell) in rows.iter_mut().zip(cells.chain(std::iter::repeat(None))) {
        row.insert(at, html! { (cell.unwrap_or_else(|| "–".into())) });
    }
}

fn chosen_row(row: &Chosen) -> Vec<Markup> {
    let tuned = row.fine_tuned_test_top1.map_or_else(|| "–".into(), percent);
    vec![
        html! { (row.scenario) },
        html! { (row.strategy) },
        html! { (percent(row.predicted_top1)) },
        html! { (percent(row.validation_top1)) },
        html! { b { (percent(row.test_top1)) } },
        html! { (tuned) },
        html! { (milliseconds(row.predicted_ms)) },
        html! { b { (milliseconds(row.measured_ms)) } },
        html! { (prefixed(row.macs)) },
        html! { (prefixed(row.parameters)) },
        arch(&row.arch),
    ]
}

fn extreme_row(row: &Extreme) -> Vec<Markup> {
    let none = || html! { "–" };
    vec![
        html! { (row.label) " subnet" },
        none(),
        none(),
        none(),
        html! { b { (percent(row.test_top1)) } },
        none(),
        none(),
        none(),
        html! { (prefixed(row.macs)) },
        html! { (prefixed(row.parameters)) },
        arch(&row.arch),
    ]
}

/// Every answer of every strategy.
pub(super) fn answers(answers: &[Answer]) -> Markup {
    let headings = [
        "Scenario",
        "Strategy",
        "Predicted top\u{2011}1",
        "Predicted latency",
        "MACs",
        "Queries",
        "Search time",
        "Arch",
    ];
    let row = |answer: &Answer| {
        vec![
            html! { (answer.scenario) },
            html! { (answer.strategy) },
            html! { (percent(answer.predicted_top1)) },
            html! { (milliseconds(answer.predicted_ms)) },
            html! { (prefixed(answer.macs)) },
            html! { (thousands(answer.queries as u64)) },
            html! { (duration(answer.seconds)) },
            arch(&answer.arch),
        ]
    };
    table(&headings, 2, answers.iter().map(row).collect())
}

/// Wall time per phase, with the total.
pub(super) fn phases(data: &ReportData) -> Markup {
    let total = total_seconds(data);
    let row = |name: &str, seconds: f64| {
        let share = if total > 0.0 { format!("{:.0} %", 100.0 * seconds / total) } else { "n/a".into() };
        vec![html! { (name) }, html! { (duration(seconds)) }, html! { (share) }]
    };
    let mut rows: Vec<_> = data.phases.iter().map(|phase| row(&phase.name, phase.seconds)).collect();
    if !rows.is_empty() {
        rows.push(row("total", total).into_iter().map(|cell| html! { b { (cell) } }).collect());
    }
    table(&["Phase", "Wall time", "Share"], 1, rows)
}

/// Configuration and machine of the run.
pub(super) fn setting(data: &ReportData) -> Markup {
    let (machine, space) = (&data.machine, &data.space);
    let resolutions: Vec<_> = space.resolutions.iter().map(usize::to_string).collect();
    let range = |[smallest, largest]: [u64; 2]| format!("{} to {}", prefixed(smallest), prefixed(largest));
    let rows = [
        ("Preset", data.preset.clone()),
        ("Seed", data.seed.to_string()),
        ("Data", data.data.clone()),
        ("Space", space.name.clone()),
        ("Networks", space.networks.clone()),
        ("Resolutions", resolutions.join(", ")),
        ("MACs", range(space.macs)),
        ("Parameters", range(space.parameters)),
        ("Device", machine.device.clone()),
        ("Threads", machine.threads.to_string()),
        ("Processor", machine.processor.clone()),
        ("System", machine.system.clone()),
        ("Peak memory", memory(data)),
        ("Revision", machine.revision.clone()),
        ("Versions", machine.versions.clone()),
        ("Started", machine.started.clone()),
    ];
    html! {
        table.setting { tbody { @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } } } }
    }
}

/// A table whose columns after the first `names` hold numbers.
pub(super) fn table(headings: &[&str], names: usize, rows: Vec<Vec<Markup>>) -> Markup {
    let class = |column: usize| (column >= names && headings[column] != "Arch").then_some("number");
    html! {
        @if rows.is_empty() { p.absent { "no data" } }
        @else {
            div.scroll {
                table {
                    thead { tr { @for (i, heading) in headings.iter().enumerate() {
                        th scope="col" class=[class(i)] { (heading) }
                    } } }
                    tbody { @for row in rows { tr { @for (i, cell) in row.iter().enumerate() {
                        td class=[class(i)] { (cell) }
                    } } } }
                }
            }
        }
    }
}

/// The text of an arch, which may wrap between its blocks in a narrow column.
pub(super) fn arch(text: &str) -> Markup {
    html! { code { @for block in text.split_inclusive(['-', '.']) { (block) wbr; } } }
}
