//! A training small enough for tests.

#![allow(dead_code, reason = "not every test needs all of it")]

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use ofa_data::{AugmentConfig, FashionMnist, Loader, LoaderConfig, Splits, View};
use ofa_model::{Arch, SearchSpace, Supernet, SupernetConfig};
use ofa_train::*;
use std::path::Path;

pub const SEED: u64 = 3;

pub struct Bench {
    pub space: SearchSpace,
    pub splits: Splits,
    pub loader: Loader,
    pub schedule: ShrinkSchedule,
    pub recipe: Recipe,
    pub teacher: Option<Supernet>,
    pub watched: Vec<Arch>,
    pub watch_epochs: Option<usize>,
    /// Steps between checkpoints within an epoch.
    pub checkpoint_steps: Option<usize>,
}

impl Bench {
    /// Two steps an epoch, two epochs in the first stage and one in each of the others, on small images.
    pub fn new() -> Self {
        let mut space = SearchSpace::small_mobilenet_v3(1, 10);
        space.resolutions = vec![8, 12];
        let splits = FashionMnist::embedded(SEED).unwrap();
        let view = View::Train(AugmentConfig::small_images());
        let config = LoaderConfig { batch_size: 16, seed: SEED, view, drop_last: true, prefetch: 2 };
        let loader = Loader::new(splits.train.subset(32, SEED), config, splits.normalisation()).unwrap();
        let phase =
            |epochs, subnets_per_step| Phase { epochs, learning_rate: 0.05, warmup_epochs: 0.5, subnets_per_step };
        let recipe = ShrinkRecipe {
            reference_batch_size: 16,
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
        let recipe = Recipe::default();
        Self {
            space,
            splits,
            loader,
            schedule,
            recipe,
            teacher: None,
            watched,
            watch_epochs: None,
            checkpoint_steps: None,
        }
    }

    pub fn train(
        &self,
        checkpoints: Option<&Path>,
        observer: &mut dyn ShrinkObserver,
    ) -> Result<ShrinkOutcome, TrainError> {
        self.train_by(None, checkpoints, observer)
    }

    pub fn train_by(
        &self,
        sampler: Option<&dyn ArchSampler>,
        checkpoints: Option<&Path>,
        observer: &mut dyn ShrinkObserver,
    ) -> Result<ShrinkOutcome, TrainError> {
        let device = Device::flex();
        let checkpoints = checkpoints.map(|root| {
            let dir = CheckpointDir::new(root, 2);
            match self.checkpoint_steps {
                Some(steps) => dir.every_steps(steps),
                None => dir,
            }
        });
        let run = ShrinkRun {
            schedule: &self.schedule,
            recipe: &self.recipe,
            sampler,
            teacher: self.teacher.as_ref(),
            loader: &self.loader,
            seed: SEED,
            watched: &self.watched,
            watch_epochs: self.watch_epochs,
            checkpoints: checkpoints.as_ref(),
            device: &device,
            ranks: &OneRank,
        };
        let images = self.splits.validation.subset(40, SEED);
        let mut evaluator = Evaluator::new(images.clone(), images, 20, &self.splits.normalisation(), &device);
        let config = SupernetConfig::new(self.space.clone()).unwrap().with_seed(SEED);
        shrink(config.init(&device.clone().autodiff()), &run, &mut evaluator, observer)
    }
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
