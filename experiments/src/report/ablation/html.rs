//! The report as one page that needs nothing else.

use super::{THREATS, conclusion, contrast_name, cost_sentence, points, supernets, top1};
use crate::ablation::{ArmFindings, Contrast, Findings, Interval};
use crate::report::figure::figure;
use crate::report::html::page;
use crate::report::plot::{self, Difference, Mark, Series};
use crate::report::tables::table;
use maud::{Markup, html};

/// Renders the findings; `command` made them.
pub fn ablation_html(findings: &Findings, command: &str) -> String {
    let body = html! {
        header {
            h1 { (findings.question) }
            p.subtitle { (findings.images) " · " (findings.seeds.len()) " seeds" }
        }
        p.summary { b { (conclusion(findings)) } }
        p.summary { "Rule, written before the run: " (findings.rule) }
        @if !findings.missing.is_empty() {
            p.summary { "Missing seeds, not averaged away: "
                @for (arm, seeds) in &findings.missing { (arm) " " (format!("{seeds:?}")) "; " }
            }
        }
        h2 { "Gaps" }
        div.row.whole {
            (figure(&findings.primary.as_ref().map_or_else(|| "Primary contrast".into(), contrast_name),
                plot::forest(&primary(findings)), &[],
                "Difference of test accuracy, subnet by subnet (depth, expand ratio, kernel size), and on the whole."))
            (figure("All contrasts", plot::forest(&contrasts(findings)), &[],
                "Mean difference over the corners; intervals over seeds and test images."))
        }
        h2 { "Arms" }
        (arms(findings))
        p.note { (cost_sentence(findings)) " Cost includes that of the arms whose weights go in." }
        div.row.whole {
            (figure("Random subnets", plot::series("MMACs", "test top-1, %", &random(findings), Mark::Point), &[],
                "The same random subnets in every arm, means over seeds."))
            (figure("Accuracy against cost", plot::series("training, TMACs", "mean test top-1 of corners, %", &costs(findings), Mark::Point), &[],
                "What an arm costs, its teacher's and ancestors' training counted, and what it reaches."))
            (figure("Learning curves", plot::series("training, TMACs", "training top-1, %", &curves(findings), Mark::Line), &[],
                "Accuracy of the sampled subnets on augmented training images, first seed; not comparable between spaces of \
                 different openness."))
        }
        h2 { "Threats to validity" }
        ul { @for threat in THREATS { li { (threat) } } }
        h2 { "Reproduce" }
        p { code { (command) } }
        @for machine in &findings.machines {
            p.note { (machine.processor) ", " (machine.threads) " threads, revision " (machine.revision) ", " (machine.versions) }
        }
    };
    page(&findings.question, &body)
}

fn ends(interval: Option<Interval>) -> Option<(f64, f64)> {
    interval.map(Interval::percent)
}

fn whole(contrast: &Contrast, name: String) -> Difference {
    Difference { name, mean: 100.0 * contrast.gap.mean, interval: ends(contrast.bootstrap), whole: true }
}

fn primary(findings: &Findings) -> Vec<Difference> {
    let Some(contrast) = &findings.primary else { return Vec::new() };
    let corners = contrast.corners.iter().map(|corner| Difference {
        name: corner.corner.clone(),
        mean: 100.0 * corner.gap.mean,
        interval: ends(corner.gap.interval),
        whole: false,
    });
    corners.chain([whole(contrast, "mean".into())]).collect()
}

fn contrasts(findings: &Findings) -> Vec<Difference> {
    let all = findings.primary.iter().chain(&findings.contrasts);
    all.map(|contrast| whole(contrast, contrast_name(contrast))).collect()
}

fn series(findings: &Findings, points: impl Fn(&ArmFindings) -> Vec<(f64, f64)>) -> Vec<Series> {
    supernets(findings).map(|arm| Series { name: arm.name.clone(), points: points(arm) }).collect()
}

fn random(findings: &Findings) -> Vec<Series> {
    series(findings, |arm| arm.random.iter().map(|&(macs, top1)| (macs as f64 / 1e6, 100.0 * top1)).collect())
}

fn costs(findings: &Findings) -> Vec<Series> {
    series(findings, |arm| vec![(arm.budget.macs / 1e12, 100.0 * arm.mean_top1.mean)])
}

fn curves(findings: &Findings) -> Vec<Series> {
    series(findings, |arm| arm.curve.iter().map(|&(macs, top1)| (macs / 1e12, 100.0 * top1)).collect())
}

fn arms(findings: &Findings) -> Markup {
    let headings = ["Arm", "What it is", "Seeds", "Rate ×", "Subnet-epochs", "TMACs", "Mean top-1 of its corners, %"];
    let row = |arm: &ArmFindings| {
        let budget = &arm.budget;
        let cells = [
            arm.name.clone(),
            arm.description.clone(),
            arm.seeds.len().to_string(),
            arm.factor.to_string(),
            format!("{:.0}", budget.subnet_epochs),
            format!("{:.2}", budget.macs / 1e12),
            top1(&arm.mean_top1),
        ];
        cells.into_iter().map(|cell| html! { (cell) }).collect()
    };
    let gaps = |contrast: &Contrast| {
        let cells = [contrast_name(contrast), contrast.seeds.len().to_string(), points(&contrast.gap)];
        cells.into_iter().map(|cell| html! { (cell) }).collect()
    };
    html! {
        (table(&headings, 2, findings.arms.iter().map(row).collect()))
        p.note { "Mean and half-width of the interval over seeds." }
        (table(&["Contrast", "Seeds", "Gap over seeds, points"], 1,
            findings.primary.iter().chain(&findings.contrasts).map(gaps).collect()))
    }
}
