//! The report of a ladder: where shrinking pays, in one figure and one table.

use super::section::{Section, Table, corner_by_corner, freeze, reproduce, section};
use super::{markdown, points, share};
use crate::ablation::{
    Alone, AloneCost, AtBudget, CornerPrice, Gap, Interval, Judgement, LadderFindings, Price, Sign, Verdict,
};
use crate::report::figure::figure;
use crate::report::html::page;
use crate::report::plot::{AtCost, Measured, Plot, against_compute};
use maud::html;

/// Renders the findings as one HTML page; `commands` are pairs of a description and a command.
pub(super) fn ladder_html(findings: &LadderFindings, commands: &[(String, String)]) -> String {
    let body = html! {
        header {
            h1 { (findings.question) }
            p.subtitle { (findings.images) " · " (findings.budgets.len()) " budgets" }
        }
        @for (i, paragraph) in summary(findings).iter().enumerate() {
            p.summary { @if i == 0 { b { (super::html::marked(paragraph)) } } @else { (super::html::marked(paragraph)) } }
        }
        div.row {
            (figure("Gap", gaps(findings), &[],
                "Difference of test top-1 in points, mean over corners, with Student's interval over seeds."))
            (figure("Share of errors spared", reductions(findings), &[],
                "The same as a share of the control's errors, in percent."))
            (figure("Accuracy", accuracies(findings), &[],
                "Mean test top-1 over the corners of every arm that trains the whole space; cost includes ancestors."))
            (figure("Against networks trained alone", losses(findings), &[],
                "Test top-1 of a subnet minus that of the same network trained alone, mean over the corners trained \
                 alone, in points."))
        }
        @for section in sections(findings, commands) { (super::html::shown(&section)) }
    };
    page(&findings.question, &body)
}

/// Renders the findings as Markdown; `commands` are pairs of a description and a command.
pub(super) fn ladder_markdown(findings: &LadderFindings, commands: &[(String, String)]) -> String {
    markdown::text(&findings.question, &summary(findings), &sections(findings, commands))
}

/// The figure of the gap, as an SVG of its own; `None` if nothing is judged.
pub(super) fn ladder_figure(findings: &LadderFindings) -> Option<String> {
    gaps(findings).map(|plot| plot.svg)
}

fn summary(findings: &LadderFindings) -> Vec<String> {
    let mut paragraphs: Vec<String> = findings.signs.iter().map(|sign| in_words(sign, findings)).collect();
    if paragraphs.is_empty() {
        paragraphs.push("Nothing is judged.".into());
    }
    paragraphs.push(format!(
        "Rule, fixed before the run: {} Verdicts, including those still to come: {}.",
        findings.rule, findings.verdicts
    ));
    paragraphs
}

/// How a gap changes with compute, in a sentence or two.
fn in_words(sign: &Sign, findings: &LadderFindings) -> String {
    let pair = format!("`{}` minus `{}`", sign.treatment, sign.control);
    let verdicts = findings.budgets.iter().filter_map(|at| {
        let (tmacs, judgement) = at.judgement(&sign.treatment, &sign.control)?;
        let gap = points(&judgement.contrast.gap);
        Some(format!("{} at {tmacs:.1} TMACs ({gap} points)", judgement.verdict?))
    });
    let verdicts: Vec<String> = verdicts.collect();
    if verdicts.is_empty() {
        return format!("{pair}: no verdict yet.");
    }
    let flips = match sign.flips_between {
        Some([low, high]) => format!("The sign flips between {low:.0} and {high:.0} TMACs"),
        None => format!("No flip of the sign is shown up to {:.0} TMACs", sign.up_to),
    };
    let slope = sign.per_doubling.map_or_else(String::new, |slope| {
        format!("; the gap changes by {:+.2} points per doubling of compute", 100.0 * slope)
    });
    format!("{pair}: {}. {flips}{slope}.", verdicts.join(", "))
}

