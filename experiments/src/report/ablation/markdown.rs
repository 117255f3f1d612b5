//! The report as text.

use super::{PAPER, THREATS, conclusion, contrast_name, cost_sentence, points, supernets, top1};
use crate::ablation::{Contrast, Findings};
use std::fmt::{Result, Write};

/// Renders the findings as Markdown; `command` made them.
pub fn ablation_markdown(findings: &Findings, command: &str) -> String {
    let mut text = String::new();
    write_all(&mut text, findings, command).expect("writing to a string does not fail");
    text
}

fn write_all(text: &mut String, findings: &Findings, command: &str) -> Result {
    writeln!(text, "# {}\n\n{}\n", findings.question, conclusion(findings))?;
    writeln!(text, "Rule, written before the run: {}\n", findings.rule)?;
    writeln!(text, "Images: {}. Seeds: {:?}. Made by `{command}`.\n", findings.images, findings.seeds)?;
    if !findings.missing.is_empty() {
        let missing = findings.missing.iter().map(|(arm, seeds)| format!("`{arm}` {seeds:?}"));
        writeln!(text, "Missing seeds, not averaged away: {}.\n", missing.collect::<Vec<_>>().join(", "))?;
    }
    if let Some(primary) = &findings.primary {
        write_corners(text, findings, primary)?;
    }
    write_contrasts(text, findings)?;
    write_arms(text, findings)?;
    write_selections(text, findings)?;
    writeln!(text, "## Threats to validity\n")?;
    THREATS.iter().try_for_each(|threat| writeln!(text, "- {threat}"))?;
    writeln!(text, "\n## Environment\n")?;
    findings.machines.iter().try_for_each(|machine| {
        writeln!(
            text,
            "- {} ({} threads), device {}, revision {}, {}",
            machine.processor, machine.threads, machine.device, machine.revision, machine.versions
        )
    })
}

fn write_corners(text: &mut String, findings: &Findings, primary: &Contrast) -> Result {
    writeln!(text, "## {} by subnet\n", contrast_name(primary))?;
    writeln!(text, "Points of test top-1, mean and {} % interval over seeds.\n", 100.0 * findings.confidence)?;
    writeln!(text, "| subnet | {} | {} | gap | p (Holm) | paper's gap |", primary.treatment, primary.control)?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    let of = |arm: &str, corner: &str| {
        let arm = findings.arms.iter().find(|found| found.name == arm);
        let found = arm.and_then(|arm| arm.corners.iter().find(|found| found.corner == corner));
        found.map_or_else(String::new, |found| top1(&found.top1))
    };
    for (i, corner) in primary.corners.iter().enumerate() {
        let p = corner.adjusted_p.map_or_else(|| "n/a".to_owned(), |p| format!("{p:.3}"));
        let paper = if primary.corners.len() == PAPER.len() { format!("{:+.1}", PAPER[i]) } else { String::new() };
        writeln!(
            text,
            "| {} | {} | {} | {} | {p} | {paper} |",
            corner.corner,
            of(&primary.treatment, &corner.corner),
            of(&primary.control, &corner.corner),
            points(&corner.gap)
        )?;
    }
    writeln!(text)
}

fn write_contrasts(text: &mut String, findings: &Findings) -> Result {
    if findings.contrasts.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "## Other contrasts\n\n| contrast | seeds | gap over seeds | over seeds and images |\n|---|---|---|---|"
    )?;
    for contrast in &findings.contrasts {
        let interval = contrast.bootstrap.map_or_else(
            || "n/a".to_owned(),
            |interval| {
                let (low, high) = interval.percent();
                format!("[{low:+.2}, {high:+.2}]")
            },
        );
        let gap = points(&contrast.gap);
        writeln!(text, "| {} | {} | {gap} | {interval} |", contrast_name(contrast), contrast.seeds.len())?;
    }
    writeln!(text)
}

fn write_arms(text: &mut String, findings: &Findings) -> Result {
    writeln!(text, "## Arms and their cost\n")?;
    writeln!(
        text,
        "Cost includes that of the arms whose weights go in, and the teacher's passes. Time is the arm's own.\n"
    )?;
    writeln!(
        text,
        "| arm | what it is | seeds | rate x | subnet-epochs | TMACs | training s | mean top-1 of its corners |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|---|")?;
    for arm in &findings.arms {
        writeln!(
            text,
            "| {} | {} | {} | {} | {:.0} | {:.2} | {:.0} | {} |",
            arm.name,
            arm.description,
            arm.seeds.len(),
            arm.factor,
            arm.budget.subnet_epochs,
            arm.budget.macs / 1e12,
            arm.seconds[0],
            top1(&arm.mean_top1)
        )?;
    }
    writeln!(text, "\n{} ({} arms train the whole space.)\n", cost_sentence(findings), supernets(findings).count())
}

fn write_selections(text: &mut String, findings: &Findings) -> Result {
    let chosen: Vec<_> = findings.selections.iter().filter(|(_, scores)| scores.len() > 1).collect();
    if chosen.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "## Learning rates\n\nFactor on the arm's rates: mean validation top-1 of its corners, with a seed of its own.\n"
    )?;
    for (arm, scores) in chosen {
        let scores = scores.iter().map(|(factor, top1)| format!("{factor}: {:.2} %", 100.0 * top1));
        writeln!(text, "- {arm}: {}", scores.collect::<Vec<_>>().join(", "))?;
    }
    writeln!(text)
}
