//! Which cells there are, in what order, and which of them can be made.

use super::*;
use crate::ablation::Ladder;
use crate::ablation::record::{RECORD, SUBNETS};
use crate::ablation::testing::{self, ablation, tiny_ablation};
use crate::console::interrupt;
use ofa_train::{OneRank, ThreadRanks};

/// One budget, three factors, eight arms and eight corners trained alone.
fn default_in(dir: &Path) -> Ablation {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-25-ablation/config.toml");
    Ablation::in_place(AblationConfig::load(&record).unwrap(), dir).unwrap()
}

/// Writes a selection cell; without an accuracy, it diverged.
fn select(ablation: &Ablation, arm: &str, factor: f64, validation_top1: Option<f64>) {
    let made = testing::selecting_cell(ablation.config(), arm, factor, validation_top1);
    let arm = ablation.config().arm(arm).unwrap();
    let path = Cell { arm, seed: 101, factor, selects: true }.path(ablation.dir().root());
    let dir = RunDir::create(&path, "").unwrap();
    dir.write_csv(SUBNETS, &made.subnets).unwrap();
    dir.write_csv("metrics.csv", &made.epochs).unwrap();
    dir.write_json(RECORD, &made.record).unwrap();
}

#[test]
fn a_rule_that_changes_after_the_start_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Ladder::open(ablation(), dir.path()).unwrap();
    Ladder::open(ablation(), dir.path()).unwrap();
    let mut other = ablation();
    other.rule.criteria.as_mut().unwrap().equivalence = 0.01;
    let message = format!("{:#}", Ladder::open(other, dir.path()).err().unwrap());
    assert!(message.contains("equivalence = 0.003") && message.contains("equivalence = 0.01"), "{message}");
    assert_eq!(Ablation::reopen(dir.path()).unwrap().config(), &ablation());
}

#[test]
fn the_arms_of_the_verdict_come_first_and_a_factor_is_chosen_before_its_report() {
    let dir = tempfile::tempdir().unwrap();
    let ablation = default_in(dir.path());
    let cells = ablation.known_cells().unwrap();
    assert_eq!(cells.len(), 16 * 3, "{}", cells.len());
    assert!(cells.iter().all(|cell| cell.selects && cell.seed == 101));
    let order: Vec<&str> = cells.iter().step_by(3).map(|cell| cell.arm.name.as_str()).take(4).collect();
    assert_eq!(order, ["full", "progressive", "none", "progressive_untaught"]);
    assert_eq!(ablation.progress().unwrap(), "0 of 128 cells complete");
    // Only arms that need no other arm can start.
    let ready = cells.iter().filter(|cell| ablation.is_ready(cell).unwrap());
    let ready: Vec<&str> = ready.map(|cell| cell.arm.name.as_str()).collect();
    assert!(!ready.contains(&"progressive") && ready.contains(&"full") && ready.contains(&"none"), "{ready:?}");
}

#[test]
fn an_arm_waits_until_the_learning_rate_of_the_one_it_begins_with_is_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let ablation = default_in(dir.path());
    let arm = ablation.config().arm("progressive").unwrap();
    let cell = Cell { arm, seed: 101, factor: 1.0, selects: true };
    select(&ablation, "full", 0.5, Some(0.7));
    select(&ablation, "full", 1.0, Some(0.8));
    assert!(ablation.ancestors(&cell).unwrap().is_none() && !ablation.is_ready(&cell).unwrap());
    select(&ablation, "full", 2.0, None);
    // A diverged factor is not selected; the better of the others is.
    let full = ablation.config().arm("full").unwrap();
    assert_eq!(ablation.chosen_factor(full).unwrap(), Some(1.0));
    assert!(ablation.ancestors(&cell).unwrap().unwrap().iter().all(|cell| cell.factor == 1.0 && cell.selects));
    assert!(!ablation.is_hopeless(&cell).unwrap());
    assert!(ablation.missing().unwrap().iter().any(|cell| cell.arm.name == "full" && !cell.selects));
}

