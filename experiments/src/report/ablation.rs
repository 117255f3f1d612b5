//! The report of an ablation: the same findings as an HTML page and as Markdown.

mod design_cost;
mod html;
mod ladder;
mod markdown;
mod section;
#[cfg(test)]
mod tests;

pub use design_cost::design_cost_reports;

use html::ablation_html;
use ladder::{ladder_figure, ladder_html, ladder_markdown};
use markdown::ablation_markdown;

use crate::ablation::{Contrast, Findings, Gap, Renderer};

/// The reports of an ablation: `report.html`, `report.md` and, over several budgets, `gap.svg`.
pub const ABLATION_REPORTS: Renderer = Renderer {
    budget: |findings, commands| {
        vec![("report.html", ablation_html(findings, commands)), ("report.md", ablation_markdown(findings, commands))]
    },
    ladder: |findings, commands| {
        let figure = ladder_figure(findings).map(|figure| ("gap.svg", figure));
        let reports =
            [("report.html", ladder_html(findings, commands)), ("report.md", ladder_markdown(findings, commands))];
        reports.into_iter().chain(figure).collect()
    },
};

/// `+1.23 [0.45, 2.01]`, in points.
pub(super) fn points(gap: &Gap) -> String {
    let mean = format!("{:+.2}", 100.0 * gap.mean);
    match gap.interval {
        Some(interval) => format!("{mean} [{:+.2}, {:+.2}]", 100.0 * interval.low, 100.0 * interval.high),
        None => mean,
    }
}

/// `+12.3 [4.5, 20.1]`: a share with its interval, in percent.
pub(super) fn share(gap: &Gap) -> String {
    let mean = format!("{:+.1}", 100.0 * gap.mean);
    match gap.interval {
        Some(interval) => format!("{mean} [{:+.1}, {:+.1}]", 100.0 * interval.low, 100.0 * interval.high),
        None => mean,
    }
}

/// `88.12 ± 0.34`, in percent.
fn top1(gap: &Gap) -> String {
    let mean = format!("{:.2}", 100.0 * gap.mean);
    match gap.interval {
        Some(interval) => format!("{mean} ± {:.2}", 50.0 * (interval.high - interval.low)),
        None => mean,
    }
}

/// Summary paragraphs: the verdict, the rule it follows from, how much it depends on the interval, and what is missing.
fn summary(findings: &Findings) -> Vec<String> {
    let mut paragraphs = vec![conclusion(findings)];
    paragraphs.extend(others(findings));
    let adjusted = if findings.verdicts > 1 {
        format!(" Verdicts, including those still to come: {}.", findings.verdicts)
    } else {
        String::new()
    };
    paragraphs.push(format!("Rule, fixed before the run: {}{adjusted}", findings.rule));
    paragraphs.extend(findings.students_verdict.zip(findings.primary.as_ref()).map(|(verdict, primary)| {
        format!(
            "With Student's interval over seeds, which accounts for the number of seeds but treats the test images as \
             fixed, the gap is {} points and the same rule would say: {verdict}.",
            points(&primary.gap)
        )
    }));
    if !findings.missing.is_empty() {
        let missing = findings.missing.iter().map(|(arm, seeds)| format!("`{arm}` {seeds:?}"));
        paragraphs.push(format!("Missing seeds, not averaged away: {}.", missing.collect::<Vec<_>>().join(", ")));
    }
    if !findings.diverged.is_empty() {
        paragraphs.push(format!("Trainings that diverged: {}.", findings.diverged.join("; ")));
    }
    paragraphs
}

