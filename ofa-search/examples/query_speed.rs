//! Question: how long do 10,000 queries take, of evolution and of random search, with an MLP objective and a latency
//! constraint from a measured table?
//!
//! Command: `cargo run --release -p ofa-search --example query_speed`
//!
//! The accuracies the MLP learns from are synthetic (they reward every choice); the latencies are measured.

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace};
use ofa_search::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::ops::ControlFlow;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex();
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);

    let dir = tempfile::tempdir()?;
    let config = LatencyConfig { min_samples: 10, max_samples: 40, ..LatencyConfig::default() };
    let start = Instant::now();
    let path = dir.path().join("latency.csv");
    let latency = LatencyTable::measure(&path, &space, &device, &config, |_, _, _, _| ControlFlow::Continue(()))?;
    println!("latency table of {} units: {:.2?}", latency.units().len(), start.elapsed());

    let samples: Vec<(Arch, f64)> = (0..200)
        .map(|_| {
            let arch = space.sample(rng);
            let accuracy = synthetic_accuracy(&space, &arch);
            (arch, accuracy)
        })
        .collect();
    let start = Instant::now();
    let (predictor, report) = MlpPredictor::fit_with_report(&space, &samples, &MlpConfig::default(), 0.2, &device)?;
    println!("predictor, fitted twice on {} archs: {:.2?}, {report:?}", samples.len(), start.elapsed());

    let archs: Vec<Arch> = (0..10_000).map(|_| space.sample(rng)).collect();
    let start = Instant::now();
    predictor.predict(&archs)?;
    println!("10,000 predictions in one call: {:.3?}", start.elapsed());
    let cost = latency.cost(&space)?;
    let start = Instant::now();
    let sum: f64 = archs.iter().map(|arch| cost.of(arch)).sum();
    println!("10,000 latency look-ups: {:.3?} (mean {:.3} ms)", start.elapsed(), sum / archs.len() as f64);

    let (low, high) = (cost.of(&space.smallest()), cost.of(&space.largest()));
    for share in [0.1, 0.25, 0.5] {
        let limit_ms = low + share * (high - low);
        for strategy in [&mut Evolution::default() as &mut dyn SearchStrategy, &mut RandomSearch] {
            let constraints = vec![Constraint::latency(&latency, &space, limit_ms)?];
            let problem = Problem { space: &space, objective: &predictor, constraints };
            report_search(&problem, strategy, rng)?;
        }
    }
    Ok(())
}

fn report_search(
    problem: &Problem<'_>,
    strategy: &mut dyn SearchStrategy,
    rng: &mut ChaCha8Rng,
) -> Result<(), SearchError> {
    let start = Instant::now();
    let outcome = search(problem, strategy, Budget::new(10_000), rng, |_| ())?;
    println!(
        "<= {:.3} ms, {:9}: {:5.2} s, predicted {:.4}, {} queries, {:?}, {:?}",
        problem.constraints[0].limit,
        strategy.name(),
        start.elapsed().as_secs_f64(),
        outcome.best.score,
        outcome.queries,
        outcome.rejected,
        outcome.stop
    );
    Ok(())
}

/// Rises with the logarithm of MACs and, at equal MACs, with depth.
fn synthetic_accuracy(space: &SearchSpace, arch: &Arch) -> f64 {
    let macs = space.cost(arch).macs as f64;
    0.6 + 0.04 * (macs / 1e5).ln() + 0.004 * arch.depths().iter().sum::<usize>() as f64
}
