//! A latency table as costs per choice, which differentiable searches take.

use anyhow::{Context, Result};
use ofa_model::{ChoiceCosts, ChoiceGroups, SearchSpace, Unit};
use ofa_search::LatencyTable;
use std::collections::BTreeMap;

/// Milliseconds of each choice by a table, so that the cost of every network is its latency by that table.
///
/// # Errors
///
/// If the table lacks a unit of the space; the error names it.
pub fn latency_costs(space: &SearchSpace, groups: &ChoiceGroups, table: &LatencyTable) -> Result<ChoiceCosts> {
    let medians: BTreeMap<&Unit, f64> = table.units().map(|(unit, latency)| (unit, latency.median_ms)).collect();
    let of_unit = |unit: &Unit| {
        let median = medians.get(unit).copied();
        median.with_context(|| format!("the latency table of `{}` has no row for {unit:?}", table.header().space))
    };
    let costs = ChoiceCosts::new(space, groups, of_unit)?;
    Ok(match table.header().overhead {
        Some(overhead) => costs.scaled(overhead.slope, overhead.intercept_ms),
        None => costs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::path::Path;

    #[test]
    fn a_network_costs_its_latency_by_the_table() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-30-default/tables/latency.csv");
        let table = LatencyTable::load(&path, &space).unwrap();
        let groups = ChoiceGroups::new(&space, 28).unwrap();
        let costs = latency_costs(&space, &groups, &table).unwrap();
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20 {
            let arch = space.sample(rng).at_resolution(28);
            let (found, expected) =
                (costs.of(&groups.choices(&arch).unwrap()), table.latency_ms(&space, &arch).unwrap());
            assert!((found / expected - 1.0).abs() < 1e-9, "{arch}: {found} {expected}");
        }
        let mut wider = space.clone();
        wider.stages[0].channels = 16;
        let message = latency_costs(&wider, &groups, &table).unwrap_err().to_string();
        assert!(message.contains("`small_mobilenet_v3` has no row for Unit"), "{message}");
    }
}
