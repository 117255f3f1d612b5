//! The report on the choices of search strategies.

use super::ablation::points;
use crate::search_ablation::choice::{Choice, ChoiceGap, choice_gaps, names};
use std::fmt::{Result, Write};

/// Renders the choices as Markdown. Each supernet was searched with a table of `rows` subnets and `queries` of a
/// predictor.
pub fn choice_markdown(choices: &[Choice], rows: usize, queries: u64) -> String {
    let mut text = String::new();
    write_all(&mut text, choices, rows, queries).expect("writing to a string does not fail");
    text
}

fn write_all(text: &mut String, choices: &[Choice], rows: usize, queries: u64) -> Result {
    let supernets = names(choices).len();
    write!(
        text,
        "# Which strategy makes better choices, as measured?\n\nSupernets: {supernets}. On each, {rows} random subnets \
         were measured on validation images. Table look-up takes the best of them; the other strategies query a \
         predictor fitted to them {queries} times. Evolution uses the paper's settings; no strategy was tuned. Gaps \
         are in points of top-1 with Student's 95 % intervals over supernets, once as predicted for both choices and \
         once as measured on test images. p-values are adjusted for the pairs of the first table (Holm).\n\n## Mean \
         over limits\n\n| pair | predicted | measured on test | p (Holm) |\n|---|---|---|---|\n"
    )?;
    let gaps = choice_gaps(choices);
    for gap in gaps.iter().filter(|gap| gap.limit.is_none()) {
        let p = gap.adjusted_p.map_or_else(|| "n/a".into(), |p| format!("{p:.3}"));
        writeln!(text, "| {} | {} | {} | {p} |", pair(gap), points(&gap.predicted), points(&gap.measured))?;
    }
    write!(text, "\n## By limit\n\n| limit | pair | predicted | measured on test |\n|---|---|---|---|\n")?;
    for gap in &gaps {
        let Some(limit) = gap.limit else { continue };
        writeln!(text, "| {limit} | {} | {} | {} |", pair(gap), points(&gap.predicted), points(&gap.measured))?;
    }
    let headings = "| supernet | limit | strategy | MMACs | expected, % | test, % |\n|---|---|---|---|---|---|\n";
    write!(text, "\n## Choices\n\n{headings}")?;
    for choice in choices {
        let Choice { supernet, limit, strategy, macs, expected_top1, test_top1, .. } = choice;
        let (macs, expected, test) = (*macs as f64 / 1e6, 100.0 * expected_top1, 100.0 * test_top1);
        writeln!(text, "| {supernet} | {limit} | {strategy} | {macs:.2} | {expected:.2} | {test:.2} |")?;
    }
    Ok(())
}

fn pair(gap: &ChoiceGap) -> String {
    format!("{} − {}", gap.strategy, gap.other)
}
