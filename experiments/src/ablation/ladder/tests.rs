//! Several budgets in one directory.

use super::*;
use crate::ablation::testing::tiny_ladder;
use crate::ablation::{BudgetConfig, Verdict};
use ofa_train::OneRank;

fn with_more(mut config: AblationConfig) -> AblationConfig {
    config.arms.push(crate::ablation::Arm { name: "other".into(), ..config.arms[2].clone() });
    config.budgets[0].epochs.insert("other".into(), vec![1]);
    config.budgets.push(BudgetConfig { name: "C".into(), ..config.budgets[1].clone() });
    config.rule.contrasts.insert(0, ["other".into(), "none".into()]);
    config
}

#[test]
fn every_budget_is_trained_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let ladder = Ladder::open(tiny_ladder(), dir.path()).unwrap();
    let message = ladder.run(None, Some("D"), &OneRank, &stop).unwrap_err().to_string();
    assert!(message.contains("no budget `D`") && message.contains("A, B"), "{message}");
    // The second budget waits for the selection of the first.
    ladder.run(Some(1), Some("B"), &OneRank, &stop).unwrap();
    assert_eq!(ladder.progress().unwrap(), "0 of 18 cells complete");
    ladder.run(None, None, &OneRank, &stop).unwrap();
    let chosen = |rung: usize, arm: &str| {
        let ablation = &ladder.rungs()[rung];
        ablation.chosen_factor(ablation.config().arm(arm).unwrap()).unwrap().unwrap()
    };
    assert!(["full", "progressive", "none"].iter().all(|arm| chosen(0, arm) == chosen(1, arm)));
    assert!(dir.path().join("B/cells/none/seed-2/subnets.csv").exists());
    assert!(!dir.path().join("B/cells/none/select-1").exists());

    let (whole, by_budget) = ladder.findings().unwrap();
    assert_eq!((whole.verdicts, whole.budgets.len(), by_budget.len()), (2, 2, 2));
    let p = |i: usize| whole.budgets[i].judgements[0].contrast.gap.p.unwrap();
    let adjusted = crate::ablation::holm(&[p(0), p(1)]);
    assert_eq!(whole.budgets[1].judgements[0].adjusted_p, Some(adjusted[1]));
    assert_eq!(by_budget[1].verdict, whole.budgets[1].judgements[0].verdict);
    assert!(by_budget[1].verdict.is_some_and(|verdict| verdict != Verdict::NotReproduced));
    // Each budget is an ablation of its own, and a ladder can be reopened.
    let alone = Ladder::reopen(&dir.path().join("A")).unwrap();
    assert_eq!(alone.findings().unwrap().0.verdicts, 1);
    let again = ladder.make_again("B/none/seed-1", &OneRank, &stop).unwrap().unwrap();
    assert_eq!(again.subnets, 8 + 3);
    assert!(ladder.repeat_first_steps("A/progressive/seed-2", &OneRank).unwrap().is_some());
    let message = ladder.make_again("none/seed-1", &OneRank, &stop).unwrap_err().to_string();
    assert!(message.contains("does not start with a budget, as A/none/seed-1 does"), "{message}");
}

#[test]
fn more_may_be_asked_later_and_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let ladder = Ladder::open(tiny_ladder(), dir.path()).unwrap();
    ladder.run(Some(1), None, &OneRank, &Arc::new(AtomicBool::new(false))).unwrap();
    let more = with_more(tiny_ladder());
    let ladder = Ladder::open(more.clone(), dir.path()).unwrap();
    let additions = ladder.additions().unwrap();
    let expected = ["arm `other`", "contrast `other` minus `none`", "arm `other` at budget `A`", "budget `C`"];
    assert_eq!((additions.len(), additions[0].complete), (1, 1));
    assert_eq!(additions[0].added, expected);
    assert_eq!(Ladder::reopen(dir.path()).unwrap().config(), &more);
    assert!(ladder.rungs()[0].config().arm("other").is_some());
    Ladder::open(more, dir.path()).unwrap();
    assert_eq!(ladder.additions().unwrap().len(), 1);

    type Change = fn(&mut AblationConfig);
    let changes: [Change; 4] = [
        |config| config.budgets[1].epochs.extend([("none".into(), vec![4])]),
        |config| drop(config.budgets.remove(0)),
        |config| config.arms[1].schedule.phases[0].learning_rate *= 2.0,
        |config| config.seeds.push(3),
    ];
    for change in changes {
        let mut other = with_more(tiny_ladder());
        change(&mut other);
        let message = format!("{:#}", Ladder::open(other, dir.path()).err().unwrap());
        assert!(message.contains("started with another configuration"), "{message}");
    }
}

#[test]
fn impossible_budgets_are_named() {
    type Change = fn(&mut AblationConfig);
    let changes: [(&str, Change); 6] = [
        ("two budgets `A`", |config| config.budgets[1].name = "A".into()),
        ("there is no arm `some`", |config| drop(config.budgets[0].epochs.insert("some".into(), vec![1]))),
        ("`none`: 2 values, but 1 expected", |config| drop(config.budgets[0].epochs.insert("none".into(), vec![1, 1]))),
        ("no earlier budget is named `C`", |config| config.budgets[1].factors_of = Some("C".into())),
        ("no earlier arm is named `full`", |config| drop(config.budgets[0].epochs.remove("full"))),
        ("letters, digits", |config| config.budgets[0].name = "../A".into()),
    ];
    for (expected, change) in changes {
        let mut config = tiny_ladder();
        change(&mut config);
        let message = format!("{:#}", config.validate().unwrap_err());
        assert!(message.contains("budget") && message.contains(expected), "{message}");
    }
}
