//! The report on networks in 8-bit integers.

use super::ablation::points;
use crate::search_ablation::int8::{Int8Findings, Int8Gain, Int8Tuned};
use std::fmt::{Result, Write};

/// The findings on one or several supernets as Markdown.
pub fn int8_markdown(all: &[Int8Findings]) -> String {
    let mut text = String::from(
        "# Does the ranking by float accuracy survive 8-bit integers?\n\nDrops and gains are points of top-1, with 95 % \
         intervals: of tau over random networks (half samples), of drops over networks (Student), of gains over test \
         images of the same two networks. No interval covers the seed of the supernet's training.\n",
    );
    all.iter().try_for_each(|findings| write_one(&mut text, findings)).expect("writing to a string does not fail");
    text
}

fn write_one(text: &mut String, findings: &Int8Findings) -> Result {
    let Int8Findings { supernet, quantization, networks, validation_images, tau, tau_interval, .. } = findings;
    write!(
        text,
        "\n## {supernet}\n\nVerdict: Kendall tau {tau:.3} ({:.3} to {:.3}) between float and int8 top-1 of {networks} random \
         networks on {validation_images} validation images; mean drop {}. Quantised by {quantization}.\n\n",
        tau_interval.low,
        tau_interval.high,
        points(&findings.drop)
    )?;
    text.push_str("| search within | float top-1 | int8 top-1 | gain in int8 |\n|---|---|---|---|\n");
    for gain in &findings.gains {
        let Int8Gain { limit, float_top1: [fa, fb], int8_top1: [ia, ib], .. } = gain;
        let gained = if gain.by_float == gain.by_int8 { "none: the same network".into() } else { points(&gain.gain) };
        let [fa, fb, ia, ib] = [fa, fb, ia, ib].map(|top1| 100.0 * top1);
        writeln!(text, "| {limit} of the MACs | {fa:.2} by float, {fb:.2} by int8 | {ia:.2}, {ib:.2} | {gained} |")?;
    }
    if findings.gains.iter().any(|gain| gain.tuned.is_some()) {
        text.push_str(
            "\n| chosen by int8 within | int8 top-1 | fine-tuned as real numbers | fine-tuned in int8 | gain |\n\
             |---|---|---|---|---|\n",
        );
    }
    for Int8Gain { limit, int8_top1, tuned, .. } in &findings.gains {
        let Some(Int8Tuned { epochs, int8_top1: tuned, gain }) = tuned else { continue };
        let [before, real, int8] = [int8_top1[1], tuned[0], tuned[1]].map(|top1| 100.0 * top1);
        let gain = points(gain);
        writeln!(text, "| {limit} of the MACs, {epochs} epochs | {before:.2} | {real:.2} | {int8:.2} | {gain} |")?;
    }
    text.push_str("\n| networks with | number | drop |\n|---|---|---|\n");
    for group in &findings.by_choice {
        writeln!(text, "| {} | {} | {} |", group.choice, group.networks, points(&group.drop))?;
    }
    Ok(())
}
