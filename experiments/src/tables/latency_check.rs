//! Latencies by table against whole networks, timed on this machine.

use crate::console::say;
use crate::tables::fit::{Fit, PredictedMeasured};
use crate::tables::{fit, pacemaker, whole_networks};
use anyhow::Result;
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace, SupernetConfig};
use ofa_search::{LatencyConfig, LatencyTable};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Networks in memory at a time, timed in turns.
const GROUP: usize = 20;

/// A network timed here, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckedNetwork {
    /// The network.
    pub arch: String,
    /// By the table.
    pub predicted: f64,
    /// As it was measured.
    pub measured: f64,
    /// At the pace of the table; as it was measured if the table has none.
    pub at_tables_pace: f64,
}

/// How far latencies by a table are from those of whole networks.
pub struct LatencyCheck {
    /// The networks.
    pub networks: Vec<CheckedNetwork>,
    /// The machine's pace, the table's being 1; `None` if the table has none.
    pub pace: Option<f64>,
}

impl LatencyCheck {
    /// Agreement with what was measured.
    pub fn measured(&self) -> Fit {
        self.agreement(|network| network.measured)
    }

    /// Agreement with what was measured, brought to the pace of the table.
    pub fn at_tables_pace(&self) -> Fit {
        self.agreement(|network| network.at_tables_pace)
    }

    fn agreement(&self, ms: impl Fn(&CheckedNetwork) -> f64) -> Fit {
        let pair = |network: &CheckedNetwork| PredictedMeasured {
            arch: network.arch.clone(),
            predicted: network.predicted,
            measured: ms(network),
        };
        fit(self.networks.iter().map(pair).collect())
    }
}

/// Draws `networks` random networks of `space`, times them on `device` and compares with `table`. Latency does not depend
/// on weights, so they are random.
///
/// # Errors
///
/// If the space or a setting is invalid, or the device fails.
pub fn check_latency(
    space: &SearchSpace,
    table: &LatencyTable,
    settings: &LatencyConfig,
    networks: usize,
    seed: u64,
    device: &Device,
) -> Result<LatencyCheck> {
    let supernet = SupernetConfig::new(space.clone())?.with_seed(seed).init(device);
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let archs: Vec<Arch> = (0..networks).map(|_| space.sample(rng)).collect();
    let latency = table.cost(space)?;
    let mut pacemaker = pacemaker(space, device, table.header());
    let mut checked = Vec::new();
    for group in archs.chunks(GROUP) {
        let timings = whole_networks(settings, &supernet, group, device, pacemaker.as_mut())?;
        checked.extend(group.iter().zip(timings).map(|(arch, timing)| CheckedNetwork {
            arch: arch.to_string(),
            predicted: latency.of(arch),
            measured: timing.measured.median_ms,
            at_tables_pace: timing.at_usual_pace.median_ms,
        }));
        say(&format!("{} of {networks} networks", checked.len()));
    }
    Ok(LatencyCheck { networks: checked, pace: pacemaker.map(|pacemaker| pacemaker.pace()) })
}