#[test]
fn while_the_best_rate_lies_at_an_end_another_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let ablation = default_in(dir.path());
    let full = ablation.config().arm("full").unwrap();
    let factors = || -> Vec<f64> { ablation.selecting(full).unwrap().iter().map(|cell| cell.factor).collect() };
    for (factor, top1) in [(0.5, 0.8), (1.0, 0.82), (2.0, 0.84)] {
        assert_eq!(factors(), [0.5, 1.0, 2.0], "one of three says nothing");
        select(&ablation, "full", factor, Some(top1));
    }
    assert_eq!((factors(), ablation.chosen_factor(full).unwrap()), (vec![0.5, 1.0, 2.0, 4.0], None));
    assert_eq!(ablation.progress().unwrap(), "3 of 129 cells complete");
    assert!(!ablation.known_cells().unwrap().iter().any(|cell| cell.arm.name == "full" && !cell.selects));
    select(&ablation, "full", 4.0, Some(0.83));
    assert_eq!((factors().len(), ablation.chosen_factor(full).unwrap()), (4, Some(2.0)));

    // At most two extensions; then the outermost factor is accepted.
    let none = ablation.config().arm("none").unwrap();
    for (factor, top1) in [(0.5, 0.9), (1.0, 0.8), (2.0, 0.7), (0.25, 0.91), (0.125, 0.92)] {
        select(&ablation, "none", factor, Some(top1));
    }
    assert_eq!(ablation.chosen_factor(none).unwrap(), Some(0.125));
    let of_none = &ablation.selections().unwrap()["none"];
    assert!(of_none[0].0 == 0.125 && (of_none[0].1 - 0.92).abs() < 1e-9, "{of_none:?}");
}

#[test]
fn what_begins_with_a_diverged_training_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let ablation = default_in(dir.path());
    for factor in [0.5, 1.0, 2.0] {
        select(&ablation, "full", factor, None);
    }
    let missing = ablation.missing().unwrap();
    assert!(missing.iter().all(|cell| cell.arm.start.is_none() && cell.arm.teacher.is_none()), "{missing:?}");
    assert!(missing.iter().any(|cell| cell.arm.name == "none"));
}

#[test]
fn a_claimed_cell_is_left_to_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let ablation = Ablation::in_place(ablation(), dir.path()).unwrap();
    let cells = ablation.known_cells().unwrap();
    let (first, _lock) = ablation.claim(&cells).unwrap().unwrap();
    let (second, _other) = ablation.claim(&cells).unwrap().unwrap();
    assert_eq!((first.arm.name.as_str(), first.seed), ("full", 1));
    assert_ne!(second.path(dir.path()), first.path(dir.path()));
}

#[test]
fn ranks_make_cells_together() {
    let dir = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    Ladder::open(tiny_ablation(), dir.path()).unwrap();
    let run = |most, ranks: &dyn Ranks| Ladder::reopen(dir.path()).unwrap().run(most, None, ranks, &stop);
    ThreadRanks::run(2, |rank| run(Some(2), rank).unwrap());
    let ablation = Ablation::reopen(dir.path()).unwrap();
    assert_eq!(ablation.progress().unwrap(), "2 of 6 cells complete");
    let cells = ablation.cells().unwrap();
    let progressive = &cells[&("progressive".to_owned(), 1)];
    assert_eq!(progressive.subnets.len(), 8 + 3);
    let names: Vec<&str> = progressive.corner_names().collect();
    assert_eq!((names[0], names[7]), ("D2 W3 K3", "D4 W6 K7"));

    // A single process resumes; a stop request is reported on all ranks.
    run(Some(1), &OneRank).unwrap();
    assert_eq!(ablation.progress().unwrap(), "3 of 6 cells complete");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    ThreadRanks::run(2, |rank| {
        let error = run(None, rank).unwrap_err();
        assert!(interrupt::is_interruption(&error), "{error:#}");
    });
}

#[test]
fn a_training_that_diverges_is_recorded_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = tiny_ablation();
    config.seeds = vec![1];
    for phase in &mut config.arms[2].schedule.phases {
        (phase.learning_rate, phase.warmup_epochs) = (1e30, 0.0);
    }
    let ladder = Ladder::open(config, dir.path()).unwrap();
    ladder.run(None, None, &OneRank, &Arc::new(AtomicBool::new(false))).unwrap();
    assert_eq!(ladder.progress().unwrap(), "3 of 3 cells complete");
    let findings = ladder.rungs()[0].findings().unwrap();
    assert_eq!(findings.missing, [("none".to_owned(), vec![1])].into());
    assert!(findings.diverged[0].starts_with("cells/none/seed-1: loss is"), "{:?}", findings.diverged);
    assert!(findings.primary.is_none() && findings.verdict.is_none());
}
