//! Question: how long does a scenario take at the original's setting of 50,000 evolution queries under a limit?
//!
//! Command: `RAYON_NUM_THREADS=1 cargo run --release --workspace --example query_speed`
//!
//! Reports processor seconds, so that other work on the machine matters less. The space is MobileNetV3 at width 1. With
//! tables, score and cost are both sums of look-ups; with a predictor, the score comes from a network. What the
//! networks learned does not affect time: they see a few synthetic accuracies once.

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use burn::tensor::Device;
use cpu_time::ProcessTime;
use ofa_model::{Arch, SearchSpace};
use ofa_search::cost::{AdditiveCost, PlacedBlock};
use ofa_search::predictors::{MlpConfig, MlpPredictor};
use ofa_search::statistics::median;
use ofa_search::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Same allocator as the binaries.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUERIES: u64 = 50_000;
const ROUNDS: u64 = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let space = SearchSpace::mobilenet_v3(1.0, 1000);
    let macs = AdditiveCost::macs(&space);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let archs: Vec<Arch> = (0..50_000).map(|_| space.sample(rng)).collect();
    let start = ProcessTime::now();
    let sum: f64 = archs.iter().map(|arch| macs.of(arch)).sum();
    println!("50,000 look-ups of MACs: {:.1?} (mean {:.0})", start.elapsed(), sum / archs.len() as f64);

    let gain = |placed: &PlacedBlock| {
        let larger = (placed.choices.kernel_size as f64).ln() + placed.choices.expand_ratio.value().ln();
        0.002 * larger / (1 + placed.block) as f64
    };
    let table = AdditiveCost::by_block(&space, |resolution| 0.6 + 0.03 * (resolution as f64 / 128.0).ln(), gain);
    let samples: Vec<(Arch, f64)> = archs[..200].iter().map(|arch| (arch.clone(), table.of(arch))).collect();
    let fit = |config: MlpConfig| MlpPredictor::fit(&space, &samples, &config, &Device::flex());
    let small = fit(MlpConfig { epochs: 1, ..MlpConfig::default() })?;
    let paper = fit(MlpConfig { epochs: 1, hidden: vec![400; 3], ensemble: 1, ..MlpConfig::default() })?;
    let objectives: [(&str, &dyn Predictor); 3] =
        [("tables", &table), ("default MLP (4 of 64, 64)", &small), ("the paper's MLP (400, 400, 400)", &paper)];
    for (name, objective) in objectives {
        let start = ProcessTime::now();
        objective.predict(&archs)?;
        println!("{name}: 50,000 predictions in one call {:.3} s", start.elapsed().as_secs_f64());
        for limit in [2e8, 3e8] {
            let constraints = vec![Constraint::at_most("MACs", limit, "MACs", |arch| macs.of(arch))];
            scenario(name, &Problem { space: &space, objective, constraints })?;
        }
    }
    Ok(())
}

fn scenario(name: &str, problem: &Problem<'_>) -> Result<(), SearchError> {
    let mut seconds = Vec::new();
    let mut rejected = Rejected::default();
    for round in 0..ROUNDS {
        let (rng, start) = (&mut ChaCha8Rng::seed_from_u64(round), ProcessTime::now());
        let outcome = search(problem, &mut Evolution::default(), Budget::new(QUERIES), rng, |_| ())?;
        assert_eq!(outcome.queries, QUERIES, "{:?}", outcome.stop);
        seconds.push(start.elapsed().as_secs_f64());
        rejected = outcome.rejected;
    }
    let fastest = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "{name}, {:?}: {QUERIES} queries of evolution in {:.3} s (median of {ROUNDS}, fastest {fastest:.3} s), last {rejected:?}",
        problem.constraints[0],
        median(seconds),
    );
    Ok(())
}
