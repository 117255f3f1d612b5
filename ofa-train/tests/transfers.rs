//! How often training moves numbers between host and device.

mod common;
mod plain;

use burn::tensor::Device;
use common::{Bench, SEED};
use ofa_data::transfer::Transfers;
use ofa_train::*;
use plain::Plain;
use std::sync::{Mutex, PoisonError};

/// Runs `work` while no other test of this process moves anything, and counts.
fn counted<R>(work: impl FnOnce() -> R) -> (Transfers, R) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Transfers::until_now();
    let result = work();
    (Transfers::since(before), result)
}

/// Transfers of every step.
#[derive(Default)]
struct Steps {
    last: Transfers,
    steps: Vec<Transfers>,
}

impl TrainObserver for Steps {
    fn epoch_started(&mut self, _: &Phase, _: usize, _: usize) {
        self.last = Transfers::until_now();
    }

    fn step_done(&mut self, _: usize, _: &StepNumbers, _: f64) {
        self.steps.push(Transfers::since(self.last));
        self.last = Transfers::until_now();
    }
}

/// Transfers of the steps of a run, whatever their phase: all steps must have the same.
fn of_a_step(recipe: Recipe) -> Transfers {
    let bench = Bench { recipe, ..Bench::new() };
    let mut steps = Steps::default();
    counted(|| bench.train(None, &mut steps).unwrap());
    let [first, others @ ..] = &steps.steps[..] else { panic!("no steps") };
    // Several subnets, teachers and channel sorting among them.
    assert!(others.len() > 10 && others.iter().all(|step| step == first), "{:?}", steps.steps);
    *first
}

#[test]
fn a_step_waits_once() {
    // Images and labels.
    let batch = Transfers { uploads: 2, readbacks: 1 };
    assert_eq!(of_a_step(Recipe::default()), batch);
    let recipe = Recipe {
        micro_batch: Some(8),
        precision: Precision::Bf16,
        average_decay: Some(0.9),
        ..Recipe::default()
    };
    assert_eq!(of_a_step(recipe), batch);
    // Flex alone sums the norm on the host.
    let clipped = Recipe { clip_norm: Some(0.1), ..Recipe::default() };
    assert_eq!(of_a_step(clipped), Transfers { readbacks: 2, ..batch });
}

#[test]
fn ranks_exchange_gradients_and_numbers_at_once() {
    let bench = Bench::new();
    let plain = Plain::new(SEED, 4, 12);
    let batch = bench.loader(&OneRank).batch(0, 0, 12, &Device::flex()).unwrap();
    let (found, _) = counted(|| ThreadRanks::run(2, |rank| _ = plain.step(&batch).over_ranks(&plain, rank)));
    assert_eq!(found, Transfers { uploads: 2, readbacks: 2 }, "one each a rank");
}

#[test]
fn weights_are_read_at_once() {
    let supernet = Bench::new().supernet(SEED);
    let (found, _) = counted(|| weights_sha256(&supernet));
    assert_eq!(found, Transfers { uploads: 0, readbacks: 1 });
}

#[test]
fn an_accuracy_is_read_once() {
    let bench = Bench::new();
    let images = bench.splits.validation.subset(40, SEED);
    let mut evaluator =
        Evaluator::new(images.clone(), images, 10, &bench.splits.normalisation(), &Device::flex());
    let supernet = bench.supernet(SEED);
    let arch = bench.space.smallest();
    // The images are kept.
    counted(|| evaluator.top1(&supernet, &arch).unwrap());
    let (found, _) = counted(|| evaluator.top1(&supernet, &arch).unwrap());
    assert_eq!(found, Transfers { uploads: 0, readbacks: 1 });
}
