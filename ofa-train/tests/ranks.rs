//! Several ranks, simulated by threads, train like one process with the whole batches.

mod common;
mod plain;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use common::{BATCH, Bench, IMAGES, SEED, StopAfter, timeless};
use ofa_data::ImageBatch;
use ofa_train::*;
use plain::{Plain, largest_difference, weights};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// Ten epochs of the plain network. `shard` selects the part of each batch; gradients are averaged over `ranks`.
fn train_plain(bench: &Bench, start: &Plain, shard: &dyn Ranks, ranks: &dyn Ranks) -> (Vec<f32>, Vec<f64>) {
    let loader = bench.loader(shard);
    let mut plain = start.clone();
    let mut optimizer = Recipe::default().optimizer();
    let mut losses = Vec::new();
    for epoch in 0..10 {
        for batch in loader.epoch(epoch, 0, |_| 12, &Device::flex()) {
            let output = plain.step(&batch.unwrap()).over_ranks(&plain, ranks);
            losses.push(output.numbers.read().loss);
            plain = optimizer.step(0.02, plain, output.gradients);
        }
    }
    (weights(&plain), losses)
}

#[test]
fn without_batch_norm_ranks_end_with_the_weights_of_one_process() {
    let bench = Bench::new();
    let start = Plain::new(SEED, 4, 12);
    let (alone, alone_losses) = train_plain(&bench, &start, &OneRank, &OneRank);
    assert!(largest_difference(&alone, &weights(&start)) > 1e-2, "training moves the weights");
    for size in [2, 4] {
        let ranks = ThreadRanks::run(size, |rank| train_plain(&bench, &start, rank, rank));
        for (together, losses) in &ranks {
            let difference = largest_difference(together, &alone);
            assert!(difference < 1e-6, "{size} ranks: {difference}");
            assert_eq!(together, &ranks[0].0);
            assert!(losses.iter().zip(&alone_losses).all(|(a, b)| (a - b).abs() < 1e-5), "{losses:?}");
        }
    }
    // Control: ranks that do not communicate end with clearly different weights.
    let deaf = ThreadRanks::run(2, |rank| train_plain(&bench, &start, rank, &OneRank));
    assert!(largest_difference(&deaf[0].0, &alone) > 1e-3);
}

#[test]
fn parts_of_different_length_count_by_their_images() {
    let bench = Bench::new();
    let plain = Plain::new(SEED, 4, 12);
    let whole = bench.loader(&OneRank).batch(0, 0, 12, &Device::flex()).unwrap();
    let part = |from: usize, to: usize| {
        ImageBatch::new(
            whole.images.clone().narrow(0, from, to - from),
            whole.labels.clone().narrow(0, from, to - from),
        )
    };
    let alone = plain.step(&whole);
    let bounds = [(0, 3), (3, BATCH)];
    let outputs = ThreadRanks::run(2, |rank| {
        let (from, to) = bounds[rank.rank()];
        let output = plain.step(&part(from, to)).over_ranks(&plain, rank);
        (gradients(&plain, &output), output.numbers.read())
    });
    for (together, numbers) in outputs {
        let expected = gradients(&plain, &alone);
        for (together, expected) in together.iter().zip(&expected) {
            match (together, expected) {
                (Some(together), Some(expected)) => assert!(largest_difference(together, expected) < 1e-6),
                (None, None) => (),
                _ => panic!("only one side has a gradient"),
            }
        }
        assert!(expected.iter().any(Option::is_none), "the unused layer has none");
        assert_eq!(numbers.images, BATCH);
        assert!((numbers.loss - alone.numbers.read().loss).abs() < 1e-6);
    }
}

/// The gradient of each parameter, `None` if absent.
fn gradients(plain: &Plain, output: &StepOutput) -> Vec<Option<Vec<f32>>> {
    struct Collect<'a>(&'a GradientsParams, Vec<Option<Vec<f32>>>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(parameter.id);
            self.1.push(gradient.map(|gradient| gradient.into_data().iter::<f32>().collect()));
        }
    }
    let mut collect = Collect(&output.gradients, Vec::new());
    plain.visit(&mut collect);
    collect.1
}

#[test]
fn a_gradient_that_one_rank_has_reaches_all() {
    let bench = Bench::new();
    let plain = Plain::new(SEED, 4, 12);
    let batch = bench.loader(&OneRank).batch(0, 0, 12, &Device::flex()).unwrap();
    let alone = gradients(&plain, &plain.step(&batch));
    let outputs = ThreadRanks::run(2, |rank| {
        let mut output = plain.step(&batch);
        if rank.rank() == 1 {
            output.gradients = GradientsParams::new();
        }
        gradients(&plain, &output.over_ranks(&plain, rank))
    });
    assert_eq!(outputs[0], outputs[1]);
    for (half, whole) in outputs[0].iter().zip(&alone) {
        let (Some(half), Some(whole)) = (half, whole) else {
            assert!(half.is_none() && whole.is_none());
            continue;
        };
        let doubled: Vec<f32> = half.iter().map(|value| 2.0 * value).collect();
        assert!(largest_difference(&doubled, whole) < 1e-6);
    }
}

/// A bench with the whole schedule and one epoch per phase.
fn bench() -> Bench {
    let mut bench = Bench::new();
    for (phase, subnets) in bench.schedule.phases.iter_mut().zip([1, 1, 1, 2, 2, 2]) {
        (phase.epochs, phase.subnets_per_step) = (1, subnets);
    }
    bench.watched.push(bench.space.smallest().at_resolution(12));
    bench
}

