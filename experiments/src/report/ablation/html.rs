//! The report as one self-contained HTML page.

use super::section::{Section, sections};
use super::{contrast_name, summary};
use crate::ablation::{ArmFindings, Contrast, Findings, Interval};
use crate::report::figure::figure;
use crate::report::html::page;
use crate::report::plot::{self, Difference, Mark, Series};
use crate::report::tables::table;
use maud::{Markup, html};

/// Renders the findings as HTML; `commands` are pairs of a description and a command.
pub(super) fn ablation_html(findings: &Findings, commands: &[(String, String)]) -> String {
    let body = html! {
        header {
            h1 { (findings.question) }
            p.subtitle { (findings.images) " · " (findings.seeds.len()) " seeds" }
        }
        @for (i, paragraph) in summary(findings).iter().enumerate() {
            p.summary { @if i == 0 { b { (marked(paragraph)) } } @else { (marked(paragraph)) } }
        }
        (figures(findings))
        @for section in sections(findings, commands) { (shown(&section)) }
    };
    page(&findings.question, &body)
}

pub(super) fn shown(section: &Section) -> Markup {
    let cells = |row: &Vec<String>| row.iter().map(|cell| html! { (marked(cell)) }).collect();
    html! {
        h2 { (section.heading) }
        @for paragraph in &section.text { p.note { (marked(paragraph)) } }
        @if let Some(found) = &section.table {
            (table(&found.headings, found.names, found.rows.iter().map(cells).collect()))
        }
        @if !section.items.is_empty() { ul { @for item in &section.items { li { (marked(item)) } } } }
    }
}

/// Renders the parts of a text between backticks as code.
pub(super) fn marked(text: &str) -> Markup {
    html! { @for (i, part) in text.split('`').enumerate() { @if i % 2 == 1 { code { (part) } } @else { (part) } } }
}

fn figures(findings: &Findings) -> Markup {
    let of_primary = findings.primary.as_ref().map_or_else(|| "Primary contrast".into(), contrast_name);
    html! {
        div.row.whole {
            (figure(&of_primary, plot::forest(&primary(findings)), &[],
                "Difference of test accuracy for each subnet (depth, expand ratio, kernel size), and their mean."))
            (figure("All contrasts", plot::forest(&contrasts(findings)), &[],
                "Mean difference over the corners; intervals over seeds and test images."))
            (figure("Random subnets", plot::series("MMACs", "test top-1, %", &random(findings), Mark::Point), &[],
                "The same random subnets in every arm, means over seeds."))
            (figure("Accuracy against cost",
                plot::series("training, TMACs", "mean test top-1 of corners, %", &costs(findings), Mark::Point), &[],
                "Cost of an arm, including the training of its teacher and ancestors, and its accuracy."))
            (figure("Learning curves",
                plot::series("training, TMACs", "training top-1, %", &curves(findings), Mark::Line), &[],
                "Accuracy of the sampled subnets on augmented training images, first seed; not comparable between \
                 phases that open different parts of the space."))
        }
    }
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
    findings.supernets().map(|arm| Series { name: arm.name.clone(), points: points(arm) }).collect()
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
