//! Everything that you can bring from a crate of your own: images, a network, a loss, an optimizer, a sampler, a
//! predictor and a search strategy. `tests/extend.rs` builds this file as such a crate.
//!
//! Command:  `cargo run --release --example extend` (seconds)

use burn::module::{Module, Param};
use burn::optim::AdamConfig;
use burn::tensor::{Device, Distribution, Tensor, activation, module::conv2d, ops::ConvOptions};
use ofa_data::{AugmentConfig, Image, ImageProblem, ImageSet, ImageSource, Loader, LoaderConfig};
use ofa_data::{Normalisation, StoredImage, View};
use ofa_model::*;
use ofa_search::{Budget, Constraint, Predictor, Problem, SearchError, SearchStrategy, Trial, search};
use ofa_train::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;

/// A data set: noisy stripes, whose direction is the class.
#[derive(Debug)]
struct Stripes {
    count: usize,
    seed: u64,
}

impl ImageSource for Stripes {
    fn len(&self) -> usize {
        self.count
    }
    fn label(&self, i: usize) -> u32 {
        i as u32 % 4
    }
    fn read(&self, i: usize) -> Result<StoredImage, ImageProblem> {
        let rng = &mut ChaCha8Rng::seed_from_u64(self.seed << 32 | i as u64);
        let mut pixel = |x: usize, y: usize| {
            let stripe = [x, y, x + y, x + 16 - y][i % 4] / 2 % 2;
            rng.random_range(0..128) + 127 * stripe as u8
        };
        let pixels = (0..256).map(|at| pixel(at % 16, at / 16)).collect();
        Ok(Image { width: 16, height: 16, channels: 1, pixels }.into())
    }
    fn identity(&self, i: usize) -> Vec<u8> {
        [self.seed.to_le_bytes(), i.to_le_bytes()].concat()
    }
}

/// A network: plain convolutions of elastic depth and width. A view of it is a smaller one.
#[derive(Module, Debug)]
struct Plain {
    first: Param<Tensor<4>>,
    blocks: Vec<Param<Tensor<4>>>,
    classifier: Param<Tensor<2>>,
    #[module(skip)]
    space: SearchSpace,
    #[module(skip)]
    arch: Arch,
}

impl Plain {
    fn init(space: SearchSpace, device: &Device) -> Self {
        let (stage, arch) = (&space.stages[0], space.largest());
        let weight = |shape: [usize; 4]| {
            let deviation = (2.0 / (shape[1] * 9) as f64).sqrt();
            Param::from_tensor(Tensor::random(shape, Distribution::Normal(0.0, deviation), device))
        };
        let first = weight([stage.channels, space.image_channels, 3, 3]);
        let blocks = (0..stage.greatest_depth()).map(|_| weight([stage.channels, stage.channels, 3, 3])).collect();
        let classifier = Param::from_tensor(Tensor::zeros([stage.channels, space.classes], device));
        Self { first, blocks, classifier, space, arch }
    }
}

impl ElasticNetwork for Plain {
    type Subnet = Self;

    fn space(&self) -> &SearchSpace {
        &self.space
    }
    fn view(&self, arch: &Arch) -> Self {
        let (stage, full) = (&arch.stages[0], &self.space.stages[0]);
        let width = full.channels_at(stage.width);
        let narrow = |block: &Param<Tensor<4>>| block.clone().map(|weight| weight.slice([0..width, 0..width]));
        Self {
            first: self.first.clone().map(|weight| weight.slice_dim(0, 0..width)),
            blocks: self.blocks[..stage.blocks.len()].iter().map(narrow).collect(),
            classifier: self.classifier.clone().map(|weight| weight.slice_dim(0, 0..width)),
            space: self.space.clone(),
            arch: arch.clone(),
        }
    }
}

impl FixedNetwork for Plain {
    fn space(&self) -> &SearchSpace {
        &self.space
    }
    fn arch(&self) -> &Arch {
        &self.arch
    }
    fn forward_with(
        &self,
        images: Tensor<4>,
        _: &mut Statistics,
        change: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let conv = |x, weight: &Param<Tensor<4>>, stride| {
            let options = ConvOptions::new([stride, stride], [1, 1], [1, 1], 1);
            activation::relu(conv2d(x, weight.val(), None, options))
        };
        let maps = conv(images, &self.first, 2);
        let maps = self.blocks.iter().fold(maps, |x, block| x.clone() + conv(x, block, 1));
        let features = maps.flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2);
        change(features).matmul(self.classifier.val())
    }
}

/// A loss: the Brier score.
fn brier(logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
    (activation::softmax(logits, 1) - targets.probabilities.clone()).square().mean()
}

/// A sampler: the largest network, then random ones of one seed per step.
struct LargestAndRandom;

