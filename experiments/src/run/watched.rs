//! The subnets that are watched during training.

use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, SearchSpace};
use ofa_train::WatchedRecord;
use serde::{Deserialize, Serialize};

/// Random archs watched during training, besides the largest and the smallest.
pub(crate) const RANDOM_WATCHED: usize = 3;

/// Accuracy of a watched subnet after a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Name of the phase.
    #[serde(rename = "stage")]
    pub phase: String,
    /// `smallest`, `largest`, `random 1`, ...
    pub label: String,
    /// The arch as text.
    pub arch: String,
    /// Top-1 on validation, 0 to 1.
    pub top1: f64,
}

/// The archs watched during training: the smallest, the largest, and random ones determined by `seed`.
pub fn watched_archs(space: &SearchSpace, seed: u64) -> Vec<Arch> {
    let rng = &mut stream(seed, Purpose::Watched, &[]);
    let random = std::iter::repeat_with(|| space.sample(rng)).take(RANDOM_WATCHED);
    [space.smallest(), space.largest()].into_iter().chain(random).collect()
}

/// The last accuracy of each watched arch in each phase; `archs` gives the names.
pub fn watched(records: &[WatchedRecord], archs: &[Arch]) -> Vec<Watched> {
    let is_last = |record: &&WatchedRecord| {
        let same = records.iter().filter(|other| (&other.phase, &other.arch) == (&record.phase, &record.arch));
        same.map(|other| other.epoch).max() == Some(record.epoch)
    };
    let watched = records.iter().filter(is_last).map(|record| {
        let arch = record.arch.to_string();
        Watched { phase: record.phase.clone(), label: watched_name(&arch, archs), arch, top1: record.top1 }
    });
    watched.collect()
}

/// The name of a watched arch by its position in `archs`; the arch's text if it is not listed.
pub(crate) fn watched_name(arch: &str, archs: &[Arch]) -> String {
    match archs.iter().position(|watched| watched.to_string() == arch) {
        Some(0) => "smallest".to_owned(),
        Some(1) => "largest".to_owned(),
        Some(i) => format!("random {}", i - 1),
        None => arch.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_random_archs_are_those_of_every_earlier_version() {
        let archs = watched_archs(&SearchSpace::small_mobilenet_v3(1, 10), 7);
        let found: Vec<String> = archs[2..].iter().map(Arch::to_string).collect();
        let expected = [
            "r20-k3e6.k5e6-k7e6.k5e3-k3e6.k7e6",
            "r24-k5e6.k7e6.k5e4-k3e3.k5e4.k7e3-k7e6.k7e4.k3e3.k5e6",
            "r24-k7e4.k7e3-k7e3.k7e3-k7e3.k7e4",
        ];
        assert_eq!(found, expected);
    }
}
