//! A training that is interrupted and resumed ends with the weights of one that is not, bit for bit.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use ofa_data::{AugmentConfig, FashionMnist, Loader, LoaderConfig, Splits, View, evaluation_batches};
use ofa_model::{Arch, SearchSpace, Supernet, SupernetConfig};
use ofa_train::*;
use std::path::Path;

const SEED: u64 = 3;

struct Bench {
    space: SearchSpace,
    splits: Splits,
    loader: Loader,
    schedule: ShrinkSchedule,
    watched: Vec<Arch>,
}

impl Bench {
    /// Two steps an epoch, two epochs in the first stage and one in each of the others, on small images.
    fn new() -> Self {
        let mut space = SearchSpace::small_mobilenet_v3(1, 10);
        space.resolutions = vec![8, 12];
        let splits = FashionMnist::embedded(SEED).unwrap();
        let view = View::Train(AugmentConfig::small_images());
        let config = LoaderConfig { batch_size: 16, seed: SEED, view, drop_last: true, prefetch: 2 };
        let loader = Loader::new(splits.train.subset(32, SEED), config, splits.normalisation()).unwrap();
        let phase =
            |epochs, subnets_per_step| Phase { epochs, learning_rate: 0.05, warmup_epochs: 0.5, subnets_per_step };
        let recipe = ShrinkRecipe {
            full: phase(2, 1),
            kernel: phase(1, 1),
            depth_first: phase(1, 2),
            depth_last: phase(1, 2),
            expand_first: phase(1, 3),
            expand_last: phase(1, 3),
            distillation_weight: 1.0,
        };
        let schedule = ShrinkSchedule::progressive_shrinking(&space, &recipe);
        let watched = vec![space.smallest(), space.largest()];
        Self { space, splits, loader, schedule, watched }
    }

    fn train(
        &self,
        checkpoints: Option<&Path>,
        observer: &mut dyn ShrinkObserver,
    ) -> Result<ShrinkOutcome, TrainError> {
        let device = Device::flex();
        let checkpoints = checkpoints.map(|root| CheckpointDir::new(root, 2));
        let run = ShrinkRun {
            schedule: &self.schedule,
            recipe: &Recipe::default(),
            sampler: &UniformSampler { seed: SEED },
            loader: &self.loader,
            seed: SEED,
            watched: &self.watched,
            checkpoints: checkpoints.as_ref(),
            device: &device,
        };
        let images = self.splits.validation.subset(40, SEED);
        let mut evaluator = Evaluator::new(images.clone(), images, 20, &self.splits.normalisation(), &device);
        let config = SupernetConfig::new(self.space.clone()).unwrap().with_seed(SEED);
        shrink(config.init(&device.clone().autodiff()), &run, &mut evaluator, observer)
    }
}

fn bits(supernet: &Supernet) -> Vec<u32> {
    struct Collect(Vec<u32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let data = parameter.val().into_data();
            self.0.extend(data.iter::<f32>().map(f32::to_bits));
        }
    }
    let mut collect = Collect(Vec::new());
    supernet.visit(&mut collect);
    collect.0
}

/// Stops after a number of steps, counted over all epochs.
struct StopAfter {
    steps: usize,
    damaged: usize,
}