impl ArchSampler for LargestAndRandom {
    fn sample(&self, space: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch> {
        let rng = &mut ChaCha8Rng::seed_from_u64(key.step);
        (0..count).map(|i| if i == 0 { space.largest() } else { space.sample(rng) }).collect()
    }
}

/// A predictor: the accuracy of the measured network with the nearest cost.
struct Nearest<'a>(&'a SearchSpace, &'a [(Arch, f64)]);

impl Predictor for Nearest<'_> {
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError> {
        let macs = |arch: &Arch| self.0.cost(arch).macs;
        let nearest = |arch| self.1.iter().min_by_key(|(other, _)| macs(other).abs_diff(macs(arch)));
        Ok(archs.iter().map(|arch| nearest(arch).map_or(0.0, |(_, top1)| *top1)).collect())
    }
}

/// A search strategy: changes the best network so far.
#[derive(Default)]
struct Climb(Option<Trial>);

impl SearchStrategy for Climb {
    fn name(&self) -> &str {
        "climb"
    }
    fn batch_size(&self) -> usize {
        1
    }
    fn ask(&mut self, space: &SearchSpace, rng: &mut dyn Rng) -> Option<Arch> {
        let mutation = Mutation { choice_probability: 0.5, resolution_probability: 0.5 };
        Some(match &self.0 {
            Some(best) => space.mutate(&best.arch, mutation, rng),
            None => space.sample(rng),
        })
    }
    fn tell(&mut self, trial: Trial) {
        if self.0.as_ref().is_none_or(|best| trial.score > best.score) {
            self.0 = Some(trial);
        }
    }
}

#[allow(clippy::print_stdout, reason = "an example reports its results on the console")]
fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex();
    device.seed(1);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let stage = StageSpace {
        channels: 32,
        stride: 2,
        widths: [0.25, 0.5, 0.75, 1.0].into_iter().map(Ratio::try_from).collect::<Result<_, _>>()?,
        depths: vec![1, 2, 3, 4],
        kernel_sizes: vec![3],
        expand_ratios: vec![Ratio::ONE],
        block: BlockKind::Conv,
        activation: Activation::Relu,
        squeeze_excite: false,
        max_pool: false,
    };
    let space = SearchSpace {
        name: "plain".into(),
        image_channels: 1,
        classes: 4,
        resolutions: vec![12, 16],
        norm_epsilon: 1e-5,
        stem: vec![],
        stages: vec![stage],
        head: Head { expand_channels: None, mix_channels: None, activation: Activation::Relu },
    };
    space.validate()?;

    let images = |count, seed| ImageSet::from_source(Stripes { count, seed }, 1);
    let normalisation = Normalisation::new(&[0.5], &[0.25]);
    let augment = AugmentConfig { horizontal_flip: false, ..AugmentConfig::small_images() };
    let config = LoaderConfig { batch_size: 32, seed: 1, view: View::Train(augment), drop_last: true, prefetch: 2 };
    let loader = Loader::new(images(512, 1)?, config, normalisation.clone())?;
    let mut evaluator = Evaluator::new(images(64, 2)?, images(256, 3)?, 64, &normalisation, &device);

    let phase = PhaseRecipe { epochs: 4, learning_rate: 0.01, warmup_epochs: 0.5, subnets_per_step: 3 };
    let schedule = Schedule {
        name: "all at once".into(),
        reference_batch_size: 32,
        annealing: Annealing::Phase,
        phases: vec![Phase::new("all", &phase, Opened::All)],
    };
    let recipe = Recipe::default();
    let run = TrainRun {
        sampler: Some(&LargestAndRandom),
        loss: Some(&brier),
        optimizer: Some(&|| AdamConfig::new().init()),
        ..TrainRun::new(&schedule, &recipe, &loader, &device)
    };
    let network = Plain::init(space.clone(), &device.clone().autodiff());
    let trained = train(network, &run, &mut evaluator, &mut ())?;
    for epoch in &trained.epochs {
        println!("epoch {}: loss {:.4}, accuracy {:.3}", epoch.epoch, epoch.loss, epoch.train_top1);
    }

    let network = trained.supernet.valid();
    let measured = [space.smallest(), space.largest(), space.sample(rng), space.sample(rng)];
    let measured = measured.map(|arch| evaluator.top1(&network, &arch).map(|top1| (arch, top1)));
    let measured = measured.into_iter().collect::<Result<Vec<_>, _>>()?;
    let objective = &Nearest(&space, &measured);
    let limit = space.cost(&space.largest()).macs as f64 / 2.0;
    let problem = Problem { space: &space, objective, constraints: vec![Constraint::macs(&space, limit)] };
    let best = search(&problem, &mut Climb::default(), Budget::new(16), rng, |_| ())?.best;
    let top1 = evaluator.top1(&network, &best.arch)?;
    println!("{}: predicted {:.3}, measured {top1:.3} at {} MACs", best.arch, best.score, best.costs[0]);
    Ok(())
}
