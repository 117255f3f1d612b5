//! The report as plain text for the console.

use super::data::ReportData;
use super::format::{big_count, correlation, duration, milliseconds, percent, prefixed};
use super::summary::{memory, total_seconds};
use crate::deployment::specialise::{Chosen, Extreme};
use std::fmt::Write as _;

/// Renders the main results as text, without colours, ending in a newline.
pub fn console(data: &ReportData) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}: {} networks of {}", data.preset, big_count(&data.space.networks), data.space.name);
    let _ = writeln!(text, "{}\n", data.data);
    text.push_str(&columns(&subnets(&data.chosen, &data.extremes)));
    let (accuracy, latency) = (&data.accuracy_fit, &data.latency_fit);
    let _ = writeln!(
        text,
        "\naccuracy predictor  RMSE {} top-1, Kendall tau {} ({} subnets)",
        percent(accuracy.rmse),
        correlation(accuracy.kendall_tau),
        accuracy.points.len()
    );
    let _ = writeln!(
        text,
        "latency table       mean error {}, {} within 10 %, Kendall tau {} ({} subnets)",
        percent(latency.mape),
        percent(data.latency_within_10_percent),
        correlation(latency.kendall_tau),
        latency.points.len()
    );
    let machine = &data.machine;
    let _ = writeln!(text, "time {}, peak memory {}", duration(total_seconds(data)), memory(data));
    let _ = writeln!(
        text,
        "{}, threads {}, seed {}, revision {}",
        machine.device, machine.threads, data.seed, machine.revision
    );
    text
}

/// Index of the column of fine-tuned accuracies.
const TUNED: usize = 4;
/// Index of the column of measured latencies.
const MEASURED: usize = 6;

/// A header, then one row per subnet. Latencies in onnxruntime and accuracies in int8 are columns only if some subnet has
/// one.
fn subnets(chosen: &[Chosen], extremes: &[Extreme]) -> Vec<Vec<String>> {
    let heading =
        ["subnet", "found by", "predicted", "test top-1", "fine-tuned", "by table", "measured", "MACs", "parameters"];
    let mut rows: Vec<Vec<String>> = vec![heading.map(str::to_owned).to_vec()];
    let none = || "-".to_owned();
    rows.extend(extremes.iter().map(|row| {
        let top1 = percent(row.test_top1);
        let sizes = [prefixed(row.macs), prefixed(row.parameters)];
        [&[row.label.clone(), none(), none(), top1, none(), none(), none()], &sizes[..]].concat()
    }));
    rows.extend(chosen.iter().map(|row| {
        vec![
            row.scenario.clone(),
            row.strategy.clone(),
            percent(row.predicted_top1),
            percent(row.test_top1),
            row.fine_tuned_test_top1.map_or_else(none, percent),
            milliseconds(row.predicted_ms),
            milliseconds(row.measured_ms),
            prefixed(row.macs),
            prefixed(row.parameters),
        ]
    }));
    let mut insert = |at: usize, heading: &str, cells: Vec<Option<String>>| {
        if cells.iter().any(Option::is_some) {
            let cells = extremes.iter().map(|_| None).chain(cells).map(|cell| cell.unwrap_or_else(none));
            let cells = std::iter::once(heading.to_owned()).chain(cells);
            rows.iter_mut().zip(cells).for_each(|(row, cell)| row.insert(at, cell));
        }
    };
    insert(MEASURED + 1, "as ONNX", chosen.iter().map(|row| row.onnxruntime_ms.map(milliseconds)).collect());
    insert(TUNED + 1, "in int8", chosen.iter().map(|row| row.int8_test_top1.map(percent)).collect());
    rows
}

/// Aligns the first two columns to the left and the numbers to the right.
fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a", "bb", "1"], ["aaa", "b", "100"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "a    bb    1\naaa  b   100\n");
    }
}
