//! Reports of made-up findings.

use super::*;
use crate::ablation::testing;

fn findings(gap: f64, change: impl FnOnce(&mut crate::ablation::Cells)) -> Findings {
    let dir = tempfile::tempdir().unwrap();
    let config = testing::ablation();
    let mut cells = testing::cells(&config, gap);
    change(&mut cells);
    let ablation = crate::ablation::Ladder::open(config, dir.path()).unwrap();
    ablation.rungs()[0].findings_of(&cells, Default::default(), "made-up images".into())
}

fn commands() -> Vec<(String, String)> {
    vec![("All again".into(), "the command".into())]
}

#[test]
fn page_and_text_give_the_verdict_and_every_corner() {
    let findings = findings(0.05, |_| {});
    let (page, text) = (ablation_html(&findings, &commands()), ablation_markdown(&findings, &commands()));
    let both = [
        "Verdict: reproduced",
        " % of the control's errors",
        "progressive − none",
        "D4 W6 K7",
        "the command",
        "made-up images",
        "random subnets by MACs",
        "50.00 / 50.00",
        "75.9 / 73.5 (+2.4)",
        "one finding and not 8",
        "last map 7x7",
        "Threats to validity",
    ];
    for shown in both {
        assert!(page.contains(shown) && text.contains(shown), "{shown}");
    }
    assert_eq!(page.matches("<svg width=\"2220\"").count(), 5);
    assert_eq!(text.matches("\n| D").count(), 8);
    assert!(page.contains("<code>the command</code>"));
}

#[test]
fn the_papers_numbers_stand_beside_its_own_question_alone() {
    let mut findings = findings(0.05, |_| {});
    findings.primary.as_mut().unwrap().control = "none_epochs".into();
    assert!(!ablation_markdown(&findings, &[]).contains("(+2.4)"));
}

#[test]
fn a_gap_on_the_other_side_and_rates_at_the_edge_are_said() {
    let mut findings = findings(-0.05, |_| {});
    findings.selections = [("none".to_owned(), vec![(0.5, 0.8), (1.0, 0.81)])].into();
    findings.diverged = vec!["cells/none/select-2: loss is NaN".into()];
    let text = ablation_markdown(&findings, &[]);
    assert!(text.contains("Verdict: reversed") && text.contains("on the side of the control"), "{text}");
    assert!(text.contains("beyond it, for: `none`") && text.contains("diverged: cells/none/select-2"), "{text}");
}

#[test]
fn missing_seeds_are_named_and_there_is_no_verdict() {
    let findings = findings(0.05, |cells| {
        cells.remove(&("progressive".to_owned(), 2));
    });
    let text = ablation_markdown(&findings, &[]);
    assert!(text.contains("No verdict yet: seeds [2]") && text.contains("`progressive` [2]"), "{text}");
}

#[test]
fn nothing_complete_is_a_report_too() {
    let findings = findings(0.05, |cells| cells.clear());
    assert!(ablation_markdown(&findings, &[]).contains("No seed of the primary contrast"));
    assert!(ablation_html(&findings, &[]).contains("no data"));
}

#[test]
fn the_cheapest_arm_that_keeps_up_is_named() {
    let findings = findings(-0.05, |cells| {
        cells.iter_mut().filter(|((arm, _), _)| arm == "none").for_each(|(_, cell)| cell.record.budget.macs = 5e11);
    });
    assert!(cost_sentence(&findings).contains("`none`: 0.25 of its MACs"), "{}", cost_sentence(&findings));
}

#[test]
fn a_ladder_shows_every_budget_and_what_becomes_of_the_gap() {
    let dir = tempfile::tempdir().unwrap();
    let ladder = crate::ablation::Ladder::open(testing::tiny_ladder(), dir.path()).unwrap();
    let found = ladder.rungs().iter().zip([-0.05, 0.05]).map(|(rung, gap)| {
        rung.findings_of(&testing::cells(rung.config(), gap), Default::default(), "made-up images".into())
    });
    let (whole, by_budget) = ladder.together(found.collect()).unwrap();
    let (text, page) = (ladder_markdown(&whole, &commands()), ladder_html(&whole, &commands()));
    let both = [
        "progressive − none",
        "2 of 2",
        "a pilot",
        "Verdicts, including those still to come: 2",
        "What training costs",
        "reversed",
    ];
    for shown in both {
        assert!(text.contains(shown) && page.contains(shown), "{shown}: {text}");
    }
    assert_eq!(page.matches("<svg width").count(), 3, "nothing was trained alone");
    assert!(ladder_figure(&whole).unwrap().contains("TMACs"));
    assert!(ablation_markdown(&by_budget[0], &[]).contains("Verdicts, including those still to come: 2"));
}
