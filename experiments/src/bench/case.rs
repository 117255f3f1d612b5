//! [`Case`]: a workload that `ofa bench pytorch` runs on both sides.

use crate::bench::workload::{Work, Workload};
use crate::options::arch::with_resolution;
use crate::options::space::SpaceOptions;
use anyhow::Result;
use ofa_train::Precision;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::fmt;

/// One benchmark case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Name of the space, as given to `--space` on both sides.
    pub space: &'static str,
    /// Kind of work.
    pub work: Work,
    /// Number of random subnets; 0 means the largest network.
    pub subnets: usize,
    /// Height and width of the images in pixels.
    pub resolution: usize,
    /// Images per batch.
    pub batch: usize,
}

/// All cases of the comparison.
pub const CASES: [Case; 7] = [
    Case { space: "mobilenet_v3", work: Work::TrainStep, subnets: 0, resolution: 128, batch: 16 },
    Case { space: "small_mobilenet_v3", work: Work::TrainStep, subnets: 0, resolution: 28, batch: 64 },
    Case { space: "mobilenet_v3", work: Work::ShrinkStep, subnets: 2, resolution: 128, batch: 16 },
    Case { space: "mobilenet_v3", work: Work::ShrinkStep, subnets: 2, resolution: 32, batch: 64 },
    Case { space: "mobilenet_v3", work: Work::Inference, subnets: 0, resolution: 224, batch: 1 },
    Case { space: "mobilenet_v3", work: Work::Inference, subnets: 0, resolution: 224, batch: 16 },
    Case { space: "mobilenet_v3", work: Work::CalibrateEvaluate, subnets: 1, resolution: 128, batch: 16 },
];

impl Case {
    /// The workload, with random subnets drawn with `seed`.
    ///
    /// # Errors
    ///
    /// If the space is unknown.
    pub fn workload(&self, seed: u64) -> Result<Workload> {
        let space = SpaceOptions::named(self.space).space(None)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut archs: Vec<_> = (0..self.subnets).map(|_| space.sample(&mut rng)).collect();
        if archs.is_empty() {
            archs.push(space.largest());
        }
        let archs = archs.into_iter().map(|arch| arch.at_resolution(self.resolution)).collect();
        let space = with_resolution(&space, Some(self.resolution));
        Ok(Workload { work: self.work, space, archs, batch: self.batch, precision: Precision::F32 })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} of {}", self.work, self.space))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_networks() {
        for case in CASES {
            let workload = case.workload(1).unwrap();
            assert_eq!(workload.archs.len(), case.subnets.max(1), "{case}");
            assert!(workload.archs.iter().all(|arch| workload.space.check(arch).is_ok()), "{case}");
        }
    }
}
