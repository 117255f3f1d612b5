//! [`Pacemaker`]: scales latencies to one pace while the speed of the machine changes.

use crate::SearchError;
use crate::statistics::median;
use crate::timing::{LatencyConfig, TimedRun, time_interleaved, time_once};
use burn::tensor::Device;
use ofa_model::SearchSpace;

/// A reference network timed repeatedly alongside others.
///
/// A virtual machine may speed up or slow down by half within seconds, as its neighbours come and go. Measurements
/// before and after such a change are comparable only if each is scaled by the time of a fixed network, taken close to
/// it. That network consists of the units of the space's smallest arch.
pub struct Pacemaker<'a> {
    device: Device,
    run: TimedRun<'a>,
    usual_ms: f64,
    /// Usual time over measured time, one entry per measurement.
    factors: Vec<f64>,
}

impl Pacemaker<'_> {
    /// Passes per measurement.
    const PASSES: usize = 3;

    /// Creates the pacemaker of `space`; its time now becomes the usual one.
    ///
    /// # Errors
    ///
    /// If a setting is impossible or the device reports a failure.
    pub fn new(space: &SearchSpace, device: &Device, config: &LatencyConfig) -> Result<Self, SearchError> {
        let mut now = Self::at(space, device, config.batch, f64::NAN);
        let timings = time_interleaved(device, config, std::slice::from_mut(&mut now.run), None)?;
        Ok(Self { usual_ms: timings[0].measured.median_ms, ..now })
    }

    /// Creates the pacemaker of `space` for `batch` images per pass, with a usual time in milliseconds from an earlier
    /// run.
    pub fn at(space: &SearchSpace, device: &Device, batch: usize, usual_ms: f64) -> Self {
        Self { device: device.clone(), run: smallest(space, device, batch), usual_ms, factors: Vec::new() }
    }

    /// Time of the network in milliseconds at the usual pace.
    pub fn usual_ms(&self) -> f64 {
        self.usual_ms
    }

    /// Median of usual time over measured time so far: above 1 if the machine was faster than usual. 1 before the first
    /// measurement.
    pub fn pace(&self) -> f64 {
        if self.factors.is_empty() { 1.0 } else { median(self.factors.iter().copied()) }
    }

    /// The factor that scales a time taken now to the usual pace.
    pub(crate) fn factor(&mut self) -> Result<f64, SearchError> {
        let mut passes = Vec::with_capacity(Self::PASSES);
        for _ in 0..Self::PASSES {
            passes.push(time_once(&self.device, &mut self.run)?.as_secs_f64() * 1e3);
        }
        let factor = self.usual_ms / median(passes);
        self.factors.push(factor);
        Ok(factor)
    }
}

/// Runs the units of the smallest arch of a space, one after another.
fn smallest<'a>(space: &SearchSpace, device: &Device, batch: usize) -> TimedRun<'a> {
    let network = |unit: &ofa_model::Unit| (unit.network(device), unit.input(batch, device));
    let networks: Vec<_> = space.units(&space.smallest()).iter().map(network).collect();
    Box::new(move || {
        let mut output = None;
        for (network, input) in &networks {
            output = Some(network.infer(input.clone()));
        }
        output.expect("a network has a stem and a head")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tiny_space;
    use std::cell::Cell;
    use std::time::Duration;

    fn sleeping<'a>(device: &'a Device, ms: &'a Cell<u64>) -> TimedRun<'a> {
        Box::new(move || {
            std::thread::sleep(Duration::from_millis(ms.get()));
            burn::tensor::Tensor::ones([1, 1], device)
        })
    }

    #[test]
    fn what_is_measured_on_a_slower_machine_comes_to_the_usual_pace() {
        let (device, ms) = (Device::flex(), Cell::new(40));
        let config = LatencyConfig { warmup: 0, min_samples: 4, max_samples: 4, ..LatencyConfig::default() };
        let run = sleeping(&device, &ms);
        let mut pacemaker = Pacemaker { device: device.clone(), run, usual_ms: 10.0, factors: vec![] };
        let timings = time_interleaved(&device, &config, &mut [sleeping(&device, &ms)], Some(&mut pacemaker)).unwrap();
        let (measured, usual) = (timings[0].measured.median_ms, timings[0].at_usual_pace.median_ms);
        assert!(measured >= 40.0 && (measured * pacemaker.pace() / usual - 1.0).abs() < 1e-6, "{measured} {usual}");
        assert!(pacemaker.pace() <= 0.25, "four times slower than usual: {}", pacemaker.pace());
    }

    #[test]
    fn a_pacemaker_is_timed_when_it_is_made() {
        let config = LatencyConfig { warmup: 1, min_samples: 3, max_samples: 3, ..LatencyConfig::default() };
        let mut pacemaker = Pacemaker::new(&tiny_space(), &Device::flex(), &config).unwrap();
        assert!(pacemaker.usual_ms() > 0.0);
        assert_eq!(pacemaker.pace(), 1.0);
        assert!(pacemaker.factor().unwrap() > 0.0);
        assert_eq!(Pacemaker::at(&tiny_space(), &Device::flex(), 1, 7.0).usual_ms(), 7.0);
    }
}
