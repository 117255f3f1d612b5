//! How often training moves numbers between host and device.

mod common;
mod plain;

use burn::tensor::Device;
use common::{Bench, SEED};
use ofa_data::transfer::Transfers;
use ofa_train::*;
use plain::Plain;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts are those of the process: every test holds this from its beginning to its end.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn counted<R>(work: impl FnOnce() -> R) -> (Transfers, R) {
    let before = Transfers::until_now();
    let result = work();
    (Transfers::since(before), result)
}

/// Steps and transfers of every epoch. Not of every step: the next batch is sent while the device works.
#[derive(Default)]
struct Epochs {
    started: Transfers,
    epochs: Vec<(u64, Transfers)>,
}

impl TrainObserver for Epochs {
    fn epoch_started(&mut self, _: &Phase, _: usize, _: usize) {
        self.started = Transfers::until_now();
        self.epochs.push((0, Transfers::default()));
    }

    fn step_done(&mut self, _: usize, _: &StepNumbers, _: f64) {
        let (steps, transfers) = self.epochs.last_mut().unwrap();
        (*steps, *transfers) = (*steps + 1, Transfers::since(self.started));
    }
}

/// Transfers of a step on average, the same in every epoch.
fn of_a_step(recipe: Recipe, pixels_on_device: bool) -> Transfers {
    let bench = Bench { recipe, pixels_on_device, ..Bench::new() };
    let mut found = Epochs::default();
    counted(|| bench.train(None, &mut found).unwrap());
    // With one to three subnets, with and without a teacher.
    assert_eq!(found.epochs.len(), bench.schedule.phases.iter().map(|phase| phase.epochs).sum::<usize>());
    let mut of_epochs = found.epochs.iter().map(|(steps, Transfers { uploads, readbacks })| {
        assert!(*steps > 1 && uploads % steps == 0 && readbacks % steps == 0, "{:?}", found.epochs);
        Transfers { uploads: uploads / steps, readbacks: readbacks / steps }
    });
    let first = of_epochs.next().unwrap();
    assert!(of_epochs.all(|other| other == first), "{:?}", found.epochs);
    first
}

#[test]
fn a_step_waits_once_and_a_batch_goes_up_once() {
    let _alone = alone();
    let once = Transfers { uploads: 1, readbacks: 1 };
    assert_eq!(of_a_step(Recipe::default(), true), once);
    let recipe =
        Recipe { micro_batch: Some(8), precision: Precision::Bf16, average_decay: Some(0.9), ..Recipe::default() };
    assert_eq!(of_a_step(recipe, true), once);
    // Flex alone normalises images and sums the norm on the host, where nothing is sent and nobody waits.
    assert_eq!(of_a_step(Recipe::default(), false), Transfers { uploads: 2, ..once });
    let clipped = Recipe { clip_norm: Some(0.1), ..Recipe::default() };
    assert_eq!(of_a_step(clipped, true), Transfers { readbacks: 2, ..once });
}

#[test]
fn ranks_exchange_gradients_and_numbers_at_once() {
    let _alone = alone();
    let bench = Bench::new();
    let plain = Plain::new(SEED, 4, 12);
    let batch = bench.loader(&OneRank).batch(0, 0, 12, &Device::flex()).unwrap();
    let (found, _) = counted(|| ThreadRanks::run(2, |rank| _ = plain.step(&batch).over_ranks(&plain, rank)));
    assert_eq!(found, Transfers { uploads: 2, readbacks: 2 }, "one each a rank");
}

#[test]
fn weights_are_read_at_once() {
    let _alone = alone();
    let supernet = Bench::new().supernet(SEED);
    let (found, _) = counted(|| weights_sha256(&supernet));
    assert_eq!(found, Transfers { uploads: 0, readbacks: 1 });
}

#[test]
fn an_accuracy_is_read_once() {
    let _alone = alone();
    let bench = Bench::new();
    let images = bench.splits.validation.subset(40, SEED);
    let mut evaluator = Evaluator::new(images.clone(), images, 10, &bench.splits.normalisation(), &Device::flex());
    let supernet = bench.supernet(SEED);
    let arch = bench.space.smallest();
    let (found, _) = counted(|| evaluator.top1(&supernet, &arch).unwrap());
    assert_eq!(found.readbacks, 1, "for eight batches");
}
