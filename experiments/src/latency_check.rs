//! Latencies by table against whole networks, timed on this machine.

use crate::dashboard::say;
use crate::report::Fit;
use crate::tables::{agreement, whole_networks};
use anyhow::Result;
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace, SupernetConfig};
use ofa_search::{AdditiveCost, HeldOut, LatencyConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Networks in memory at a time, timed in turns.
const GROUP: usize = 20;

/// Draws `networks` random networks of `space`, times them on `device` and compares with `latency`. Latency does not depend
/// on weights, so they are random.
///
/// # Errors
///
/// If the space or a setting is invalid, or the device fails.
pub fn check_latency(
    space: &SearchSpace,
    latency: &AdditiveCost,
    settings: &LatencyConfig,
    networks: usize,
    seed: u64,
    device: &Device,
) -> Result<Fit> {
    let supernet = SupernetConfig::new(space.clone())?.with_seed(seed).init(device);
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let archs: Vec<Arch> = (0..networks).map(|_| space.sample(rng)).collect();
    let mut judged = Vec::new();
    for group in archs.chunks(GROUP) {
        let measured = whole_networks(settings, &supernet, group, device)?;
        let pairs = group.iter().zip(measured);
        judged.extend(pairs.map(|(arch, measured)| HeldOut {
            arch: arch.clone(),
            predicted: latency.of(arch),
            measured,
        }));
        say(&format!("{} of {networks} networks", judged.len()));
    }
    Ok(agreement(judged))
}
