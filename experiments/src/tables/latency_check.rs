//! Compares table latencies with whole networks timed on this machine.

use crate::console::say;
use crate::machine::latency_device::LatencyDevice;
use crate::tables::fit as agreement;
use crate::tables::fit::{Fit, PredictedMeasured};
use crate::tables::latency::whole_networks;
use anyhow::Result;
use burn::tensor::Device;
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, SearchSpace, SupernetConfig};
use ofa_search::LatencyTable;
use ofa_search::timing::LatencyConfig;
use serde::Serialize;

/// Networks in memory at a time; their repetitions are interleaved.
const GROUP: usize = 20;

/// One timed network; latencies in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckedNetwork {
    /// The arch as text.
    pub arch: String,
    /// Latency by the table.
    pub predicted: f64,
    /// Raw median latency, uncorrected.
    pub measured: f64,
    /// Median latency corrected to the pace of the table; raw if the table records no pace.
    pub at_tables_pace: f64,
}

/// Table latencies against those of whole networks.
pub struct LatencyCheck {
    /// The timed networks.
    pub networks: Vec<CheckedNetwork>,
    /// Pace of the machine now, relative to that of the table (1); `None` if the table records none.
    pub pace: Option<f64>,
}

impl LatencyCheck {
    /// Agreement of the table with raw latencies.
    pub fn measured(&self) -> Fit {
        self.agreement(|network| network.measured)
    }

    /// Agreement of the table with latencies corrected to its pace.
    pub fn at_tables_pace(&self) -> Fit {
        self.agreement(|network| network.at_tables_pace)
    }

    fn agreement(&self, ms: impl Fn(&CheckedNetwork) -> f64) -> Fit {
        let pair = |network: &CheckedNetwork| PredictedMeasured {
            arch: network.arch.clone(),
            predicted: network.predicted,
            measured: ms(network),
        };
        agreement(self.networks.iter().map(pair).collect())
    }
}

/// Draws `networks` random networks of `space`, times them on `device` and compares them with `table`. Weights are
/// random, made on `compute`: latency does not depend on them.
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
    device: &LatencyDevice,
    compute: &Device,
) -> Result<LatencyCheck> {
    let supernet = SupernetConfig::new(space.clone())?.with_seed(seed).init(compute);
    let rng = &mut stream(seed, Purpose::Sample, &[]);
    let archs: Vec<Arch> = (0..networks).map(|_| space.sample(rng)).collect();
    let latency = table.cost(space)?;
    let mut pacemaker = device.pacemaker(&supernet, table.header())?;
    let mut checked = Vec::new();
    for group in archs.chunks(GROUP) {
        let timings = whole_networks(settings, &supernet, group, device, pacemaker.as_mut())?;
        checked.extend(group.iter().zip(timings).map(|(arch, timing)| CheckedNetwork {
            arch: arch.to_string(),
            predicted: latency.of(arch),
            measured: timing.measured.median_ms,
            at_tables_pace: timing.at_usual_pace.median_ms,
        }));
        say(&format!("{} of {networks} networks timed", checked.len()));
    }
    Ok(LatencyCheck { networks: checked, pace: pacemaker.map(|pacemaker| pacemaker.pace()) })
}
