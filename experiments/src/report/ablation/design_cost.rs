//! The report of design costs: curves, ratios, accuracies, verdicts.

use super::section::{Section, Table, reproduce, section};
use super::{html::marked, html::shown, markdown};
use crate::ablation::{CostCurve, CurveKind, DesignFindings, DesignVerdict, Files, MethodFindings, Trials};
use crate::report::figure::figure;
use crate::report::html::page;
use crate::report::plot::{self, Cost, Mark, Series};
use maud::html;

/// Number of scenarios of the published ratios.
const PUBLISHED_AT: u32 = 40;

const THREATS: [&str; 10] = [
    "Images are small, the network is small and training is short: nothing here says what happens on ImageNet.",
    "The proportions of budget 1 are the papers': the ratios under `papers' proportions` follow from the configuration, \
     and only those at equal accuracy are measured.",
    "Lengths are whole epochs, and the searches are so short that the rates of their choices were raised; the methods \
     were tuned for ImageNet. Only one rate of each was chosen here, by few trials, and that of MnasNet's controller not \
     at all, since each trial would cost as much as the search.",
    "Networks are kept within the target by changing the most probable one; the papers have no such step. Without it, \
     most would miss the target.",
    "All methods take the same latency table, which is charged to none of them.",
    "The differentiable searches learn choices from the validation images from which budgets are also judged; test \
     images are read once per network and decide nothing.",
    "Where no budget was enough, a cost is a lower bound and so is its ratio.",
    "Nine parallel paths run at another pace than one: compare processor hours beside TMACs. Time lost in kills is not \
     in processor hours.",
    "Where a search has fewer samples than published, its ratio at equal accuracy is that of the samples that were run.",
    "Costs at more scenarios than were run are linear extrapolations, and so is the step from our samples to 8,000.",
];

/// The reports: `report.html`, `report.md` and `cost.svg`.
pub fn design_cost_reports(findings: &DesignFindings, commands: &[(String, String)]) -> Files {
    let reports = [("report.html", page_of(findings, commands)), ("report.md", markdown_of(findings, commands))];
    let figure = costs(findings).map(|plot| ("cost.svg", plot.svg));
    reports.into_iter().chain(figure).collect()
}

fn page_of(findings: &DesignFindings, commands: &[(String, String)]) -> String {
    let body = html! {
        header {
            h1 { (findings.question) }
            p.subtitle { (findings.images) " · " (findings.progress) }
        }
        @for (i, paragraph) in summary(findings).iter().enumerate() {
            p.summary { @if i == 0 { b { (marked(paragraph)) } } @else { (marked(paragraph)) } }
        }
        div.row.whole {
            (figure("Cost by number of scenarios", costs(findings), &[],
                "Training and search together: at equal accuracy where that is known, else in the papers' proportions."))
            (figure("Accuracy against latency",
                plot::series("measured latency, ms", "test top-1, %", &accuracies(findings), Mark::Point), &[],
                "Every network found, means over seeds; each point is a target and a budget."))
        }
        @for section in sections(findings, commands) { (shown(&section)) }
    };
    page(&findings.question, &body)
}

fn markdown_of(findings: &DesignFindings, commands: &[(String, String)]) -> String {
    markdown::text(&findings.question, &summary(findings), &sections(findings, commands))
}

/// The curve to show for a method: at equal accuracy if that is known.
fn shown_curve(method: &MethodFindings) -> Option<(usize, &CostCurve)> {
    let curves = || method.curves.iter().enumerate();
    curves().find(|(_, curve)| curve.kind == CurveKind::IsoAccuracy).or_else(|| curves().next())
}

fn costs(findings: &DesignFindings) -> Option<plot::Plot> {
    let cost = |name: String, curve: &CostCurve, published: Option<(u32, f64)>| Cost {
        name,
        once: curve.at(0).tmacs,
        each: curve.each.tmacs,
        measured: curve.scenarios as u32,
        published,
    };
    let ours = findings.ofa.iter().map(|curve| cost(curve.method.clone(), curve, None));
    let plain = findings.ofa.first().map(|curve| curve.at(PUBLISHED_AT).tmacs);
    let others = findings.methods.iter().filter_map(|method| {
        let (_, curve) = shown_curve(method)?;
        let bound = if curve.is_bound { " (at least)" } else { "" };
        let published = method.published.zip(plain).map(|(ratio, plain)| (PUBLISHED_AT, ratio * plain));
        Some(cost(format!("{}{bound}", method.method), curve, published))
    });
    plot::cost_curves("TMACs (logarithmic)", &ours.chain(others).collect::<Vec<_>>())
}

