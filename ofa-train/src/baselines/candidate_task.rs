//! [`CandidateTask`]: a search on images.

use super::{Judged, SearchTask, WeightRates};
use crate::checkpoint::parse_bytes;
use crate::distill::smoothed;
use crate::step::step;
use crate::weights::{self, are_finite, filled, record_error};
use crate::{
    Evaluator, Opened, Phase, PhaseRecipe, Recipe, Sampler, Schedule, StepKey, StepNumbers, Teaching, TrainError,
    TrainRun, gradients, train,
};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, Device, Tensor};
use ofa_data::transfer::read_one;
use ofa_data::{EpochBatches, ImageBatch, Loader};
use ofa_model::kernels::cross_entropy;
use ofa_model::{
    Arch, CandidateConfig, CandidateNetwork, ChoiceCosts, Mixture, ModelError, SearchSpace, Subnet, in_pool,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const WEIGHTS: &str = "weights.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const COUNTS: &str = "counts.json";
/// Forward passes that a training step costs: the backward pass takes twice the products of the forward pass.
const PASSES: f64 = 3.0;

/// What a search on images takes.
#[derive(Clone, Copy)]
pub struct SearchGround<'a> {
    /// The space searched.
    pub space: &'a SearchSpace,
    /// Costs of its choices, in the unit of the target.
    pub costs: &'a ChoiceCosts,
    /// Label smoothing, momentum and all else that the methods leave open.
    pub recipe: &'a Recipe,
    /// Images from which weights learn.
    pub images: &'a Loader,
    /// Images from which choices learn, in batches of the same size.
    pub held_out: &'a Loader,
    /// Seed of weights and dropout.
    pub seed: u64,
    /// The plain (non-autodiff) device of the batches.
    pub device: &'a Device,
}

/// A search on images, whose weights are those of a [`CandidateNetwork`].
pub struct CandidateTask<'a> {
    ground: SearchGround<'a>,
    evaluator: &'a mut Evaluator,
    macs_of: ChoiceCosts,
    network: CandidateNetwork,
    recipe: Recipe,
    optimizer: ModuleOptimizer,
    counts: Counts,
    images: Batches<'a>,
    held_out: Batches<'a>,
}

/// What a checkpoint holds besides weights.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    macs: f64,
    weight_decay: f32,
}

impl<'a> CandidateTask<'a> {
    /// A search that begins. `evaluator` measures held-out accuracies.
    ///
    /// # Errors
    ///
    /// If the space has too many candidates ([`CandidateConfig::new`]) or the recipe is invalid, or the device lacks its
    /// precision.
    pub fn new(ground: SearchGround<'a>, evaluator: &'a mut Evaluator) -> Result<Self, TrainError> {
        ground.recipe.validate()?;
        ground.recipe.precision.check(ground.device)?;
        let (space, groups) = (ground.space, ground.costs.groups());
        let batches = |loader| Batches { loader, resolution: groups.resolution(), device: ground.device, open: None };
        Ok(Self {
            macs_of: ChoiceCosts::macs(space, groups),
            network: network(&ground, 0)?,
            recipe: *ground.recipe,
            optimizer: ground.recipe.optimizer(),
            counts: Counts::default(),
            images: batches(ground.images),
            held_out: batches(ground.held_out),
            ground,
            evaluator,
        })
    }

    /// The network with its weights.
    pub fn network(&self) -> &CandidateNetwork {
        &self.network
    }

    /// Adds `passes` over images of networks with these MACs.
    fn count(&mut self, macs: f64, images: usize, passes: f64) {
        self.counts.macs += macs * images as f64 * passes;
    }

    fn evaluated(&self) -> usize {
        self.evaluator.calibration_images() + self.evaluator.evaluation_images()
    }
}

fn network(ground: &SearchGround, round: u64) -> Result<CandidateNetwork, ModelError> {
    // Rounds begin with different weights.
    let seed = ground.seed ^ round << 48;
    Ok(CandidateConfig::new(ground.space.clone())?.with_seed(seed).init(&ground.device.clone().autodiff()))
}