fn train(
    bench: &Bench,
    seed: u64,
    ranks: &dyn Ranks,
    root: Option<&Path>,
    observer: &mut dyn TrainObserver,
) -> Result<TrainOutcome, TrainError> {
    bench.train_on(bench.supernet(seed), ranks, None, root, observer)
}

/// Trains in pieces, each stopped by one rank's observer, cycling through the rank counts `sizes`. Returns the final
/// outcome of rank 0 and the number of interruptions.
fn train_in_pieces(bench: &Bench, sizes: &[usize], root: &Path) -> (TrainOutcome, usize) {
    for interruptions in 0..100 {
        let outcomes = ThreadRanks::run(sizes[interruptions % sizes.len()], |rank| {
            // Only the last rank is asked to stop.
            let steps = if rank.rank() + 1 == rank.size() { 1 } else { usize::MAX };
            train(bench, SEED, rank, Some(root), &mut StopAfter { steps, damaged: 0 })
        });
        let all = outcomes.len();
        let mut finished: Vec<_> = outcomes.into_iter().filter_map(finished_or_interrupted).collect();
        assert!(finished.is_empty() || finished.len() == all, "either all ranks stop or none");
        if !finished.is_empty() {
            return (finished.swap_remove(0), interruptions);
        }
    }
    panic!("no progress");
}

fn finished_or_interrupted(outcome: Result<TrainOutcome, TrainError>) -> Option<TrainOutcome> {
    match outcome {
        Ok(outcome) => Some(outcome),
        Err(TrainError::Interrupted { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn ranks_stay_equal_and_a_run_goes_on_with_the_same_or_another_number_of_them() {
    let bench = bench();
    let unbroken = ThreadRanks::run(2, |rank| train(&bench, SEED, rank, None, &mut ()).unwrap());
    assert_eq!(weights(&unbroken[0].supernet), weights(&unbroken[1].supernet));
    let ((epochs, watched), others) = (timeless(&unbroken[0]), timeless(&unbroken[1]));
    assert_eq!((&epochs, &watched), (&others.0, &others.1));
    assert!(epochs.iter().all(|epoch| epoch.images == IMAGES), "{epochs:?}");

    let root = tempfile::tempdir().unwrap();
    let (resumed, interruptions) = train_in_pieces(&bench, &[2], root.path());
    assert!(interruptions >= bench.schedule.epochs(), "{interruptions}");
    assert_eq!(weights(&resumed.supernet), weights(&unbroken[0].supernet));
    assert_eq!(timeless(&resumed), (epochs.clone(), watched));

    let root = tempfile::tempdir().unwrap();
    let (mixed, _) = train_in_pieces(&bench, &[2, 1, 4], root.path());
    let (mixed, _) = timeless(&mixed);
    let seen = |epochs: &[EpochRecord]| -> Vec<_> {
        epochs.iter().map(|epoch| (epoch.phase.clone(), epoch.images, epoch.learning_rate.to_bits())).collect()
    };
    assert_eq!(seen(&mixed), seen(&epochs), "the same phases, images and learning rates");
}

#[test]
fn ranks_that_begin_with_different_weights_are_told() {
    let bench = bench();
    let errors = ThreadRanks::run(3, |rank| {
        train(&bench, SEED + (rank.rank() / 2) as u64, rank, None, &mut ()).err().unwrap().to_string()
    });
    for error in errors {
        assert!(error.contains("weights of rank 2 differ from those of rank 0"), "{error}");
    }
}

#[test]
fn ranks_that_see_different_checkpoints_are_told() {
    let bench = bench();
    let root = tempfile::tempdir().unwrap();
    assert!(train(&bench, SEED, &OneRank, Some(root.path()), &mut StopAfter { steps: 1, damaged: 0 }).is_err());
    let elsewhere = tempfile::tempdir().unwrap();
    let roots = [root.path(), elsewhere.path()];
    let errors = ThreadRanks::run(2, |rank| {
        train(&bench, SEED, rank, Some(roots[rank.rank()]), &mut ()).err().unwrap().to_string()
    });
    for error in errors {
        assert!(error.contains("checkpoints of rank 1 differ"), "{error}");
    }
}

#[test]
fn a_loss_that_is_no_number_on_one_rank_is_seen_by_all() {
    let bench = Bench::new();
    let plain = Plain::new(SEED, 4, 12);
    let batch = bench.loader(&OneRank).batch(0, 0, 12, &Device::flex()).unwrap();
    let losses = ThreadRanks::run(2, |rank| {
        let mut output = plain.step(&batch);
        if rank.rank() == 1 {
            output.numbers = StepNumbers { loss: f64::NAN, ..output.numbers.read() }.into();
        }
        output.over_ranks(&plain, rank).numbers.read().loss
    });
    assert!(losses.iter().all(|loss| loss.is_nan()), "{losses:?}");
}

#[test]
fn measurements_are_shared_out_and_each_is_made_once() {
    let made = Mutex::new(BTreeSet::new());
    let measure = |rank: &ThreadRanks| {
        spread(rank, 8, |i| {
            assert!(made.lock().unwrap().insert(i), "{i} measured twice");
            Ok::<_, TrainError>(i as f64 / 7.0)
        })
    };
    let expected: Vec<f64> = (0..8).map(|i| f64::from(i) / 7.0).collect();
    for values in ThreadRanks::run(3, measure) {
        assert_eq!(values.unwrap(), expected);
    }
    assert_eq!(made.into_inner().unwrap().len(), 8);
}
