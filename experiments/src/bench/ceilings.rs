//! [`Ceilings`]: peak compute and memory rates of a machine, as a reference for other measurements.

use crate::bench::timings::printed;
use anyhow::Result;
use burn::tensor::{Device, Distribution, Tensor};
use ofa_model::kernels::matmul;
use ofa_search::statistics::median;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::process::Command;
use std::time::Instant;

/// Rows and columns of the matrices.
const SIDE: usize = 1024;
/// Elements of each of three buffers: 256 MiB of f32, much larger than caches.
const NUMBERS: usize = 64 << 20;
/// Elements per chunk of parallel work.
const CHUNK: usize = 1 << 16;
/// Timed repetitions of each measurement, after 2 warm-up repetitions.
const SAMPLES: usize = 20;

/// Peak rates with all threads: medians of 20 repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Matrix product in f32, in 10^9 operations per second.
    pub gflops: f64,
    /// Memory bandwidth, in 10^9 bytes per second.
    pub gigabytes: f64,
}

impl Ceilings {
    /// Measures matrix products on `device`, and memory bandwidth with rayon's threads.
    ///
    /// # Errors
    ///
    /// If the device fails.
    pub fn measure(device: &Device) -> Result<Self> {
        Ok(Self { gflops: product_gflops(device)?, gigabytes: triad_gigabytes()? })
    }

    /// Runs a command that prints ceilings as JSON.
    ///
    /// # Errors
    ///
    /// If it cannot be run, fails, or prints anything else.
    pub fn of(command: &mut Command) -> Result<Self> {
        printed(command, "ceilings")
    }
}

impl fmt::Display for Ceilings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gflops, gigabytes } = self;
        write!(
            f,
            "f32 product of {SIDE} x {SIDE} matrices {gflops:.0} GFLOP/s, a = b + 3c in memory {gigabytes:.0} GB/s"
        )
    }
}

/// The faster of burn's matrix product and ours: on flex, burn's uses AVX2 only, and ours is tuned for narrower
/// matrices.
fn product_gflops(device: &Device) -> Result<f64> {
    let random = || Tensor::<2>::random([SIDE; 2], Distribution::Normal(0.0, 1.0), device);
    let (left, right) = (random(), random());
    let time = |product: &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
        seconds(|| {
            let product = product(left.clone(), right.clone());
            device.sync()?;
            drop(product);
            Ok(())
        })
    };
    let seconds = time(&Tensor::matmul)?.min(time(&matmul)?);
    Ok((2 * SIDE.pow(3)) as f64 / seconds / 1e9)
}

/// STREAM triad: counts two reads and one write per element, but not the read of the destination line on a write miss.
fn triad_gigabytes() -> Result<f64> {
    let [mut a, b, c] = [0.0_f32, 1.0, 2.0].map(|value| vec![value; NUMBERS]);
    let seconds = seconds(|| {
        let chunks = a.par_chunks_mut(CHUNK).zip(b.par_chunks(CHUNK)).zip(c.par_chunks(CHUNK));
        chunks.for_each(|((a, b), c)| {
            for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                *a = b + 3.0 * c;
            }
        });
        Ok(())
    })?;
    Ok((3 * NUMBERS * size_of::<f32>()) as f64 / seconds / 1e9)
}

/// Median seconds of a repetition.
fn seconds(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(SAMPLES);
    for round in 0..2 + SAMPLES {
        let start = Instant::now();
        work()?;
        if round >= 2 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(median(times))
}