impl SearchTask for CandidateTask<'_> {
    fn costs(&self) -> &ChoiceCosts {
        self.ground.costs
    }

    fn batches(&self) -> u64 {
        self.ground.images.batches_per_epoch() as u64
    }

    fn held_out_batches(&self) -> u64 {
        self.ground.held_out.batches_per_epoch() as u64
    }

    fn batch_size(&self) -> usize {
        self.ground.images.images_per_step()
    }

    fn restart(&mut self, round: u64, weight_decay: f32) {
        self.network = network(&self.ground, round).expect("the space was checked at the beginning");
        self.recipe = Recipe { weight_decay, ..*self.ground.recipe };
        self.optimizer = self.recipe.optimizer();
        self.counts.weight_decay = weight_decay;
    }

    fn learn(&mut self, mixture: &Mixture, batch: u64, learning_rate: f64) -> Result<StepNumbers, TrainError> {
        let images = self.images.at(batch)?;
        let rules = self.recipe.rules(Teaching::None, self.ground.seed, StepKey { phase: 0, step: batch });
        let (network, classes) = (&self.network, self.ground.space.classes);
        let output = in_pool(|| {
            step(network, 1, classes, &images, &rules, |network, _, images, features| {
                network.forward_mixture(images, mixture, features).logits
            })
        });
        let numbers = output.numbers.read();
        if numbers.loss.is_finite() {
            let gradients = gradients::clipped(output.gradients, &self.network, self.recipe.clip_norm);
            self.network = in_pool(|| self.optimizer.step(learning_rate, self.network.clone(), gradients));
        }
        let [forward, learned] = mixture.macs(&self.macs_of);
        self.count(forward + (PASSES - 1.0) * learned, images.size(), 1.0);
        Ok(numbers)
    }

    fn judge(&mut self, mixture: &Mixture, batch: u64) -> Result<Judged, TrainError> {
        let batch = self.held_out.at(batch)?;
        let targets = Tensor::from_inner(smoothed(batch.labels.clone(), self.ground.space.classes, 0.0));
        let images = Tensor::from_inner(batch.images.clone());
        // Weights only pass gradients on: nothing here changes them.
        let network = self.network.clone().no_grad();
        let network = self.recipe.precision.rounded(&network).unwrap_or(network);
        let judged = in_pool(|| {
            let mut mixed = None;
            let logits = self.recipe.precision.pass(&network, images, |network, images| {
                let found = network.forward_mixture(images, mixture, |features| features);
                mixed.insert(found).logits.clone()
            });
            let loss = cross_entropy(logits, targets);
            let gradients = mixed.map(|mixed| mixed.gate_gradients(&loss.backward())).unwrap_or_default();
            Judged { loss: number(loss.inner()), gradients }
        });
        let [forward, learned] = mixture.macs(&self.macs_of);
        // The backward pass computes gradients of inputs, not of weights.
        self.count(forward + learned, batch.size(), 1.0);
        Ok(judged)
    }

    fn accuracy(&mut self, choices: &[usize]) -> Result<f64, TrainError> {
        let arch = self.macs_of.groups().arch(choices);
        self.count(self.macs_of.of(choices), self.evaluated(), 1.0);
        self.evaluator.top1(&self.network, &arch)
    }

    fn accuracy_alone(&mut self, choices: &[usize], rates: &WeightRates, sample: u64) -> Result<f64, TrainError> {
        let arch = self.macs_of.groups().arch(choices);
        let SearchGround { space, recipe, images, seed, device, .. } = self.ground;
        let seed = seed ^ (sample + 1) << 32;
        let subnet = Subnet::init(space.clone(), &arch, seed, &device.clone().autodiff())?;
        let (schedule, recipe) = (trained_alone(space, &arch, rates), rates.recipe(recipe));
        let run = TrainRun { seed, ..TrainRun::new(&schedule, &recipe, images, device) };
        let trained = train(subnet, &run, self.evaluator, &mut ());
        let macs = self.macs_of.of(choices);
        self.count(macs, images.batches_per_epoch() * images.images_per_step() * rates.epochs, PASSES);
        self.count(macs, self.evaluated(), 1.0);
        match trained {
            Ok(trained) => self.evaluator.top1(&trained.supernet, &arch),
            Err(TrainError::NonFiniteLoss { .. }) => Ok(0.0),
            Err(error) => Err(error),
        }
    }

    fn is_finite(&self) -> bool {
        are_finite(&self.network)
    }

    fn macs(&self) -> f64 {
        self.counts.macs
    }

    fn files(&self) -> Result<BTreeMap<&'static str, Vec<u8>>, TrainError> {
        let optimizer = self.optimizer.into_bytes().map_err(record_error(OPTIMIZER))?;
        Ok(BTreeMap::from([
            (WEIGHTS, weights::bytes(&self.network, WEIGHTS)?),
            (OPTIMIZER, optimizer.to_vec()),
            (COUNTS, serde_json::to_vec(&self.counts).expect("counts are plain data")),
        ]))
    }

    fn restore(&mut self, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), TrainError> {
        let mut take = |name: &'static str| {
            let missing = || TrainError::Record { what: name, problem: "missing from the checkpoint".into() };
            files.remove(name).ok_or_else(missing)
        };
        self.counts = parse_bytes(COUNTS, &take(COUNTS)?)?;
        self.recipe = Recipe { weight_decay: self.counts.weight_decay, ..*self.ground.recipe };
        self.network = filled(self.network.clone(), WEIGHTS, take(WEIGHTS)?)?;
        let optimizer = Bytes::from_bytes_vec(take(OPTIMIZER)?);
        self.optimizer = self.recipe.optimizer().from_bytes(optimizer).map_err(record_error(OPTIMIZER))?;
        Ok(())
    }
}

