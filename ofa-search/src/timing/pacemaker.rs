//! [`Pacemaker`]: scales latencies to one pace while the speed of the machine changes.

use crate::SearchError;
use crate::statistics::median;
use crate::timing::{LatencyConfig, TimedRun, on_device, time_interleaved};
use burn::tensor::Device;
use ofa_model::SearchSpace;

/// A reference network timed repeatedly alongside others.
///
/// A virtual machine may speed up or slow down by half within seconds, as its neighbours come and go. Measurements
/// before and after such a change are comparable only if each is scaled by the time of a fixed network, taken close to
/// it: one of the smallest arch of the space, on the same device.
pub struct Pacemaker<'a> {
    run: TimedRun<'a>,
    usual_ms: f64,
    /// Usual time over measured time, one entry per measurement.
    factors: Vec<f64>,
}

impl<'a> Pacemaker<'a> {
    /// Passes per measurement.
    const PASSES: usize = 3;

    /// A pacemaker that runs `run`, whose time now becomes the usual one.
    ///
    /// # Errors
    ///
    /// If a setting is impossible or the run fails.
    pub fn new(mut run: TimedRun<'a>, config: &LatencyConfig) -> Result<Self, SearchError> {
        let timings = time_interleaved(config, std::slice::from_mut(&mut run), None)?;
        Ok(Self::at(run, timings[0].measured.median_ms))
    }

    /// A pacemaker that runs `run`, with a usual time in milliseconds from an earlier one.
    pub fn at(run: TimedRun<'a>, usual_ms: f64) -> Self {
        Self { run, usual_ms, factors: Vec::new() }
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
            passes.push((self.run)()?.as_secs_f64() * 1e3);
        }
        let factor = self.usual_ms / median(passes);
        self.factors.push(factor);
        Ok(factor)
    }
}

/// The run of a [`Pacemaker`] on a device of burn: the units of the smallest arch of a space, one after another.
pub fn smallest_units(space: &SearchSpace, device: &Device, batch: usize) -> TimedRun<'static> {
    let network = |unit: &ofa_model::Unit| (unit.network(device), unit.input(batch, device));
    let networks: Vec<_> = space.units(&space.smallest()).iter().map(network).collect();
    on_device(device, move || {
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

    fn taking(ms: &Cell<u64>) -> TimedRun<'_> {
        Box::new(|| Ok(Duration::from_millis(ms.get())))
    }

    #[test]
    fn what_is_measured_on_a_slower_machine_comes_to_the_usual_pace() {
        let ms = Cell::new(40);
        let config = LatencyConfig { warmup: 0, min_samples: 4, max_samples: 4, ..LatencyConfig::default() };
        let mut pacemaker = Pacemaker::at(taking(&ms), 10.0);
        let timings = time_interleaved(&config, &mut [taking(&ms)], Some(&mut pacemaker)).unwrap();
        assert_eq!((timings[0].measured.median_ms, timings[0].at_usual_pace.median_ms), (40.0, 10.0));
        assert_eq!(pacemaker.pace(), 0.25, "four times slower than usual");
    }

    #[test]
    fn a_pacemaker_is_timed_when_it_is_made() {
        let config = LatencyConfig { warmup: 1, min_samples: 3, max_samples: 3, ..LatencyConfig::default() };
        let run = || smallest_units(&tiny_space(), &Device::flex(), 1);
        let mut pacemaker = Pacemaker::new(run(), &config).unwrap();
        assert!(pacemaker.usual_ms() > 0.0);
        assert_eq!(pacemaker.pace(), 1.0);
        assert!(pacemaker.factor().unwrap() > 0.0);
        assert_eq!(Pacemaker::at(run(), 7.0).usual_ms(), 7.0);
    }

    #[test]
    fn a_run_that_fails_ends_the_measurement() {
        let failing: TimedRun =
            Box::new(|| Err(SearchError::Device { device: "board".into(), problem: "gone".into() }));
        let message = time_interleaved(&LatencyConfig::default(), &mut [failing], None).unwrap_err().to_string();
        assert!(message.contains("board") && message.contains("gone"), "{message}");
    }
}
