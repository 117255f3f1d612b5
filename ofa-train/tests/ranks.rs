//! Several ranks, here threads, train as one process with the whole batches does.

mod threads;

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::tensor::activation::relu;
use burn::tensor::loss::cross_entropy_with_logits;
use burn::tensor::{Device, Tensor};
use ofa_data::{AugmentConfig, FashionMnist, ImageBatch, Loader, LoaderConfig, Splits, View};
use ofa_model::{SearchSpace, Supernet, SupernetConfig};
use ofa_train::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use threads::{ThreadRank, on_threads};

const SEED: u64 = 3;
/// Images a step, of all ranks together.
const BATCH: usize = 16;
const IMAGES: usize = 32;

/// A network without batch norm, whose gradient is the mean of its parts' exactly.
#[derive(Module, Debug)]
struct Plain {
    conv: Conv2d,
    unused: Linear,
    linear: Linear,
}

impl Plain {
    fn new() -> Self {
        let device = Device::flex();
        device.seed(SEED);
        let device = device.autodiff();
        Self {
            conv: Conv2dConfig::new([1, 4], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device),
            unused: LinearConfig::new(5, 5).init(&device),
            linear: LinearConfig::new(4 * 12 * 12, 10).init(&device),
        }
    }

    fn step(&self, batch: &ImageBatch) -> StepOutput {
        let images = Tensor::from_inner(batch.images.clone());
        let logits = self.linear.forward(relu(self.conv.forward(images)).flatten::<2>(1, 3));
        let targets = Tensor::from_inner(batch.labels.clone().one_hot::<2>(10).float());
        let loss = cross_entropy_with_logits(logits, targets);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), self);
        let numbers = StepNumbers { subnets: 1, images: batch.size(), loss: value, ..StepNumbers::default() };
        StepOutput { gradients, numbers }
    }
}

fn loader(splits: &Splits, ranks: &dyn Ranks) -> Loader {
    let view = View::Train(AugmentConfig::small_images());
    let config = LoaderConfig { batch_size: BATCH / ranks.size(), seed: SEED, view, drop_last: true, prefetch: 2 };
    let loader = Loader::new(splits.train.subset(IMAGES, SEED), config, splits.normalisation()).unwrap();
    loader.with_shard(ranks.rank(), ranks.size()).unwrap()
}

fn weights<M: Module>(module: &M) -> Vec<f32> {
    struct Collect(Vec<f32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.extend(parameter.val().into_data().iter::<f32>());
        }
    }
    let mut collect = Collect(Vec::new());
    module.visit(&mut collect);
    collect.0
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

/// Ten epochs of the plain network; the loader is of `shard`, gradients are averaged over `ranks`.
fn train_plain(splits: &Splits, start: &Plain, shard: &dyn Ranks, ranks: &dyn Ranks) -> (Vec<f32>, Vec<f64>) {
    let loader = loader(splits, shard);
    let mut plain = start.clone();
    let mut optimizer = Recipe::default().optimizer();
    let mut losses = Vec::new();
    for epoch in 0..10 {
        for batch in loader.epoch(epoch, 0, |_| 12, &Device::flex()) {
            let output = plain.step(&batch.unwrap()).over_ranks(&plain, ranks);
            losses.push(output.numbers.loss);
            plain = optimizer.step(0.02, plain, output.gradients);
        }
    }
    (weights(&plain), losses)
}

#[test]
fn without_batch_norm_ranks_end_with_the_weights_of_one_process() {
    let splits = FashionMnist::embedded(SEED).unwrap();
    let start = Plain::new();
    let (alone, alone_losses) = train_plain(&splits, &start, &OneRank, &OneRank);
    assert!(largest_difference(&alone, &weights(&start)) > 1e-2, "the training moves weights");
    for size in [2, 4] {
        let ranks = on_threads(size, |rank| train_plain(&splits, &start, rank, rank));
        for (together, losses) in &ranks {
            let difference = largest_difference(together, &alone);
            assert!(difference < 1e-6, "{size} ranks: {difference}");
            assert_eq!(together, &ranks[0].0);
            assert!(losses.iter().zip(&alone_losses).all(|(a, b)| (a - b).abs() < 1e-5), "{losses:?}");
        }
    }
    // What is compared would show it if the ranks did not hear of each other.
    let deaf = on_threads(2, |rank| train_plain(&splits, &start, rank, &OneRank));
    assert!(largest_difference(&deaf[0].0, &alone) > 1e-3);
}