/// The schedule that trains `arch`, a network of `space`, alone.
pub fn trained_alone(space: &SearchSpace, arch: &Arch, rates: &WeightRates) -> Schedule {
    let recipe = PhaseRecipe {
        epochs: rates.epochs,
        learning_rate: rates.learning_rate,
        warmup_epochs: 0.0,
        subnets_per_step: 1,
    };
    let opened = SearchSpace { resolutions: vec![arch.resolution], ..space.clone() };
    let phase = Phase::new("alone", &recipe, Opened::Space(Box::new(opened)));
    Schedule {
        name: "alone".into(),
        reference_batch_size: rates.batch_size,
        annealing: Default::default(),
        phases: vec![Phase { sampler: Sampler::Fixed(vec![arch.clone()]), ..phase }],
    }
}

/// The batches of a loader by their number over all epochs.
struct Batches<'a> {
    loader: &'a Loader,
    resolution: usize,
    device: &'a Device,
    /// The number of the next batch, and the rest of its epoch.
    open: Option<(u64, EpochBatches)>,
}

impl Batches<'_> {
    fn at(&mut self, number: u64) -> Result<ImageBatch, TrainError> {
        let per_epoch = self.loader.batches_per_epoch() as u64;
        let (epoch, batch) = (number / per_epoch, number % per_epoch);
        let open = self.open.take().filter(|(next, _)| *next == number && batch > 0);
        let resolution = self.resolution;
        let mut batches = match open {
            Some((_, batches)) => batches,
            None => self.loader.epoch(epoch, batch as usize, move |_| resolution, self.device),
        };
        let made = batches.next().expect("an epoch has as many batches as its loader says")?;
        self.open = Some((number + 1, batches));
        Ok(made)
    }
}

fn number(loss: Tensor<1>) -> f64 {
    read_one(loss).iter::<f32>().map(f64::from).sum()
}
