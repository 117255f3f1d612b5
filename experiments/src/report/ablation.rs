//! The report of an ablation: the same findings as a page and as text.

mod html;
mod markdown;
#[cfg(test)]
mod tests;

pub use html::ablation_html;
pub use markdown::ablation_markdown;

use crate::ablation::{ArmFindings, Contrast, Findings, Gap};

/// Gaps of the paper's table 1 (arXiv:1908.09791v1, ImageNet at 224 pixels), in points: corners by the place of their depth,
/// expand ratio and kernel size.
const PAPER: [f64; 8] = [1.4, 1.4, 1.8, 2.0, 1.9, 2.1, 2.2, 2.4];

/// `+1.23 [0.45, 2.01]`, in points.
pub(super) fn points(gap: &Gap) -> String {
    let mean = format!("{:+.2}", 100.0 * gap.mean);
    match gap.interval {
        Some(interval) => format!("{mean} [{:+.2}, {:+.2}]", 100.0 * interval.low, 100.0 * interval.high),
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

/// The verdict in a sentence.
fn conclusion(findings: &Findings) -> String {
    let Some(primary) = &findings.primary else { return "No seed of the primary contrast is complete yet.".into() };
    let interval = primary.bootstrap.map_or_else(String::new, |interval| {
        let (low, high) = interval.percent();
        format!(" ({} % interval {low:+.2} to {high:+.2})", 100.0 * findings.confidence)
    });
    let gap = format!(
        "Over {} corners and {} seeds, `{}` minus `{}` is {:+.2} points of test top-1{interval}.",
        primary.corners.len(),
        primary.seeds.len(),
        primary.treatment,
        primary.control,
        100.0 * primary.gap.mean
    );
    match findings.verdict {
        Some(verdict) => format!("Verdict: {verdict}. {gap}"),
        None => format!("No verdict yet: seeds {:?} are missing. {gap}", primary.missing),
    }
}

/// The arms that train the whole space, whose corners can be compared.
fn supernets(findings: &Findings) -> impl Iterator<Item = &ArmFindings> {
    let most = findings.arms.iter().map(|arm| arm.corners.len()).max().unwrap_or(0);
    findings.arms.iter().filter(move |arm| arm.corners.len() == most)
}

/// The cheapest arm whose mean is not below that of the primary treatment by more than the half-width of its interval.
fn cheapest_match(findings: &Findings) -> Option<(&ArmFindings, &ArmFindings)> {
    let treatment = &findings.primary.as_ref()?.treatment;
    let reference = findings.arms.iter().find(|arm| arm.name == *treatment)?;
    let floor = reference.mean_top1.interval?.low;
    let good = supernets(findings).filter(|arm| arm.mean_top1.mean >= floor);
    Some((good.min_by(|a, b| a.budget.macs.total_cmp(&b.budget.macs))?, reference))
}

/// What the sentence on cost says.
fn cost_sentence(findings: &Findings) -> String {
    match cheapest_match(findings) {
        Some((arm, reference)) if arm.name != reference.name => format!(
            "The cheapest arm whose mean accuracy lies within the interval of `{}` or above it is `{}`: {:.2} of its MACs.",
            reference.name,
            arm.name,
            arm.budget.macs / reference.budget.macs
        ),
        Some((_, reference)) => {
            format!("No cheaper arm reaches the interval of `{}`.", reference.name)
        }
        None => "With fewer than two seeds there is no interval to reach.".into(),
    }
}

/// What speaks against taking the numbers for more than they are.
const THREATS: [&str; 5] = [
    "The images are small and few, the network is small and training is short: supernets are far from converged, and nothing \
     here says what happens after hundreds of epochs on ImageNet.",
    "Learning rates were chosen by one seed and a few factors; an arm may have a better one outside.",
    "Equal MACs are not equal time: depthwise convolutions and small batches of subnets run at different speeds.",
    "Intervals over a few seeds are wide, and Student's assume normal differences.",
    "Corners are the extremes of the space; the random subnets in the scatter plot are what a search meets.",
];

/// A contrast's name.
fn contrast_name(contrast: &Contrast) -> String {
    format!("{} − {}", contrast.treatment, contrast.control)
}