fn sections(findings: &LadderFindings, commands: &[(String, String)]) -> Vec<Section> {
    let alone = findings.budgets.iter().any(|at| !at.alone.is_empty());
    [
        Some(verdicts(findings)),
        alone.then(|| against_alone(findings)),
        Some(costs(findings)),
        (!findings.prices.is_empty()).then(|| prices(findings)),
        freeze(&findings.tried, &findings.additions),
        Some(reproduce(commands)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn verdicts(findings: &LadderFindings) -> Section {
    let row = |at: &AtBudget, judgement: &Judgement| {
        let contrast = &judgement.contrast;
        vec![
            at.name.clone(),
            at.arm(&contrast.treatment).map_or_else(|| "–".into(), |arm| format!("{:.1}", arm.tmacs)),
            super::contrast_name(contrast),
            format!("{} of {}", contrast.seeds.len(), contrast.seeds.len() + contrast.missing.len()),
            points(&contrast.gap),
            contrast.error_reduction.as_ref().map_or_else(|| "–".into(), share),
            super::section::p_value(judgement.adjusted_p),
            judgement.verdict.map_or_else(|| "–".into(), |verdict: Verdict| verdict.to_string()),
        ]
    };
    let rows = findings.budgets.iter().flat_map(|at| at.judgements.iter().map(move |judgement| row(at, judgement)));
    let headings = vec!["budget", "TMACs", "pair", "seeds", "gap, points", "of the errors, %", "p (Holm)", "verdict"];
    let cells = findings.budgets.iter().map(|at| format!("{} of {} at {}", at.cells[0], at.cells[1], at.name));
    let text = format!(
        "Mean over the corners with {} % intervals over seeds; every budget has a report of its own in its directory, \
         corner by corner. Complete cells: {}.",
        100.0 * findings.confidence,
        cells.collect::<Vec<_>>().join(", ")
    );
    section("Verdicts", &[&text], Some(Table { headings, names: 3, rows: rows.collect() }), Vec::new())
}

fn against_alone(findings: &LadderFindings) -> Section {
    let row = |at: &AtBudget, alone: &Alone| {
        vec![
            at.name.clone(),
            format!("`{}`", alone.arm),
            alone.seeds.len().to_string(),
            points(&alone.gap),
            corner_by_corner(alone),
        ]
    };
    let rows = findings.budgets.iter().flat_map(|at| at.alone.iter().map(move |alone| row(at, alone)));
    let headings = vec!["budget", "arm", "seeds", "subnet minus alone, points", "corner by corner"];
    let text = "The loss in the article's own sense: a subnet of the supernet minus the same network trained alone, \
                for as many epochs as progressive shrinking has in total, at a learning rate of its own. The rule \
                does not use this estimate; no verdict follows from it.";
    section(
        "Against networks trained alone",
        &[text],
        Some(Table { headings, names: 2, rows: rows.collect() }),
        Vec::new(),
    )
}

fn costs(findings: &LadderFindings) -> Section {
    let row = |at: &AtBudget, arm: &crate::ablation::ArmAt| {
        vec![
            at.name.clone(),
            format!("`{}`", arm.arm),
            format!("{:.2}", arm.tmacs),
            arm.seeds.to_string(),
            super::top1(&arm.mean_top1),
        ]
    };
    let whole = |at: &AtBudget| at.arms.iter().filter(|arm| arm.trains_all).map(|arm| row(at, arm)).collect::<Vec<_>>();
    let rows = findings.budgets.iter().flat_map(whole).collect();
    let items = findings.cheapest.iter().map(|found| {
        if (&found.arm.arm, &found.at) == (&found.treatment.arm, &found.budget) {
            return format!("No cheaper training is as good as `{}` at {}.", found.arm.arm, found.at);
        }
        let ratio = found.arm.tmacs / found.treatment.tmacs;
        let halves = if ratio <= 0.5 { "it halves the cost" } else { "it does not halve the cost" };
        format!(
            "The cheapest training as good as `{}` at {} ({:.1} TMACs, {} %) is `{}` at {} ({:.1} TMACs, {} %), with \
             {ratio:.2} of the cost: {halves}.",
            found.treatment.arm,
            found.budget,
            found.treatment.tmacs,
            super::top1(&found.treatment.mean_top1),
            found.arm.arm,
            found.at,
            found.arm.tmacs,
            super::top1(&found.arm.mean_top1),
        )
    });
    let headings = vec!["budget", "arm", "TMACs", "seeds", "mean top-1, %"];
    let text = "Arms that train the whole space: mean test top-1 over the corners. \"As good\" means a mean that is \
                not below the treatment's interval.";
    section("What training costs", &[text], Some(Table { headings, names: 2, rows }), items.collect())
}

fn prices(findings: &LadderFindings) -> Section {
    let row = |price: &Price| {
        let (ratio, [known, dearer, cheaper]) = price.ratio();
        let corner = |corner: &CornerPrice| {
            let (sign, tmacs) = match corner.alone {
                AloneCost::About(tmacs) => ("", tmacs),
                AloneCost::LessThan(tmacs) => ("> ", tmacs),
                AloneCost::MoreThan(tmacs) => ("< ", tmacs),
            };
            format!("{} {sign}{:.1}", corner.corner, price.tmacs / tmacs)
        };
        vec![
            price.budget.clone(),
            format!("`{}`", price.arm),
            format!("{:.2}", price.tmacs),
            ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.1}")),
            format!("{known}, {dearer}, {cheaper}"),
            price.corners.iter().map(corner).collect::<Vec<_>>().join("; "),
        ]
    };
    let headings =
        vec!["budget", "arm", "TMACs", "networks alone", "corners known, at least, at most", "corner by corner"];
    let rows = findings.prices.iter().map(row).collect();
    let text = "Training cost of a supernet divided by that of one network trained alone to the same test accuracy \
                (the article says 12 times, its preprint about 8). The cost of the network alone is interpolated \
                linearly in the logarithm of compute between the budgets at which it was trained. Where the \
                supernet's subnet is worse than all of them, the price is at least the one given (>); where it is \
                better, at most (<). The mean is geometric, over the corners whose price is known.";
    section(
        "The price of a supernet in networks trained alone",
        &[text],
        Some(Table { headings, names: 2, rows }),
        Vec::new(),
    )
}

fn gaps(findings: &LadderFindings) -> Option<Plot> {
    judged(findings, "gap, points", |judgement| Some(judgement.contrast.gap))
}

fn reductions(findings: &LadderFindings) -> Option<Plot> {
    judged(findings, "share of the errors, %", |judgement| judgement.contrast.error_reduction)
}

/// Plots a quantity of every judgement over the budgets, one line per pair.
fn judged(findings: &LadderFindings, y_title: &str, of: impl Fn(&Judgement) -> Option<Gap>) -> Option<Plot> {
    let kind = |sign: &Sign| {
        let at = |at: &AtBudget| {
            let (tmacs, judgement) = at.judgement(&sign.treatment, &sign.control)?;
            Some(at_cost(tmacs, &of(judgement)?))
        };
        let name = format!("{} − {}", sign.treatment, sign.control);
        Measured { name, points: findings.budgets.iter().filter_map(at).collect() }
    };
    against_compute(y_title, &findings.signs.iter().map(kind).collect::<Vec<_>>(), true)
}

fn accuracies(findings: &LadderFindings) -> Option<Plot> {
    let value = |at: &AtBudget, name: &str| at.arm(name).map(|arm| at_cost(arm.tmacs, &arm.mean_top1));
    let all = findings.budgets.iter().flat_map(|at| &at.arms).filter(|arm| arm.trains_all);
    by_arm(findings, "mean test top-1, %", all.map(|arm| arm.arm.as_str()), value, false)
}

fn losses(findings: &LadderFindings) -> Option<Plot> {
    let value = |at: &AtBudget, name: &str| {
        let alone = at.alone.iter().find(|alone| alone.arm == name)?;
        Some(at_cost(at.arm(name)?.tmacs, &alone.gap))
    };
    let all = findings.budgets.iter().flat_map(|at| &at.alone).map(|alone| alone.arm.as_str());
    by_arm(findings, "subnet minus alone, points", all, value, true)
}

/// Plots a quantity of every arm over the budgets, one line per arm.
fn by_arm<'f>(
    findings: &'f LadderFindings,
    y_title: &str,
    arms: impl Iterator<Item = &'f str>,
    value: impl Fn(&AtBudget, &str) -> Option<AtCost>,
    zero: bool,
) -> Option<Plot> {
    let mut names: Vec<&str> = Vec::new();
    for arm in arms {
        if !names.contains(&arm) {
            names.push(arm);
        }
    }
    let kind = |name: &&str| Measured {
        name: (*name).to_owned(),
        points: findings.budgets.iter().filter_map(|at| value(at, name)).collect(),
    };
    against_compute(y_title, &names.iter().map(kind).collect::<Vec<_>>(), zero)
}

/// A point of a plot, in percent or points.
fn at_cost(tmacs: f64, gap: &Gap) -> AtCost {
    AtCost { tmacs, value: 100.0 * gap.mean, ends: gap.interval.map(Interval::percent) }
}