/// The verdict, in a sentence or two.
fn conclusion(findings: &Findings) -> String {
    let Some(primary) = &findings.primary else {
        return match findings.seeds.is_empty() {
            true => "Ways of training are compared only on validation images; there is nothing to judge.".into(),
            false => "No seed of the primary contrast is complete yet.".into(),
        };
    };
    let by_bootstrap = findings.judgements.is_empty() || findings.students_verdict.is_some();
    let interval = if by_bootstrap { primary.bootstrap } else { primary.gap.interval };
    let interval = interval.map_or_else(String::new, |interval| {
        let (low, high) = interval.percent();
        let side = if high < 0.0 { ", all of it on the side of the control" } else { "" };
        format!(" ({} % interval {low:+.2} to {high:+.2}{side})", 100.0 * findings.confidence)
    });
    let share = primary.error_reduction.as_ref().filter(|_| !by_bootstrap);
    let share =
        share.map_or_else(String::new, |share| format!(", {:+.1} % of the control's errors", 100.0 * share.mean));
    let gap = format!(
        "Over {} corners and {} seeds, `{}` minus `{}` is {:+.2} points of test top-1{interval}{share}.",
        primary.corners.len(),
        primary.seeds.len(),
        primary.treatment,
        primary.control,
        100.0 * primary.gap.mean
    );
    match findings.verdict {
        Some(verdict) => format!("Verdict: {verdict}. {gap}"),
        None if primary.missing.is_empty() => format!("No verdict: a single seed says nothing about others. {gap}"),
        None => format!("No verdict yet: seeds {:?} are missing. {gap}", primary.missing),
    }
}

/// The other pairs that the rule judges, in one sentence each.
fn others(findings: &Findings) -> impl Iterator<Item = String> {
    findings.judgements.iter().skip(1).map(|judgement| {
        let verdict = judgement.verdict.map_or_else(|| "no verdict yet".into(), |verdict| verdict.to_string());
        let gap = points(&judgement.contrast.gap);
        format!("{}: {verdict}, {gap} points.", contrast_name(&judgement.contrast))
    })
}

/// The sentence on cost.
fn cost_sentence(findings: &Findings) -> String {
    match findings.cheapest_match() {
        Some((arm, reference)) if arm.name != reference.name => format!(
            "The cheapest arm whose mean accuracy lies within or above the interval of `{}` is `{}`: {:.2} of its \
             MACs.",
            reference.name,
            arm.name,
            arm.budget.macs / reference.budget.macs
        ),
        Some((_, reference)) => {
            format!("No cheaper arm reaches the interval of `{}`.", reference.name)
        }
        None => "With fewer than two seeds there is no interval to compare with.".into(),
    }
}

/// Threats to validity: reasons not to read more into the numbers than they show.
const THREATS: [&str; 9] = [
    "Images are small, the network is small and training is short: nothing here says what happens after hundreds of \
     epochs on ImageNet.",
    "Learning rates were selected with one seed and a few factors; an arm may do better outside that range. An arm \
     that starts from another benefits from two selections: its own and that of the arm before it.",
    "Epochs are whole numbers, so costs are equal only to within an epoch: see the ratio to the treatment's cost.",
    "Equal MACs are not equal time: depthwise convolutions and small batches of subnets run at different speeds.",
    "An arm that starts from another counts its epochs from zero, so it repeats the crops, flips and resolutions of \
     the arm before it; an arm with a single phase sees new ones throughout.",
    "Arms that open the whole space at once do not sort channels first; progressive shrinking does.",
    "Corners are the extremes of the space, and their errors are correlated: eight of them are little more than one \
     observation. The random subnets, drawn uniformly over choices, cluster in the middle; they are measured on a \
     subset of the test images, which differs between seeds but is the same for all arms.",
    "A network trained alone starts from a slice of the supernet's initial weights, which are scaled for the full \
     width.",
    "The contrasts other than those of the verdict were also planned, but only their p-values account for their \
     number; their intervals do not. There are few seeds: Student's interval assumes normally distributed differences \
     and treats the test images as fixed.",
];

/// Name of a contrast, `treatment − control`.
fn contrast_name(contrast: &Contrast) -> String {
    format!("{} − {}", contrast.treatment, contrast.control)
}
