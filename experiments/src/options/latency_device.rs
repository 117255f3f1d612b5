//! Command-line options that select what networks are timed on.

use crate::machine::latency_device::LatencyDevice;
use anyhow::Result;
use clap::Args;
use ofa_search::LatencyHeader;
use std::num::NonZeroUsize;

/// Networks that are timed where a table is estimated from whole networks, unless an option gives another number.
pub const WHOLE_NETWORKS: usize = 400;

/// What networks are timed on, where it is not what computes.
#[derive(Clone, Debug, Args)]
pub struct LatencyOptions {
    /// Device that latencies are measured on: onnxruntime (build with the feature of this name), or one that --device
    /// takes [default: that of --device]
    #[arg(long, value_name = "DEVICE")]
    pub latency_device: Option<String>,
    /// Threads of a forward pass in onnxruntime [default: as many as this program computes with]
    #[arg(long, value_name = "N", requires = "latency_device")]
    pub latency_threads: Option<NonZeroUsize>,
}

impl LatencyOptions {
    /// The selected device, else that called `device`.
    ///
    /// # Errors
    ///
    /// Those of [`LatencyDevice::by_name`].
    pub fn open(&self, device: &str) -> Result<LatencyDevice> {
        LatencyDevice::by_name(self.latency_device.as_deref().unwrap_or(device), self.latency_threads.map(Into::into))
    }

    /// The selected device, else onnxruntime with the threads of a `table` that was measured in it, else the device
    /// called `device`.
    ///
    /// # Errors
    ///
    /// Those of [`LatencyDevice::by_name`].
    pub fn open_for(&self, table: &LatencyHeader, device: &str) -> Result<LatencyDevice> {
        if self.latency_device.is_none() && table.device.starts_with(LatencyDevice::ONNXRUNTIME) {
            let threads = table.threads.split(' ').next().and_then(|threads| threads.parse().ok());
            return LatencyDevice::by_name(LatencyDevice::ONNXRUNTIME, threads);
        }
        self.open(device)
    }
}
