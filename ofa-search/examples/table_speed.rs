//! Question: how long does a table of 16,000 rows take to load, and how many archs per second do predictors score?
//!
//! Command: `RAYON_NUM_THREADS=1 cargo run --release -p ofa-search --example table_speed`
//!
//! Reports processor time of one thread, so that other work on the machine matters less. Accuracies are synthetic. The
//! predictors are barely trained, which does not change their speed.

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use burn::tensor::Device;
use cpu_time::ProcessTime;
use ofa_model::{Arch, SearchSpace};
use ofa_search::predictors::{ArchEncoder, KernelRidge, MlpConfig, MlpPredictor};
use ofa_search::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::hint::black_box;

const ROWS: usize = 16_000;
const REPEATS: usize = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex();
    for space in [SearchSpace::small_mobilenet_v3(1, 10), SearchSpace::mobilenet_v3(1.0, 1000)] {
        println!("{}", space.name);
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        // Uniform sampling repeats some archs of the small space, so draw more than needed.
        let archs: BTreeSet<Arch> = std::iter::repeat_with(|| space.sample(rng)).take(2 * ROWS).collect();
        let archs: Vec<Arch> = archs.into_iter().take(ROWS).collect();
        load(&space, &archs)?;
        let samples: Vec<(Arch, f64)> =
            archs[..64].iter().map(|arch| (arch.clone(), space.cost(arch).macs as f64)).collect();
        let encoder = ArchEncoder::new(&space);
        let seconds = best_of(|| encoder.encode(&archs).map(|features| features.len()))?;
        println!("  encoder ({} features): {:.0} archs/s", encoder.dimension(), ROWS as f64 / seconds);
        let default = MlpConfig { epochs: 1, ..MlpConfig::default() };
        let paper = MlpConfig { hidden: vec![400; 3], ensemble: 1, ..default.clone() };
        let fit = |config: &MlpConfig| MlpPredictor::fit(&space, &samples, config, &device);
        rate("4 networks of 64, 64 (default)", &fit(&default)?, &archs)?;
        rate("1 network of 64, 64", &fit(&MlpConfig { ensemble: 1, ..default })?, &archs)?;
        rate("1 network of 400, 400, 400 (the paper's)", &fit(&paper)?, &archs)?;
        rate("kernel ridge of 64 rows", &KernelRidge::fit(&space, &samples)?, &archs)?;
    }
    Ok(())
}

fn load(space: &SearchSpace, archs: &[Arch]) -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("accuracy.csv");
    let header = AccuracyHeader {
        space: space.name.clone(),
        seed: 1,
        validation_images: 10_000,
        calibration_images: 2_000,
        source: "synthetic".into(),
        int8: None,
    };
    // Measuring syncs every row; write the rest of this table at once.
    let table = AccuracyTable::measure(&path, &header, space, &archs[..2], |_| Ok::<_, Infallible>(0.5), |_, _, _| ())?;
    let mut text = std::fs::read_to_string(&path)?;
    for (i, arch) in archs.iter().enumerate().filter(|(_, arch)| table.get(arch).is_none()) {
        let cost = space.cost(arch);
        text += &format!("{arch},{},{},{}\n", 0.5 + i as f64 / 1e6, cost.macs, cost.parameters);
    }
    std::fs::write(&path, text)?;
    let rows = AccuracyTable::load(&path, space)?.rows().len();
    let seconds = best_of(|| AccuracyTable::load(&path, space))?;
    println!("  load of {rows} rows: {:.1} ms", 1e3 * seconds);
    Ok(())
}

fn rate(name: &str, predictor: &dyn Predictor, archs: &[Arch]) -> Result<(), SearchError> {
    let seconds = best_of(|| predictor.predict(archs))?;
    println!("  {name}: {:.0} predictions/s", archs.len() as f64 / seconds);
    Ok(())
}

/// Processor seconds of the fastest of several runs, an estimate of the time on an idle machine.
fn best_of<T>(mut run: impl FnMut() -> Result<T, SearchError>) -> Result<f64, SearchError> {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = ProcessTime::now();
        black_box(run()?);
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}
