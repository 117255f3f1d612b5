//! The report of the search ablation.

mod verdict;

pub use verdict::search_verdict;

use super::figure::figure;
use super::format::{duration, percent, thousands};
use super::html::page;
use super::plot;
use super::summary;
use super::tables::table;
use crate::search_ablation::{FrontStanding, SearchFindings, Standing, TARGETS, TaskFindings};
use maud::{Markup, html};

const QUESTION: &str = "Which search strategy comes closest to the optimum at equal queries?";

/// Renders the findings as a page; `command` reproduces it.
pub fn search_ablation_html(findings: &SearchFindings, command: &str) -> String {
    let (ablation, machine) = (&findings.ablation, &findings.machine);
    let body = html! {
        header {
            h1 { (QUESTION) }
            p.subtitle { (thousands(ablation.queries)) " queries per search · " (ablation.seeds) " seeds" }
        }
        p.summary { (search_verdict(findings)) }
        h2 { "Tasks" }
        ul {
            li { b { "tables" } ": accuracy by a predictor fitted to the table of a trained supernet ("
                (findings.tables) "), latency by its latency table. Share 0 is the mean random arch, share 1 the best "
                "arch found." }
            li { b { "additive" } ": scores that are random sums over blocks (seed " (ablation.task_seed)
                "), on MobileNetV3 under a limit on MACs. Share 0 is a score of 0, share 1 the proven optimum." }
            li { b { "counted" } ": as tables, in a part of the space that exhaustive search enumerated. Share 1 is "
                "the optimum." }
        }
        @for task in &findings.tasks { (of_task(task)) }
        h2 { "Fronts" }
        (fronts(&findings.fronts))
        p.note { "Hypervolume of cost and score at equal queries, as a share of that of the best known front: all "
            "archs met, plus proven optima under 100 limits on additive tasks." }
        h2 { "Reproduce" }
        p { code { (command) } }
        p.note { (machine.processor) ", " (summary::threads(machine.threads)) ", revision " (machine.revision) ", "
            (machine.versions) ", " (machine.started) }
    };
    page(QUESTION, &body)
}

fn of_task(task: &TaskFindings) -> Markup {
    let reference = if task.proven { "the optimum" } else { "the best known" };
    let caption = format!("Best score so far as a share of {reference}: median over seeds, band between quartiles.");
    // All searches start where random search does; shares below that carry no information.
    let least =
        task.standings.iter().filter_map(|standing| Some(standing.curve.first()?.1[1])).fold(f64::MAX, f64::min);
    html! {
        h2 { (task.task) " within " (task.limit) }
        div.row.whole { (figure(reference, plot::share_curves(&task.standings, least), &[], &caption)) }
        (standings(&task.standings))
    }
}

fn standings(standings: &[Standing]) -> Markup {
    let [first, second] = TARGETS.map(percent);
    let headings = [
        "Strategy".to_owned(),
        "Searches".to_owned(),
        "Median share".to_owned(),
        "Quartiles".to_owned(),
        "Behind the leader, points".to_owned(),
        format!("Queries to {first}"),
        format!("Queries to {second}"),
        format!("Reached {second}"),
        "Time".to_owned(),
    ];
    let row = |standing: &Standing| {
        let [low, median, high] = standing.share.map(percent);
        let queries = standing.queries_to.map(|queries| queries.map_or_else(|| "–".to_owned(), thousands));
        let [to_first, to_second] = queries;
        let behind = standing.behind.map_or_else(|| "–".to_owned(), |gap| super::ablation::points(&gap));
        let cells = [
            standing.strategy.clone(),
            standing.searches.to_string(),
            median,
            format!("{low} to {high}"),
            behind,
            to_first,
            to_second,
            percent(standing.reached[1]),
            duration(standing.seconds),
        ];
        cells.into_iter().map(|cell| html! { (cell) }).collect()
    };
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    table(&headings, 1, standings.iter().map(row).collect())
}

fn fronts(fronts: &[FrontStanding]) -> Markup {
    let row = |front: &FrontStanding| {
        let [low, median, high] = front.hypervolume.map(percent);
        let cells = [
            format!("{} up to {}", front.task, front.limit),
            front.strategy.clone(),
            median,
            format!("{low} to {high}"),
            format!("{:.0}", front.archs),
        ];
        cells.into_iter().map(|cell| html! { (cell) }).collect()
    };
    table(&["Front", "Strategy", "Median hypervolume", "Quartiles", "Archs"], 2, fronts.iter().map(row).collect())
}