fn accuracies(findings: &DesignFindings) -> Vec<Series> {
    let mut names: Vec<&String> = findings.networks.iter().map(|row| &row.method).collect();
    names.dedup();
    let mut series: Vec<Series> = Vec::new();
    for name in names {
        if series.iter().any(|other| other.name == *name) {
            continue;
        }
        let own = findings.networks.iter().filter(|row| row.method == *name);
        series.push(Series {
            name: name.clone(),
            points: own.map(|row| (row.measured_ms, 100.0 * row.test_top1)).collect(),
        });
    }
    series
}

fn summary(findings: &DesignFindings) -> Vec<String> {
    let verdicts =
        findings.methods.iter().filter(|method| method.published.is_some()).map(|method| in_words(method, findings));
    let verdicts: Vec<String> = verdicts.collect();
    let mut paragraphs = vec![if verdicts.is_empty() { "Nothing is judged.".into() } else { verdicts.join(" ") }];
    paragraphs.push(format!(
        "Rule, fixed before the run: a method is charged the least budget whose networks have at most {:.1} points less \
         validation top-1 than plain OFA's at the same target; ratios are of TMACs at {} scenarios.",
        100.0 * findings.tolerance,
        findings.scenarios
    ));
    if !findings.diverged.is_empty() {
        paragraphs.push(format!("Trainings that diverged: {}.", findings.diverged.join("; ")));
    }
    paragraphs
}

fn in_words(method: &MethodFindings, findings: &DesignFindings) -> String {
    let name = &method.method;
    let published = method.published.unwrap_or_default();
    let judged = method.curves.iter().position(|curve| curve.kind == CurveKind::IsoAccuracy);
    let Some((i, ofa)) = judged.zip(findings.ofa.first()) else {
        return format!("`{name}`: no verdict yet, cells are missing.");
    };
    let curve = &method.curves[i];
    let ratio = curve.ratio(ofa, findings.scenarios).tmacs;
    let verdict = match method.verdict {
        DesignVerdict::AsPublished => "as published",
        DesignVerdict::Cheaper if curve.is_bound => "OFA is cheaper, by how much is open",
        DesignVerdict::Cheaper => "OFA is cheaper, by less than published",
        DesignVerdict::NotCheaper => "OFA is not cheaper",
        DesignVerdict::Undecided => "undecided, since no budget was enough at some target",
        DesignVerdict::Control | DesignVerdict::Open => "no verdict",
    };
    let bound = if curve.is_bound { "at least " } else { "" };
    let even = curve.break_even(ofa).map_or("never".into(), |n| format!("from {n} scenarios on"));
    format!(
        "`{name}`: {verdict}. At equal accuracy and {} scenarios it costs {bound}{ratio:.1} times what OFA does \
         (published: {published:.0}); OFA is cheaper {even}.",
        findings.scenarios
    )
}

fn sections(findings: &DesignFindings, commands: &[(String, String)]) -> Vec<Section> {
    vec![
        charges(findings),
        trials(findings),
        networks(findings),
        section("Threats to validity", &[], None, THREATS.map(str::to_owned).into()),
        reproduce(commands),
        section("Environment", &[], None, findings.machines.clone()),
    ]
}

