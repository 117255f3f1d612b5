//! Reports of made-up findings.

use super::*;
use crate::ablation::testing;

fn findings(gap: f64, change: impl FnOnce(&mut crate::ablation::Cells)) -> Findings {
    let dir = tempfile::tempdir().unwrap();
    let config = testing::ablation();
    let mut cells = testing::cells(&config, gap);
    change(&mut cells);
    let ablation = crate::ablation::Ablation::open(config, dir.path()).unwrap();
    ablation.findings_of(&cells, Default::default(), "made-up images".into())
}

#[test]
fn page_and_text_give_the_verdict_and_every_corner() {
    let findings = findings(0.05, |_| {});
    let (page, text) = (ablation_html(&findings, "the command"), ablation_markdown(&findings, "the command"));
    for shown in ["Verdict: reproduced", "progressive − none", "D4 W6 K7", "the command", "made-up images"] {
        assert!(page.contains(shown) && text.contains(shown), "{shown}");
    }
    assert_eq!(page.matches("<svg width=\"2220\"").count(), 5);
    assert_eq!(text.matches("| D").count(), 8);
}

#[test]
fn missing_seeds_are_named_and_there_is_no_verdict() {
    let findings = findings(0.05, |cells| {
        cells.remove(&("progressive".to_owned(), 2));
    });
    let text = ablation_markdown(&findings, "");
    assert!(text.contains("No verdict yet: seeds [2]") && text.contains("`progressive` [2]"), "{text}");
}

#[test]
fn nothing_complete_is_a_report_too() {
    let findings = findings(0.05, |cells| cells.clear());
    assert!(ablation_markdown(&findings, "").contains("No seed of the primary contrast"));
    assert!(ablation_html(&findings, "").contains("no data"));
}

#[test]
fn the_cheapest_arm_that_keeps_up_is_named() {
    let findings = findings(-0.05, |cells| {
        cells.iter_mut().filter(|((arm, _), _)| arm == "none").for_each(|(_, cell)| cell.record.budget.macs = 5e11);
    });
    assert!(cost_sentence(&findings).contains("`none`: 0.25 of its MACs"), "{}", cost_sentence(&findings));
}
