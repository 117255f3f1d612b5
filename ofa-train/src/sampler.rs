//! Samplers: which subnets a step trains.

mod coupled;
mod fixed;
mod networks;
mod pareto;
mod sandwich;
mod uniform;

pub use coupled::CoupledSampler;
pub use fixed::FixedSampler;
pub use networks::NetworkSampler;
pub use pareto::{ParetoSampler, Pick};
pub use sandwich::SandwichSampler;
pub use uniform::UniformSampler;

use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, SearchSpace};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Identifies a step, counted over all epochs of its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepKey {
    /// Index of the phase.
    pub phase: usize,
    /// Step within the phase, from 0.
    pub step: u64,
}

impl StepKey {
    /// The random stream of this step for `purpose`: the same in every run with this seed, including resumed ones.
    pub fn stream(self, seed: u64, purpose: Purpose) -> ChaCha8Rng {
        stream(seed, purpose, &[self.phase as u64, self.step])
    }
}

/// Picks the subnets of a step.
pub trait ArchSampler {
    /// Draws `count` archs of `space` for step `key`; a pure function of its arguments and the sampler's own seed.
    ///
    /// Their resolution is ignored: a batch has one resolution, which the learner sets.
    fn sample(&self, space: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch>;
}

/// Samplers that a schedule can select.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Every choice uniform and independent ([`UniformSampler`]).
    #[default]
    Uniform,
    /// Every network equally likely ([`NetworkSampler`]).
    Networks,
    /// The largest, the smallest and random subnets ([`SandwichSampler`]).
    Sandwich,
    /// Depth and expand ratio coupled ([`CoupledSampler`]).
    Coupled,
    /// These archs in turn ([`FixedSampler`]).
    Fixed(Vec<Arch>),
}

impl Sampler {
    /// Builds the sampler; random ones are seeded with `seed`.
    pub fn init(&self, seed: u64) -> Box<dyn ArchSampler> {
        match self {
            Self::Uniform => Box::new(UniformSampler { seed }),
            Self::Networks => Box::new(NetworkSampler { seed }),
            Self::Sandwich => Box::new(SandwichSampler { seed }),
            Self::Coupled => Box::new(CoupledSampler { seed }),
            Self::Fixed(archs) => Box::new(FixedSampler { archs: archs.clone() }),
        }
    }

    /// Why this sampler cannot be used with `space`; `None` if it can.
    pub(crate) fn problem(&self, space: &SearchSpace) -> Option<String> {
        let Self::Fixed(archs) = self else { return None };
        if archs.is_empty() {
            return Some("the fixed sampler has no archs".into());
        }
        archs.iter().find_map(|arch| {
            let error = space.check(&arch.at_resolution(space.resolutions[0])).err()?;
            Some(format!("an arch of the fixed sampler is outside the choices that the phase opens: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Every sampler obeys the contract of the trait.
    #[test]
    fn samples_are_inside_and_depend_on_seed_and_key_alone() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        for sampler in [Sampler::Uniform, Sampler::Networks, Sampler::Sandwich, Sampler::Coupled] {
            let draw = |seed, phase, step| sampler.init(seed).sample(&space, StepKey { phase, step }, 4);
            assert_eq!(draw(3, 2, 17), draw(3, 2, 17), "{sampler:?}");
            let different: HashSet<_> = [draw(3, 2, 17), draw(3, 2, 18), draw(3, 3, 17), draw(4, 2, 17)].into();
            assert_eq!(different.len(), 4, "{sampler:?}");
            assert_eq!(draw(3, 0, 0).len(), 4);
            assert!(draw(3, 0, 0).iter().all(|arch| space.contains(arch)), "{sampler:?}");
        }
    }

    #[test]
    fn as_text() {
        let arch = SearchSpace::small_mobilenet_v3(1, 10).smallest();
        for sampler in [Sampler::Uniform, Sampler::Fixed(vec![arch])] {
            let text = serde_json::to_string(&sampler).unwrap();
            assert_eq!(serde_json::from_str::<Sampler>(&text).unwrap(), sampler, "{text}");
        }
        assert_eq!(serde_json::to_string(&Sampler::Coupled).unwrap(), r#""coupled""#);
    }
}