fn charges(findings: &DesignFindings) -> Section {
    let text = "C(N) = once + each * N, in TMACs of all passes over images, and at equal accuracy the trials of rates as \
                well; the ratio is to plain OFA, with or without its trials. `*` marks what is extrapolated: numbers of \
                scenarios beyond those run, and searches shorter than published; `>` a lower bound.";
    let headings = vec![
        "Method",
        "Charged",
        "Trials",
        "Once",
        "Each",
        "Spread of each",
        "Processor h each",
        "N = 1",
        "N = 5",
        "N = 10",
        "N = 40",
        "Published",
        "Break-even",
    ];
    let numbers = |curve: &CostCurve| {
        let star = if curve.is_extrapolated { "*" } else { "" };
        vec![
            format!("{:.2}", curve.trials.tmacs),
            format!("{:.2}", curve.once.tmacs),
            format!("{:.2}{star}", curve.each.tmacs),
            format!("{:.2} to {:.2}", curve.spread[0], curve.spread[1]),
            format!("{:.2}", curve.each.processor_hours),
        ]
    };
    let ours = findings.ofa.iter().map(|curve| {
        let name = vec![curve.method.clone(), "all targets".to_owned()];
        let rest = std::iter::repeat_n("1.0".to_owned(), 4).chain([String::new(), String::new()]);
        [name, numbers(curve), if curve == &findings.ofa[0] { rest.collect() } else { ratios_of_ours(curve, findings) }]
            .concat()
    });
    let others = findings.methods.iter().flat_map(|method| {
        method.curves.iter().enumerate().map(|(i, curve)| {
            let kind = match curve.kind {
                CurveKind::Proportions if method.published.is_none() => "as configured",
                CurveKind::Proportions => "papers' proportions",
                CurveKind::IsoAccuracy => "equal accuracy",
            };
            let bound = if curve.is_bound { "> " } else { "" };
            let ratio = |ratio: &crate::ablation::Ratio| {
                let star = if ratio.scenarios as usize > curve.scenarios || curve.is_extrapolated { "*" } else { "" };
                format!("{bound}{:.2}{star}", ratio.tmacs)
            };
            let mut ratios: Vec<String> = method.ratios.get(i).into_iter().flatten().map(ratio).collect();
            ratios.resize(4, "n/a".into());
            let published = method.published.map_or(String::new(), |published| format!("{published:.0}"));
            let even = method.break_even.get(i).copied().flatten().map_or("never".into(), |n| n.to_string());
            let name = vec![method.method.clone(), kind.to_owned()];
            [name, numbers(curve), ratios, vec![published, even]].concat()
        })
    });
    let table = Table { headings, names: 2, rows: ours.chain(others).collect() };
    section("What N scenarios cost", &[text], Some(table), Vec::new())
}

fn trials(findings: &DesignFindings) -> Section {
    let text = "Rates are chosen by validation top-1 with a seed that is not reported. Methods without a line have no rate \
                of choices, or take it as configured. Of OFA the factor is on all rates of its schedule.";
    let one = |&(factor, top1): &(f64, Option<f64>)| {
        top1.map_or(format!("×{factor}: diverged"), |top1| format!("×{factor}: {:.2}", 100.0 * top1))
    };
    let row = |trials: &Trials| {
        let tried: Vec<String> = trials.tried.iter().map(one).collect();
        vec![trials.method.clone(), tried.join(", "), format!("{:.2}", trials.charged.tmacs)]
    };
    let rows = findings.trials.iter().map(row).collect();
    let table = Table { headings: vec!["Method", "Factor: validation top-1, %", "TMACs"], names: 2, rows };
    section("Choice of rates", &[text], Some(table), Vec::new())
}

/// Ratios of OFA with fine-tuning to plain OFA.
fn ratios_of_ours(curve: &CostCurve, findings: &DesignFindings) -> Vec<String> {
    let ratio = |n| format!("{:.2}", curve.ratio(&findings.ofa[0], n).tmacs);
    [1, 5, 10, 40].into_iter().map(ratio).chain([String::new(), String::new()]).collect()
}

fn networks(findings: &DesignFindings) -> Section {
    let limits: Vec<String> = findings.limits_ms.iter().map(|limit| format!("{limit:.3} ms")).collect();
    let text = format!(
        "Targets: {}. `enough` says whether validation top-1 is within {:.1} points of plain OFA's at the target.",
        limits.join(", "),
        100.0 * findings.tolerance
    );
    let headings = vec![
        "Method",
        "Budget",
        "Target",
        "Seeds",
        "Table ms",
        "Measured ms",
        "Validation top-1",
        "Test top-1",
        "Range",
        "TMACs",
        "Processor h",
        "Peak MiB",
        "Enough",
    ];
    let row = |row: &crate::ablation::AtTarget| {
        vec![
            row.method.clone(),
            row.budget.to_string(),
            row.target.to_string(),
            row.seeds.to_string(),
            format!("{:.3}", row.table_ms),
            format!("{:.3}", row.measured_ms),
            format!("{:.2}", 100.0 * row.validation_top1),
            format!("{:.2}", 100.0 * row.test_top1),
            format!("{:.2} to {:.2}", 100.0 * row.spread[0], 100.0 * row.spread[1]),
            format!("{:.2}", row.charged.tmacs),
            format!("{:.2}", row.charged.processor_hours),
            row.peak_mib.map_or("n/a".into(), |peak| format!("{peak:.0}")),
            row.is_enough.map_or("n/a", |enough| if enough { "yes" } else { "no" }).into(),
        ]
    };
    let table = Table { headings, names: 1, rows: findings.networks.iter().map(row).collect() };
    section("Networks", &[&text], Some(table), Vec::new())
}
