//! Timing networks on a shared device.

mod pacemaker;

pub use pacemaker::{Pacemaker, smallest_units};

use crate::SearchError;
use crate::statistics::quantile;
use burn::tensor::{Device, Tensor};
use ofa_model::in_pool;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Settings for measuring latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatencyConfig {
    /// Images per forward pass.
    pub batch: usize,
    /// Untimed warm-up passes.
    pub warmup: usize,
    /// Minimum number of timed passes.
    pub min_samples: usize,
    /// Maximum number of timed passes, however much they vary.
    pub max_samples: usize,
    /// Sampling stops once half the 95 % confidence interval of the median is at most this share of the median.
    pub target_relative_interval: f64,
    /// Recorded in the table as threads and processor. `None`: the number of threads at the time of measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads_note: Option<String>,
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self {
            batch: 1,
            warmup: 3,
            min_samples: 20,
            max_samples: 200,
            target_relative_interval: 0.03,
            threads_note: None,
        }
    }
}

impl LatencyConfig {
    /// The table's entry for threads, if measured now.
    pub(crate) fn threads(&self) -> String {
        self.threads_note.clone().unwrap_or_else(|| format!("{} threads", rayon::current_num_threads()))
    }

    pub(crate) fn validate(&self) -> Result<(), SearchError> {
        let refuse = |setting, value: String, problem| Err(SearchError::InvalidSetting { setting, value, problem });
        if self.batch == 0 {
            return refuse("batch", "0".into(), "a pass needs at least one image");
        }
        if self.min_samples == 0 {
            return refuse("min_samples", "0".into(), "a median needs at least one sample");
        }
        if self.max_samples < self.min_samples {
            return refuse("max_samples", self.max_samples.to_string(), "it is below min_samples");
        }
        if self.target_relative_interval.is_nan() || self.target_relative_interval < 0.0 {
            return refuse(
                "target_relative_interval",
                self.target_relative_interval.to_string(),
                "it must not be negative",
            );
        }
        Ok(())
    }
}

/// Latency over repeated runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median, in milliseconds.
    pub median_ms: f64,
    /// Interquartile range, in milliseconds.
    pub iqr_ms: f64,
    /// Number of samples.
    pub samples: usize,
}

/// A latency, raw and scaled to the machine's usual pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Raw, as timed.
    pub measured: Latency,
    /// Scaled to the usual pace by a [`Pacemaker`]; equal to `measured` without one.
    pub at_usual_pace: Latency,
}

/// One forward pass that times itself, on whatever runs it.
pub type TimedRun<'a> = Box<dyn FnMut() -> Result<Duration, SearchError> + 'a>;

/// Times the forward pass `run` on `device`: from when the device has done all earlier work until it has done this.
///
/// It is timed inside rayon's pool: called from outside, a unit would enter the pool in every parallel operation and a
/// whole network only once, so that large units seem up to three times as slow as they are within a network.
pub fn on_device<'a>(device: &Device, mut run: impl FnMut() -> Tensor<2> + Send + 'a) -> TimedRun<'a> {
    let device = device.clone();
    let mut timed = move || {
        synchronise(&device)?;
        let start = Instant::now();
        let output = run();
        synchronise(&device)?;
        let elapsed = start.elapsed();
        drop(output);
        Ok(elapsed)
    };
    Box::new(move || in_pool(&mut timed))
}