impl ShrinkObserver for StopAfter {
    fn resumed(&mut self, _: &str, _: usize, _: usize, damaged: &[DamagedCheckpoint]) {
        self.damaged = damaged.len();
    }

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
fn interrupted_in_every_stage_and_resumed() {
    let bench = Bench::new();
    let unbroken = bench.train(None, &mut ()).unwrap();
    let again = bench.train(None, &mut ()).unwrap();
    assert_eq!(bits(&unbroken.supernet), bits(&again.supernet), "the same seed gives the same weights");

    let root = tempfile::tempdir().unwrap();
    let mut interruptions = 0;
    let resumed = loop {
        // One step at a time: stops in the middle of every epoch of every stage.
        match bench.train(Some(root.path()), &mut StopAfter { steps: 1, damaged: 0 }) {
            Ok(outcome) => break outcome,
            Err(TrainError::Interrupted { .. }) => interruptions += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(interruptions < 100, "no progress");
    };
    assert!(interruptions >= bench.schedule.epochs(), "{interruptions}");
    assert_eq!(bits(&resumed.supernet), bits(&unbroken.supernet));
    assert_eq!(timeless(&resumed), timeless(&unbroken));
}

#[test]
fn a_torn_checkpoint_is_passed_over_for_the_one_before() {
    let bench = Bench::new();
    let root = tempfile::tempdir().unwrap();
    let unbroken = bench.train(None, &mut ()).unwrap();
    assert!(bench.train(Some(root.path()), &mut StopAfter { steps: 5, damaged: 0 }).is_err());
    let mut checkpoints: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    checkpoints.sort();
    let weights = checkpoints.last().unwrap().join("weights.bpk");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();

    let mut observer = StopAfter { steps: usize::MAX, damaged: 0 };
    let resumed = bench.train(Some(root.path()), &mut observer).unwrap();
    assert_eq!(observer.damaged, 1);
    assert_eq!(bits(&resumed.supernet), bits(&unbroken.supernet));
}

#[test]
fn the_weights_of_the_newest_checkpoint_are_read_without_the_training() {
    let bench = Bench::new();
    let root = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointDir::new(root.path(), 1);
    let blank = |space: &SearchSpace| SupernetConfig::new(space.clone()).unwrap().init(&Device::flex());
    assert!(checkpoints.supernet(blank(&bench.space)).unwrap().is_none());
    let outcome = bench.train(Some(root.path()), &mut ()).unwrap();
    let saved = checkpoints.supernet(blank(&bench.space)).unwrap().unwrap();
    assert_eq!(bits(&saved.supernet), bits(&outcome.supernet));
    assert!(saved.path.starts_with(root.path()) && saved.damaged.is_empty(), "{:?}", saved.path);
    let mut other = bench.space.clone();
    other.stages[0].channels = 24;
    let message = checkpoints.supernet(blank(&other)).unwrap_err().to_string();
    assert!(message.contains("weights.bpk"), "{message}");
}

#[test]
fn scores_do_not_depend_on_the_size_of_batches() {
    let Bench { space, splits, .. } = Bench::new();
    let device = Device::flex();
    let supernet = SupernetConfig::new(space.clone()).unwrap().with_seed(SEED).init(&device);
    let (calibration, images) = (splits.train.subset(20, 1), splits.validation.subset(30, 1));
    let evaluator =
        |batch| Evaluator::new(calibration.clone(), images.clone(), batch, &splits.normalisation(), &device);
    let subnet = evaluator(20).calibrated(&supernet, &space.largest()).unwrap();
    let [many, one] = [7, 30].map(|batch| evaluator(batch).subnet_scores(&subnet).unwrap());
    assert_eq!((many.images(), many.top1(), many.top5()), (30, one.top1(), one.top5()));
    assert!((many.loss() - one.loss()).abs() < 1e-6, "{} and {}", many.loss(), one.loss());
    assert_eq!(many.top1(), evaluator(7).subnet_top1(&subnet).unwrap());
    // As many images of each label as the set has.
    let mut expected = [0u32; 10];
    for batch in evaluation_batches(&images, 8, 30, &splits.normalisation(), &device).unwrap() {
        batch.unwrap().labels.into_data().iter::<i64>().for_each(|label| expected[label as usize] += 1);
    }
    let found: [u64; 10] = std::array::from_fn(|label| many.confusion(label).iter().sum());
    assert_eq!(found, expected.map(u64::from));
    let mean = (0..10).filter_map(|label| Some(many.class_top1(label)? * f64::from(expected[label]) / 30.0));
    assert!((mean.sum::<f64>() - many.top1()).abs() < 1e-12);
}

#[test]
fn a_checkpoint_of_another_schedule_is_refused() {
    let mut bench = Bench::new();
    let root = tempfile::tempdir().unwrap();
    assert!(bench.train(Some(root.path()), &mut StopAfter { steps: 1, damaged: 0 }).is_err());
    bench.schedule.stages[0].learning_rate *= 2.0;
    let error = bench.train(Some(root.path()), &mut ()).err().unwrap();
    assert!(matches!(error, TrainError::OtherSchedule { .. }), "{error}");
}

#[test]
fn a_loss_that_explodes_stops_the_training_and_names_the_step() {
    let mut bench = Bench::new();
    for stage in &mut bench.schedule.stages {
        (stage.learning_rate, stage.warmup_epochs) = (1e30, 0.0);
    }
    let message = bench.train(None, &mut ()).err().unwrap().to_string();
    assert!(message.contains("stage `full`") && message.contains("learning rate"), "{message}");
}

#[test]
fn fine_tuning_changes_a_subnet_and_leaves_the_supernet() {
    let bench = Bench::new();
    let device = Device::flex();
    let supernet = SupernetConfig::new(bench.space.clone()).unwrap().init(&device);
    let before = bits(&supernet);
    let subnet = supernet.subnet(&bench.space.smallest());
    let config = FineTune { epochs: 2, learning_rate: 0.05, distillation_weight: 1.0 };
    let tuned =
        fine_tune(subnet.clone(), Some(&supernet), &config, &Recipe::default(), &bench.loader, &device).unwrap();
    let images = Tensor::ones([2, 1, 8, 8], &device);
    let moved = (tuned.infer(images.clone()) - subnet.infer(images)).abs().max().into_scalar::<f32>();
    assert!(moved > 1e-4, "{moved}");
    assert_eq!(bits(&supernet), before);
}
