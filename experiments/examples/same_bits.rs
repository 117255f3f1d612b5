//! Runs a few steps of every kind of training and prints SHA-256 hashes of the results, which are the same on every
//! processor with AVX2 and FMA, whatever its vector width and the number of threads.
//!
//! Command:  `.ci/same-bits`, which compares them with the committed hashes, natively and without AVX-512
//! Result:   one line per kind
//! Hardware: a processor with AVX2 and FMA; seconds

use anyhow::Result;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use experiments::config::ExperimentConfig;
use experiments::console::say;
use experiments::run::images::Images;
use experiments::run::start;
use ofa_data::ImageBatch;
use ofa_model::kernels::cross_entropy;
use ofa_model::{CandidateConfig, ChoiceGroups, Gate, Mixture, Quantization, SearchSpace, Supernet, SupernetConfig};
use ofa_train::{
    FineTune, OneRank, ScheduleKind, ScheduleRecipe, StepRules, TrainRun, fine_tune, step_gradients, train,
    weights_sha256,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::process::ExitCode;

/// Training steps per phase.
const STEPS: usize = 3;
const SIDE: usize = 8;
/// Fills one group of images and part of a second.
const BATCH: usize = 20;

fn main() -> ExitCode {
    start::main(run)
}

fn run() -> Result<()> {
    let config = config()?;
    let images = Images::load(&config, None)?;
    let device = Device::flex();
    let kinds = [
        ("full", ScheduleKind::FullOnly),
        ("progressive_shrinking", ScheduleKind::ProgressiveShrinking),
        ("sandwich", ScheduleKind::Sandwich),
    ];
    for (name, kind) in kinds {
        print(name, &trained(&config, &images, kind, &device)?);
    }
    let supernet = trained(&config, &images, ScheduleKind::RandomOnly, &device)?;
    print("random_only", &supernet);

    let arch = config.space.largest().at_resolution(SIDE);
    let rule = FineTune { epochs: 1, learning_rate: 0.01, distillation_weight: 1.0 };
    let loader = images.train_loader(&config, &OneRank)?;
    let (subnet, recipe) = (supernet.subnet(&arch), &config.training.recipe);
    print("fine_tuning", &fine_tune(subnet, Some(&supernet), &rule, recipe, &loader, 0, &device)?);

    let mut evaluator = images.validation(&config, &device);
    let settings = Quantization { images: BATCH, ..Quantization::default() };
    let subnet = evaluator.calibrated(&supernet, &arch)?;
    let network = evaluator.straight_through(subnet, &settings)?;
    print("fine_tuning in int8", &fine_tune(network, Some(&supernet), &rule, recipe, &loader, 0, &device)?);
    for (name, arch) in [("calibration of the largest", arch), ("calibration of the smallest", config.space.smallest())]
    {
        let subnet = evaluator.calibrated(&supernet, &arch.at_resolution(SIDE))?;
        let logits = subnet.infer(noise([5, 1, SIDE, SIDE]));
        print(name, &subnet);
        say(&format!("{name}, loss {:x}", evaluator.subnet_scores(&subnet)?.loss().to_bits()));
        let sum: f64 = logits.into_data().iter::<f32>().map(f64::from).sum();
        say(&format!("{name}, logits {:x}", sum.to_bits()));
    }
    for space in [SearchSpace::resnet50d(10), SearchSpace::proxyless_nas(1.3, 10)] {
        let space = SearchSpace { resolutions: vec![32], ..space };
        print(&space.name.clone(), &stepped(space, &device)?);
    }
    let groups = ChoiceGroups::new(&config.space, SIDE)?;
    let all = groups.sizes().into_iter().map(|size| Gate::all(vec![1.0 / size as f64; size])).collect();
    let binary = |size: usize| Gate { choices: vec![size - 1, 0], weights: vec![1.0, 0.0] };
    let binary = groups.sizes().into_iter().map(binary).collect();
    for (name, gates) in [("all candidates", all), ("binary gates", binary)] {
        mixed(name, &config, &Mixture { gates }, &device)?;
    }
    Ok(())
}

/// Prints the candidates after one step of a mixture on noise, and the sum of the derivatives by its gates.
fn mixed(name: &str, config: &ExperimentConfig, mixture: &Mixture, device: &Device) -> Result<()> {
    let network = CandidateConfig::new(config.space.clone())?.init(&device.clone().autodiff());
    let images = Tensor::from_inner(noise([BATCH, 1, SIDE, SIDE]));
    let mixed = network.forward_mixture(images, mixture, |features| features);
    let targets = Tensor::<2>::from_inner(noise([BATCH, 10, 1, 1]).reshape([BATCH, 10]));
    let mut gradients = cross_entropy(mixed.logits.clone(), targets).backward();
    let sum: f64 = mixed.gate_gradients(&gradients).into_iter().flatten().sum();
    say(&format!("{name}, gates {:x}", sum.to_bits()));
    let gradients = GradientsParams::from_module(&mut gradients, &network);
    print(name, &config.training.recipe.optimizer().step(0.1, network, gradients).valid());
    Ok(())
}

fn config() -> Result<ExperimentConfig> {
    let mut config = ExperimentConfig::preset("smoke")?;
    config.space.resolutions = vec![SIDE];
    config.data.train_images = Some(STEPS * BATCH);
    config.training.batch_size = BATCH;
    config.tables.validation_images = 50;
    config.tables.calibration_images = STEPS * BATCH;
    config.tables.batch_size = 25;
    Ok(config)
}

fn trained(config: &ExperimentConfig, images: &Images, kind: ScheduleKind, device: &Device) -> Result<Supernet> {
    let mut schedule = kind.schedule(&config.space, &ScheduleRecipe::iclr2020());
    for phase in &mut schedule.phases {
        (phase.epochs, phase.warmup_epochs) = (1, 0.0);
    }
    let loader = images.train_loader(config, &OneRank)?;
    let run = TrainRun::new(&schedule, &config.training.recipe, &loader, device);
    let supernet = SupernetConfig::new(config.space.clone())?.init(&device.clone().autodiff());
    Ok(train(supernet, &run, &mut images.validation(config, device), &mut ())?.supernet.valid())
}

/// The supernet after one step of its smallest subnet on noise.
fn stepped(space: SearchSpace, device: &Device) -> Result<Supernet> {
    let supernet = SupernetConfig::new(space.clone())?.init(&device.clone().autodiff());
    let labels = Tensor::from_data(TensorData::from([1, 7, 3]), device);
    let batch = ImageBatch::new(noise([3, 3, 32, 32]), labels);
    let output = step_gradients(&supernet, &batch, &[space.smallest()], &StepRules::default());
    let recipe = ExperimentConfig::preset("smoke")?.training.recipe;
    Ok(recipe.optimizer().step(0.1, supernet, output.gradients).valid())
}

fn noise(sizes: [usize; 4]) -> Tensor<4> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let numbers: Vec<f32> = (0..sizes.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(numbers, sizes), &Device::flex())
}

fn print<M: Module>(name: &str, module: &M) {
    say(&format!("{name} {}", weights_sha256(module)));
}