#[test]
fn parts_of_different_length_count_by_their_images() {
    let splits = FashionMnist::embedded(SEED).unwrap();
    let plain = Plain::new();
    let whole = loader(&splits, &OneRank).batch(0, 0, 12, &Device::flex()).unwrap();
    let part = |from: usize, to: usize| {
        ImageBatch::new(
            whole.images.clone().narrow(0, from, to - from),
            whole.labels.clone().narrow(0, from, to - from),
        )
    };
    let alone = plain.step(&whole);
    let bounds = [(0, 3), (3, BATCH)];
    let outputs = on_threads(2, |rank| {
        let (from, to) = bounds[rank.rank()];
        let output = plain.step(&part(from, to)).over_ranks(&plain, rank);
        (gradients(&plain, &output), output.numbers)
    });
    for (together, numbers) in outputs {
        let expected = gradients(&plain, &alone);
        for (together, expected) in together.iter().zip(&expected) {
            match (together, expected) {
                (Some(together), Some(expected)) => assert!(largest_difference(together, expected) < 1e-6),
                (None, None) => (),
                _ => panic!("a gradient is there on one side alone"),
            }
        }
        assert!(expected.iter().any(Option::is_none), "the unused layer has none");
        assert_eq!(numbers.images, BATCH);
        assert!((numbers.loss - alone.numbers.loss).abs() < 1e-6);
    }
}