/// Times several networks interleaved, so a temporary slowdown of the machine affects all of them equally.
///
/// Each turn takes a few consecutive samples of every network that still needs some. A pacemaker is timed at the start
/// of every turn and makes networks of different calls comparable too. Returns one [`Timing`] per run, in order.
///
/// # Errors
///
/// If the configuration is invalid or a run fails.
pub fn time_interleaved(
    config: &LatencyConfig,
    runs: &mut [TimedRun<'_>],
    mut pacemaker: Option<&mut Pacemaker<'_>>,
) -> Result<Vec<Timing>, SearchError> {
    /// Consecutive samples per turn. The first sees caches filled by the previous network, a minority that the median
    /// ignores.
    const TURN: usize = 4;
    config.validate()?;
    for run in runs.iter_mut() {
        for _ in 0..config.warmup {
            run()?;
        }
    }
    let mut all = vec![Samples::default(); runs.len()];
    while all.iter().any(|samples| !samples.at_usual_pace.is_enough(config)) {
        let factor = pacemaker.as_mut().map_or(Ok(1.0), |pacemaker| pacemaker.factor())?;
        let lacking = |samples: &Samples| !samples.at_usual_pace.is_enough(config);
        for (run, samples) in runs.iter_mut().zip(&mut all).filter(|(_, samples)| lacking(samples)) {
            for _ in 0..TURN.min(config.max_samples - samples.measured.sorted_ms.len()) {
                let sample = run()?;
                samples.measured.push(sample);
                samples.at_usual_pace.push(sample.mul_f64(factor));
            }
        }
    }
    let timing = |samples: &Samples| Timing {
        measured: samples.measured.latency(),
        at_usual_pace: samples.at_usual_pace.latency(),
    };
    Ok(all.iter().map(timing).collect())
}

/// All samples of one network.
#[derive(Clone, Default)]
struct Samples {
    measured: Series,
    at_usual_pace: Series,
}

fn synchronise(device: &Device) -> Result<(), SearchError> {
    device.sync().map_err(|error| SearchError::Device { device: device_name(device), problem: error.to_string() })
}

/// The device name for tables and messages.
pub fn device_name(device: &Device) -> String {
    let name = format!("{device:?}");
    name.strip_prefix("Device<").and_then(|name| name.strip_suffix('>')).unwrap_or(&name).to_owned()
}

/// Samples in ascending order.
#[derive(Clone, Default)]
struct Series {
    sorted_ms: Vec<f64>,
}

impl Series {
    fn push(&mut self, sample: Duration) {
        let ms = sample.as_secs_f64() * 1e3;
        self.sorted_ms.insert(self.sorted_ms.partition_point(|&other| other < ms), ms);
    }

    fn is_enough(&self, config: &LatencyConfig) -> bool {
        let n = self.sorted_ms.len();
        n >= config.max_samples
            || n >= config.min_samples
                && self.median_half_interval() <= config.target_relative_interval * self.quantile(0.5)
    }

    fn latency(&self) -> Latency {
        Latency {
            median_ms: self.quantile(0.5),
            iqr_ms: self.quantile(0.75) - self.quantile(0.25),
            samples: self.sorted_ms.len(),
        }
    }

    /// Half the width of the 95 % confidence interval of the median, from the ranks n/2 +- 0.98 sqrt(n) given by the
    /// binomial count of samples below the true median. Distribution-free.
    fn median_half_interval(&self) -> f64 {
        let n = self.sorted_ms.len() as f64;
        let reach = 0.98 / n.sqrt();
        (self.quantile((0.5 + reach).min(1.0)) - self.quantile((0.5 - reach).max(0.0))) / 2.0
    }

    fn quantile(&self, q: f64) -> f64 {
        quantile(&self.sorted_ms, q)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn series(ms: impl IntoIterator<Item = u64>) -> Series {
        let mut series = Series::default();
        ms.into_iter().for_each(|ms| series.push(Duration::from_millis(ms)));
        series
    }

    #[test]
    fn median_and_range_of_known_samples() {
        let latency = series([50, 10, 30, 20, 40]).latency();
        assert_eq!(latency, Latency { median_ms: 30.0, iqr_ms: 20.0, samples: 5 });
        assert_eq!(series([10, 20]).latency().median_ms, 15.0);
    }

    #[test]
    fn sampling_stops_when_the_median_is_known_or_at_the_limit() {
        let config = LatencyConfig { min_samples: 10, max_samples: 50, ..LatencyConfig::default() };
        assert!(!series([10; 9]).is_enough(&config), "below the minimum");
        assert!(series([10; 10]).is_enough(&config), "equal samples have no interval");
        assert!(!series((1..=49).map(|i| i * 10)).is_enough(&config), "the median may be anywhere");
        assert!(series((1..=50).map(|i| i * 10)).is_enough(&config), "at the limit");
    }

    #[test]
    fn every_run_gets_its_samples_and_slower_ones_are_slower() {
        let device = Device::flex();
        let config = LatencyConfig { min_samples: 6, max_samples: 6, warmup: 1, ..LatencyConfig::default() };
        let calls = [AtomicU32::new(0), AtomicU32::new(0)];
        let pass = |calls: &AtomicU32, ms| {
            assert!(rayon::current_thread_index().is_some(), "timed outside the pool");
            calls.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(ms));
            Tensor::<2>::ones([1, 1], &device)
        };
        let mut runs = [on_device(&device, || pass(&calls[0], 1)), on_device(&device, || pass(&calls[1], 20))];
        let timings = time_interleaved(&config, &mut runs, None).unwrap();
        let latencies = [timings[0].measured, timings[1].at_usual_pace];
        assert_eq!(calls.each_ref().map(|calls| calls.load(Ordering::Relaxed)), [7, 7]);
        assert!(latencies[0].median_ms >= 1.0 && latencies[1].median_ms >= 20.0, "{latencies:?}");
        assert_eq!(latencies[0].samples, 6);
    }

    #[test]
    fn impossible_settings_are_named() {
        let refused = |config: LatencyConfig| config.validate().unwrap_err().to_string();
        let config = LatencyConfig::default;
        assert!(refused(LatencyConfig { batch: 0, ..config() }).starts_with("batch is 0"));
        assert!(refused(LatencyConfig { max_samples: 3, ..config() }).starts_with("max_samples is 3"));
        assert!(refused(LatencyConfig { target_relative_interval: f64::NAN, ..config() }).contains("is NaN"));
    }
}
