//! A training run small enough for tests.

#![allow(dead_code, reason = "not every test uses all of it")]

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use ofa_data::{AugmentConfig, FashionMnist, Loader, LoaderConfig, Splits, View};
use ofa_model::{Arch, SearchSpace, Supernet, SupernetConfig};
use ofa_train::*;
use std::path::Path;

pub const SEED: u64 = 3;
/// Default images per step, summed over ranks.
pub const BATCH: usize = 16;
/// Default images per epoch, summed over ranks.
pub const IMAGES: usize = 32;

pub struct Bench {
    pub space: SearchSpace,
    pub splits: Splits,
    /// Seed of archs, resolutions and dropout.
    pub seed: u64,
    /// Images per step, summed over ranks.
    pub batch: usize,
    /// Images per epoch, summed over ranks.
    pub images: usize,
    pub schedule: Schedule,
    pub recipe: Recipe,
    pub teacher: Option<Supernet>,
    pub watched: Vec<Arch>,
    pub watch_epochs: Option<usize>,
    /// Steps between checkpoints within an epoch.
    pub checkpoint_steps: Option<usize>,
    /// Whether images are normalised on the device, as on every device but flex.
    pub pixels_on_device: bool,
}

impl Bench {
    /// Two steps per epoch; two epochs in the first phase and one in each of the others; small images.
    pub fn new() -> Self {
        let mut space = SearchSpace::small_mobilenet_v3(1, 10);
        space.resolutions = vec![8, 12];
        let splits = FashionMnist::embedded(SEED).unwrap();
        let phase = |epochs, subnets_per_step| PhaseRecipe {
            epochs,
            learning_rate: 0.05,
            warmup_epochs: 0.5,
            subnets_per_step,
        };
        let recipe = ScheduleRecipe {
            reference_batch_size: BATCH,
            full: phase(2, 1),
            kernel: phase(1, 1),
            depth_first: phase(1, 2),
            depth_last: phase(1, 2),
            expand_first: phase(1, 3),
            expand_last: phase(1, 3),
            distillation_weight: 1.0,
        };
        let schedule = Schedule::progressive_shrinking(&space, &recipe);
        let watched = vec![space.smallest(), space.largest()];
        let recipe = Recipe::default();
        Self {
            space,
            splits,
            seed: SEED,
            batch: BATCH,
            images: IMAGES,
            schedule,
            recipe,
            teacher: None,
            watched,
            watch_epochs: None,
            checkpoint_steps: None,
            pixels_on_device: false,
        }
    }

    pub fn train(
        &self,
        checkpoints: Option<&Path>,
        observer: &mut dyn TrainObserver,
    ) -> Result<TrainOutcome, TrainError> {
        self.train_by(None, checkpoints, observer)
    }

    pub fn train_by(
        &self,
        sampler: Option<&dyn ArchSampler>,
        checkpoints: Option<&Path>,
        observer: &mut dyn TrainObserver,
    ) -> Result<TrainOutcome, TrainError> {
        self.train_on(self.supernet(SEED), &OneRank, sampler, checkpoints, observer)
    }

    pub fn train_on(
        &self,
        start: Supernet,
        ranks: &dyn Ranks,
        sampler: Option<&dyn ArchSampler>,
        checkpoints: Option<&Path>,
        observer: &mut dyn TrainObserver,
    ) -> Result<TrainOutcome, TrainError> {
        let device = Device::flex();
        let checkpoints = checkpoints.map(|root| {
            let dir = CheckpointDir::new(root, 2);
            match self.checkpoint_steps {
                Some(steps) => dir.every_steps(steps),
                None => dir,
            }
        });
        let loader = self.loader(ranks);
        let run = TrainRun {
            sampler,
            teacher: self.teacher.as_ref(),
            seed: self.seed,
            watched: &self.watched,
            watch_epochs: self.watch_epochs,
            checkpoints: checkpoints.as_ref(),
            ranks,
            ..TrainRun::new(&self.schedule, &self.recipe, &loader, &device)
        };
        let images = self.splits.validation.subset(40, SEED);
        let mut evaluator = Evaluator::new(images.clone(), images, 20, &self.splits.normalisation(), &device);
        train(start, &run, &mut evaluator, observer)
    }

    pub fn supernet(&self, seed: u64) -> Supernet {
        SupernetConfig::new(self.space.clone()).unwrap().with_seed(seed).init(&Device::flex().autodiff())
    }

    /// A loader of this rank's part of every batch.
    pub fn loader(&self, ranks: &dyn Ranks) -> Loader {
        let view = View::Train(AugmentConfig::small_images());
        let batch_size = self.batch / ranks.size();
        let config = LoaderConfig { batch_size, seed: SEED, view, drop_last: true, prefetch: 2 };
        let images = self.splits.train.subset(self.images, SEED);
        let loader = Loader::new(images, config, self.splits.normalisation()).unwrap();
        let loader = loader.with_shard(ranks.rank(), ranks.size()).unwrap();
        if self.pixels_on_device { loader.with_pixels_on_device() } else { loader }
    }
}

/// Stops training after `steps` steps, counted over all epochs.
pub struct StopAfter {
    pub steps: usize,
    /// Number of damaged checkpoints that were skipped.
    pub damaged: usize,
}

impl TrainObserver for StopAfter {
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

/// The records of an outcome without wall times.
pub fn timeless(outcome: &TrainOutcome) -> (Vec<EpochRecord>, Vec<WatchedRecord>) {
    let epochs = outcome.epochs.iter().cloned().map(|epoch| EpochRecord { seconds: 0.0, ..epoch });
    (epochs.collect(), outcome.watched.clone())
}

pub fn bits(supernet: &Supernet) -> Vec<u32> {
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
