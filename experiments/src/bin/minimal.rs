//! The whole pipeline on one page, to copy and modify: space -> supernet -> shrink -> tables -> search.
//!
//! Command:  `cargo run --release --bin minimal` (about a minute; the numbers are those of a barely trained network)

use burn::{module::Module, tensor::Device};
use ofa_data::{AugmentConfig, FashionMnist, Loader, LoaderConfig, View};
use ofa_model::{Arch, SearchSpace, SupernetConfig};
use ofa_search::predictors::{MlpConfig, MlpPredictor};
use ofa_search::*;
use ofa_train::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::error::Error;

#[allow(clippy::print_stdout, reason = "a binary reports its results on the console")]
fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().len() > 1 {
        return Err("this template takes no options: change the file".into());
    }
    let device = Device::flex();
    let rng = &mut ChaCha8Rng::seed_from_u64(1);

    // The search space, and one supernet that holds the weights of all its networks.
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let supernet = SupernetConfig::new(space.clone())?.with_seed(1).init(&device.clone().autodiff());

    // Images: training and validation sets are disjoint.
    let splits = FashionMnist::embedded(1)?;
    let view = View::Train(AugmentConfig::small_images());
    let config = LoaderConfig { batch_size: 64, seed: 1, view, drop_last: true, prefetch: 2 };
    let loader = Loader::new(splits.train.subset(512, 1), config, splits.normalisation())?;
    let (calibration, validation) = (splits.train.subset(200, 2), splits.validation.subset(500, 1));
    let mut evaluator = Evaluator::new(calibration, validation, 100, &splits.normalisation(), &device);

    // Train the full network, then shrink. A schedule is plain data: change it, or write your own.
    let phase = |subnets_per_step| PhaseRecipe { epochs: 1, learning_rate: 0.05, warmup_epochs: 0.2, subnets_per_step };
    let recipe = ScheduleRecipe {
        reference_batch_size: 64,
        full: phase(1),
        kernel: phase(1),
        depth_first: phase(2),
        depth_last: phase(2),
        expand_first: phase(4),
        expand_last: phase(4),
        distillation_weight: 1.0,
    };
    let (schedule, recipe) = (Schedule::progressive_shrinking(&space, &recipe), Recipe::default());
    let watched = [space.smallest(), space.largest()];
    let run = TrainRun { seed: 1, watched: &watched, ..TrainRun::new(&schedule, &recipe, &loader, &device) };
    let trained = train(supernet, &run, &mut evaluator, &mut ())?;
    for record in &trained.watched {
        println!("{:<9} {:.3} {}", record.phase, record.top1, record.arch);
    }

    // Measure once: the accuracy of a few subnets, and a predictor for all others.
    let supernet = trained.supernet.valid();
    let archs: Vec<Arch> = (0..20).map(|_| space.sample(rng)).collect();
    let measured: Vec<(Arch, f64)> = archs
        .into_iter()
        .map(|arch| evaluator.top1(&supernet, &arch).map(|top1| (arch, top1)))
        .collect::<Result<_, _>>()?;
    let predictor = MlpPredictor::fit(&space, &measured, &MlpConfig::default(), &device)?;

    // Search as often as you like.
    for limit in [1.5e6, 2.5e6, 4e6] {
        let constraints = vec![Constraint::macs(&space, limit)];
        let problem = Problem { space: &space, objective: &predictor, constraints };
        let found = search(&problem, &mut Evolution::default(), Budget::new(2_000), rng, |_| ())?.best;
        let top1 = evaluator.top1(&supernet, &found.arch)?;
        println!("<= {limit:.1e} MACs: {} predicted {:.3} measured {top1:.3}", found.arch, found.score);
    }
    Ok(())
}