/// The gradient of every parameter, if there is one.
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
    let splits = FashionMnist::embedded(SEED).unwrap();
    let plain = Plain::new();
    let batch = loader(&splits, &OneRank).batch(0, 0, 12, &Device::flex()).unwrap();
    let alone = gradients(&plain, &plain.step(&batch));
    let outputs = on_threads(2, |rank| {
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

/// A training of the whole schedule.
struct Bench {
    splits: Splits,
    space: SearchSpace,
    schedule: ShrinkSchedule,
}

impl Bench {
    fn new() -> Self {
        let mut space = SearchSpace::small_mobilenet_v3(1, 10);
        space.resolutions = vec![8, 12];
        let phase = |subnets_per_step| Phase { epochs: 1, learning_rate: 0.05, warmup_epochs: 0.5, subnets_per_step };
        let recipe = ShrinkRecipe {
            reference_batch_size: BATCH,
            full: phase(1),
            kernel: phase(1),
            depth_first: phase(1),
            depth_last: phase(2),
            expand_first: phase(2),
            expand_last: phase(2),
            distillation_weight: 1.0,
        };
        let schedule = ShrinkSchedule::progressive_shrinking(&space, &recipe);
        Self { splits: FashionMnist::embedded(SEED).unwrap(), space, schedule }
    }

    fn supernet(&self, seed: u64) -> Supernet {
        SupernetConfig::new(self.space.clone()).unwrap().with_seed(seed).init(&Device::flex().autodiff())
    }

    fn train(
        &self,
        start: Supernet,
        ranks: &dyn Ranks,
        root: Option<&Path>,
        observer: &mut dyn ShrinkObserver,
    ) -> Result<ShrinkOutcome, TrainError> {
        let checkpoints = root.map(|root| CheckpointDir::new(root, 2));
        let run = ShrinkRun {
            schedule: &self.schedule,
            recipe: &Recipe::default(),
            sampler: None,
            teacher: None,
            loader: &loader(&self.splits, ranks),
            seed: SEED,
            watched: &[self.space.smallest(), self.space.largest(), self.space.smallest().at_resolution(12)],
            watch_epochs: None,
            checkpoints: checkpoints.as_ref(),
            device: &Device::flex(),
            ranks,
        };
        let images = self.splits.validation.subset(40, SEED);
        let mut evaluator = Evaluator::new(images.clone(), images, 20, &self.splits.normalisation(), &Device::flex());
        shrink(start, &run, &mut evaluator, observer)
    }

    /// Trains until the observer of a rank stops it, over and over, `sizes` in turns, and gives the last outcome of rank 0
    /// with the number of interruptions.
    fn train_in_pieces(&self, sizes: &[usize], root: &Path) -> (ShrinkOutcome, usize) {
        for interruptions in 0..100 {
            let outcomes = on_threads(sizes[interruptions % sizes.len()], |rank| {
                // The last rank alone is asked to stop.
                let steps = if rank.rank() + 1 == rank.size() { 1 } else { usize::MAX };
                self.train(self.supernet(SEED), rank, Some(root), &mut StopAfter { steps })
            });
            let all = outcomes.len();
            let mut finished: Vec<_> = outcomes.into_iter().filter_map(finished_or_interrupted).collect();
            assert!(finished.is_empty() || finished.len() == all, "all ranks stop or none");
            if !finished.is_empty() {
                return (finished.swap_remove(0), interruptions);
            }
        }
        panic!("no progress");
    }
}

fn finished_or_interrupted(outcome: Result<ShrinkOutcome, TrainError>) -> Option<ShrinkOutcome> {
    match outcome {
        Ok(outcome) => Some(outcome),
        Err(TrainError::Interrupted { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

struct StopAfter {
    steps: usize,
}

impl ShrinkObserver for StopAfter {
    fn step_done(&mut self, _: usize, _: &StepNumbers, _: f64) {
        self.steps = self.steps.saturating_sub(1);
    }

    fn should_stop(&self) -> bool {
        self.steps == 0
    }
}

/// Everything but the wall time.
fn timeless(outcome: &ShrinkOutcome) -> (Vec<EpochRecord>, Vec<WatchedRecord>) {
    let epochs = outcome.epochs.iter().cloned().map(|epoch| EpochRecord { seconds: 0.0, ..epoch });
    (epochs.collect(), outcome.watched.clone())
}

#[test]
fn ranks_stay_equal_and_a_run_goes_on_with_the_same_or_another_number_of_them() {
    let bench = Bench::new();
    let unbroken = on_threads(2, |rank| bench.train(bench.supernet(SEED), rank, None, &mut ()).unwrap());
    assert_eq!(weights(&unbroken[0].supernet), weights(&unbroken[1].supernet));
    let ((epochs, watched), others) = (timeless(&unbroken[0]), timeless(&unbroken[1]));
    assert_eq!((&epochs, &watched), (&others.0, &others.1));
    assert!(epochs.iter().all(|epoch| epoch.images == IMAGES), "{epochs:?}");

    let root = tempfile::tempdir().unwrap();
    let (resumed, interruptions) = bench.train_in_pieces(&[2], root.path());
    assert!(interruptions >= bench.schedule.epochs(), "{interruptions}");
    assert_eq!(weights(&resumed.supernet), weights(&unbroken[0].supernet));
    assert_eq!(timeless(&resumed), (epochs.clone(), watched));

    let root = tempfile::tempdir().unwrap();
    let (mixed, _) = bench.train_in_pieces(&[2, 1, 4], root.path());
    let (mixed, _) = timeless(&mixed);
    let seen = |epochs: &[EpochRecord]| -> Vec<_> {
        epochs.iter().map(|epoch| (epoch.stage.clone(), epoch.images, epoch.learning_rate.to_bits())).collect()
    };
    assert_eq!(seen(&mixed), seen(&epochs), "the same stages, images and learning rates");
}

#[test]
fn ranks_that_begin_with_different_weights_are_told() {
    let bench = Bench::new();
    let errors = on_threads(3, |rank| {
        let start = bench.supernet(SEED + (rank.rank() / 2) as u64);
        bench.train(start, rank, None, &mut ()).err().unwrap().to_string()
    });
    for error in errors {
        assert!(error.contains("rank 2 has weights other than those of rank 0"), "{error}");
    }
}

#[test]
fn ranks_that_see_different_checkpoints_are_told() {
    let bench = Bench::new();
    let root = tempfile::tempdir().unwrap();
    assert!(bench.train(bench.supernet(SEED), &OneRank, Some(root.path()), &mut StopAfter { steps: 1 }).is_err());
    let elsewhere = tempfile::tempdir().unwrap();
    let roots = [root.path(), elsewhere.path()];
    let errors = on_threads(2, |rank| {
        bench.train(bench.supernet(SEED), rank, Some(roots[rank.rank()]), &mut ()).err().unwrap().to_string()
    });
    for error in errors {
        assert!(error.contains("rank 1 has checkpoints other than"), "{error}");
    }
}

#[test]
fn a_loss_that_is_no_number_on_one_rank_is_seen_by_all() {
    let splits = FashionMnist::embedded(SEED).unwrap();
    let plain = Plain::new();
    let batch = loader(&splits, &OneRank).batch(0, 0, 12, &Device::flex()).unwrap();
    let losses = on_threads(2, |rank| {
        let mut output = plain.step(&batch);
        if rank.rank() == 1 {
            output.numbers.loss = f64::NAN;
        }
        output.over_ranks(&plain, rank).numbers.loss
    });
    assert!(losses.iter().all(|loss| loss.is_nan()), "{losses:?}");
}

#[test]
fn measurements_are_shared_out_and_each_is_made_once() {
    let made = Mutex::new(BTreeSet::new());
    let measure = |rank: &ThreadRank| {
        spread(rank, 8, |i| {
            assert!(made.lock().unwrap().insert(i), "{i} again");
            Ok::<_, TrainError>(i as f64 / 7.0)
        })
    };
    let expected: Vec<f64> = (0..8).map(|i| f64::from(i) / 7.0).collect();
    for values in on_threads(3, measure) {
        assert_eq!(values.unwrap(), expected);
    }
    assert_eq!(made.into_inner().unwrap().len(), 8);
}
