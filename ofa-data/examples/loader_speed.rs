//! Images per second of the training loader on Fashion-MNIST, at each resolution.
//!
//! `cargo run --release -p ofa-data --example loader_speed`

#![allow(clippy::print_stdout, reason = "prints its results")]

use std::error::Error;
use std::time::Instant;

use burn::tensor::Device;
use ofa_data::{AugmentConfig, FashionMnist, Loader, LoaderConfig, View};

const EPOCHS: u64 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let splits = FashionMnist::embedded(0)?;
    println!("reading, verifying and splitting: {:.2} s", begin.elapsed().as_secs_f64());

    for (name, view) in [("train", View::Train(AugmentConfig::small_images())), ("evaluate", View::Evaluate)] {
        let config = LoaderConfig { batch_size: 128, seed: 0, view, drop_last: true, prefetch: 4 };
        let loader = Loader::new(splits.train.clone(), config, splits.normalisation())?;
        for threads in [1, 2] {
            let loader = loader.clone().with_threads(threads)?;
            for resolution in [28, 24, 20] {
                let speed = images_per_second(&loader, resolution)?;
                println!("{name}, {threads} threads, {resolution} px: {speed:.0} images/s");
            }
        }
    }
    Ok(())
}

/// The best of `EPOCHS` epochs: the speed with the least interference from other processes.
fn images_per_second(loader: &Loader, resolution: usize) -> Result<f64, Box<dyn Error>> {
    let mut best = 0.0f64;
    for epoch in 0..EPOCHS {
        let begin = Instant::now();
        let mut images = 0;
        for batch in loader.epoch(epoch, 0, move |_| resolution, &Device::flex()) {
            images += batch?.size();
        }
        best = best.max(images as f64 / begin.elapsed().as_secs_f64());
    }
    Ok(best)
}
