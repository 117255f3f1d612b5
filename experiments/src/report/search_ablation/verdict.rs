//! The conclusions of the search ablation, in sentences.

use crate::report::format::percent;
use crate::search_ablation::{FrontStanding, SearchFindings, TaskFindings};

/// Share of the optimum that evolution should reach on additive tasks.
const AIM: f64 = 0.995;

/// A paragraph by fixed rules: the leader of every task, the contestants that do not differ significantly from it,
/// whether evolution reaches its target, and which contestant finds the largest front.
pub fn search_verdict(findings: &SearchFindings) -> String {
    let mut sentences: Vec<String> = findings.tasks.iter().filter_map(leader).collect();
    sentences.extend(aim(&findings.tasks));
    let mut tasks: Vec<&str> = findings.fronts.iter().map(|front| front.task.as_str()).collect();
    tasks.dedup();
    sentences.extend(tasks.into_iter().filter_map(|task| largest_front(task, &findings.fronts)));
    sentences.join(" ")
}

fn leader(task: &TaskFindings) -> Option<String> {
    let (first, others) = task.standings.split_first()?;
    let reference = if task.proven { "optimum" } else { "best known" };
    let [low, median, high] = first.share.map(percent);
    let random = others.iter().find(|other| other.strategy == "random");
    let random = random.map_or_else(String::new, |random| format!("; random search {}", percent(random.share[1])));
    let close: Vec<&str> = task.equals_of_the_leader().collect();
    let close = if close.is_empty() { "none".to_owned() } else { close.join(", ") };
    Some(format!(
        "On `{}` within {}, {} leads with a median of {median} of the {reference} (quartiles {low} and {high}); no \
         significant difference: {close}{random}.",
        task.task, task.limit, first.strategy
    ))
}

fn aim(tasks: &[TaskFindings]) -> Option<String> {
    let of = |task: &TaskFindings, name: &str| {
        Some(task.standings.iter().find(|standing| standing.strategy == name)?.share[1])
    };
    let additive: Vec<&TaskFindings> = tasks.iter().filter(|task| task.task == "additive").collect();
    let evolution: Vec<f64> = additive.iter().filter_map(|task| of(task, "evolution")).collect();
    if evolution.is_empty() {
        return None;
    }
    let reached = evolution.iter().filter(|&&share| share >= AIM).count();
    let list = |name: &str| {
        let shares: Vec<String> = additive.iter().filter_map(|task| of(task, name)).map(percent).collect();
        shares.join(" and ")
    };
    Some(format!(
        "Evolution should reach a median of {} of the proven optimum; it does on {reached} of {} additive tasks: {} \
         (the original's evolution {}, random search {}).",
        percent(AIM),
        evolution.len(),
        list("evolution"),
        list("original_evolution"),
        list("random")
    ))
}

fn largest_front(task: &str, fronts: &[FrontStanding]) -> Option<String> {
    let mut fronts: Vec<&FrontStanding> = fronts.iter().filter(|front| front.task == task).collect();
    fronts.sort_by(|a, b| b.hypervolume[1].total_cmp(&a.hypervolume[1]));
    let limit = &fronts.first()?.limit;
    let list: Vec<String> =
        fronts.iter().map(|front| format!("{} {}", front.strategy, percent(front.hypervolume[1]))).collect();
    Some(format!("Median share of the best known hypervolume on `{task}` up to {limit}: {}.", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search_ablation::Standing;

    fn standing(strategy: &str, median: f64, adjusted_p: Option<f64>) -> Standing {
        Standing {
            strategy: strategy.into(),
            searches: 3,
            share: [median - 0.01, median, median + 0.001],
            queries_to: [None; 2],
            reached: [0.0; 2],
            behind: None,
            adjusted_p,
            seconds: 0.1,
            curve: Vec::new(),
        }
    }

    fn task(standings: Vec<Standing>) -> TaskFindings {
        let (task, limit) = ("additive".into(), "200 MMACs".into());
        TaskFindings { task, limit, floor: 0.0, reference: 1.0, proven: true, standings }
    }

    #[test]
    fn a_task_names_its_leader_and_its_equals() {
        let task = task(vec![
            standing("evolution", 0.996, None),
            standing("nsga2", 0.995, Some(0.7)),
            standing("random", 0.87, Some(0.001)),
            standing("table", 0.8, Some(0.049)),
        ]);
        assert_eq!(
            leader(&task).unwrap(),
            "On `additive` within 200 MMACs, evolution leads with a median of 99.60 % of the optimum (quartiles \
             98.60 % and 99.70 %); no significant difference: nsga2; random search 87.00 %."
        );
    }

    #[test]
    fn the_aim_is_judged_by_medians() {
        let hit = task(vec![standing("evolution", 0.9951, None), standing("random", 0.87, Some(0.2))]);
        let miss = task(vec![standing("evolution", 0.9949, None), standing("random", 0.86, Some(0.2))]);
        let text = aim(&[hit, miss]).unwrap();
        assert!(text.contains("it does on 1 of 2 additive tasks: 99.51 % and 99.49 %"), "{text}");
        assert!(text.contains("random search 87.00 % and 86.00 %"), "{text}");
        assert_eq!(aim(&[]), None);
    }
}
