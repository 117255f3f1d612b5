//! Estimates a table of units from measurements of whole networks.

use super::{LatencyHeader, LatencyTable};
use crate::SearchError;
use crate::cost::distinct_units;
use crate::statistics::FitReport;
use crate::statistics::split;
use crate::timing::Latency;
use ofa_model::{Arch, SearchSpace, Unit};
use std::collections::BTreeMap;

/// Share of the networks held out for the report, and again of the rest to choose the pull.
const HELD_OUT: f64 = 0.2;
/// Candidate regularisation weights towards the first guess. Networks outside the report choose one.
const PULLS: [f64; 6] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// A latency table estimated from whole networks, and its accuracy.
#[derive(Clone, Debug)]
pub struct NetworkFit {
    /// The estimated table. Its units have `samples: 0`.
    pub table: LatencyTable,
    /// Agreement with held-out networks of a second table, estimated from the rest.
    pub report: FitReport,
}

impl LatencyTable {
    /// Networks that [`LatencyTable::from_networks`] needs at least.
    pub const LEAST_NETWORKS: usize = 20;

    /// Estimates the units of `space` from the `(arch, milliseconds)` of whole networks, for a device that can time
    /// networks but not their parts. Works for any other cost that is a sum over units (energy).
    ///
    /// Networks are far fewer than units. So a first guess models every unit as a fixed time plus terms proportional to
    /// its MACs, parameters and peak activation memory, all non-negative. It is then corrected unit by unit where the
    /// networks require it, again without negative times. Errors are relative to the measurement.
    ///
    /// # Errors
    ///
    /// If there are fewer than 20 networks, one is outside `space`, or a time is not positive.
    pub fn from_networks(
        space: &SearchSpace,
        header: LatencyHeader,
        measured: &[(Arch, f64)],
        seed: u64,
    ) -> Result<NetworkFit, SearchError> {
        if measured.len() < Self::LEAST_NETWORKS {
            let (purpose, what, needed) = ("estimating units", "whole networks", Self::LEAST_NETWORKS);
            return Err(SearchError::TooFewSamples { purpose, what, needed, found: measured.len() });
        }
        for (arch, ms) in measured {
            space.check(arch)?;
            if !(ms.is_finite() && *ms > 0.0) {
                return Err(SearchError::InvalidLatency { arch: arch.to_string(), latency_ms: *ms });
            }
        }
        // The estimate already is for whole networks, so an overhead fitted to the header's table does not apply.
        let header = LatencyHeader { overhead: None, ..header };
        let units = distinct_units(space);
        let estimate = |networks: &[(Arch, f64)], pull: f64| {
            let latencies = units.iter().copied().zip(estimate(space, &units, networks, pull));
            let latency = |(unit, median_ms)| (unit, Latency { median_ms, iqr_ms: 0.0, samples: 0 });
            Self { header: header.clone(), units: latencies.map(latency).collect(), dropped_line: None }
        };
        let (rest, judges) = split(measured, HELD_OUT, seed)?;
        let (fitted, choosing) = split(&rest, HELD_OUT, seed)?;
        let mut best = (f64::INFINITY, PULLS[0]);
        for pull in PULLS {
            let cost = estimate(&fitted, pull).cost(space)?;
            let error: f64 = choosing.iter().map(|(arch, ms)| (cost.of(arch) / ms - 1.0).powi(2)).sum();
            if error < best.0 {
                best = (error, pull);
            }
        }
        let (_, pull) = best;
        let cost = estimate(&rest, pull).cost(space)?;
        let report = FitReport::new(&|arch: &Arch| cost.of(arch), rest.len(), &judges)?;
        Ok(NetworkFit { table: estimate(measured, pull), report })
    }
}

/// Estimated milliseconds of each unit.
fn estimate(space: &SearchSpace, units: &[Unit], networks: &[(Arch, f64)], pull: f64) -> Vec<f64> {
    let places: BTreeMap<Unit, usize> = units.iter().enumerate().map(|(i, unit)| (*unit, i)).collect();
    // Occurrences of units in networks over the networks' measured times: the columns of the system `A x = 1`.
    let mut occurrences = vec![Vec::new(); units.len()];
    for (n, (arch, ms)) in networks.iter().enumerate() {
        for unit in space.units(arch) {
            occurrences[places[&unit]].push((n, 1.0 / ms));
        }
    }
    let guess = first_guess(units, &occurrences, networks.len());
    let scaled = |(column, guess): (&Vec<(usize, f64)>, &f64)| column.iter().map(|(n, x)| (*n, x * guess)).collect();
    let columns: Vec<Vec<(usize, f64)>> = occurrences.iter().zip(&guess).map(scaled).collect();
    let factors = non_negative_least_squares(&columns, networks.len(), pull, 1.0);
    guess.iter().zip(factors).map(|(guess, factor)| guess * factor).collect()
}

/// Milliseconds of each unit, modelled as a non-negative combination of a few of its properties.
fn first_guess(units: &[Unit], occurrences: &[Vec<(usize, f64)>], networks: usize) -> Vec<f64> {
    let properties = units.iter().map(|unit| {
        let cost = unit.cost();
        [1.0, cost.macs as f64, cost.parameters as f64, cost.peak_activation_bytes as f64]
    });
    let properties: Vec<[f64; 4]> = properties.collect();
    let mut columns = vec![vec![0.0; networks]; 4];
    for (unit, column) in properties.iter().zip(occurrences) {
        for &(n, x) in column {
            (0..4).for_each(|p| columns[p][n] += unit[p] * x);
        }
    }
    // Normalise: the properties differ by orders of magnitude.
    let norms: Vec<f64> = columns.iter().map(|c| c.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-300)).collect();
    let unit_columns: Vec<Vec<(usize, f64)>> = columns
        .iter()
        .zip(&norms)
        .map(|(column, norm)| column.iter().map(|x| x / norm).enumerate().collect())
        .collect();
    let weights = non_negative_least_squares(&unit_columns, networks, 1e-9, 0.0);
    let guess = |unit: &[f64; 4]| (0..4).map(|p| unit[p] * weights[p] / norms[p]).sum();
    properties.iter().map(guess).collect()
}

/// Returns the `x >= 0` that minimises `|A x - 1|^2 + pull |x - centre|^2`, where `columns` are the sparse columns of
/// `A`, which has `rows` rows. Coordinate descent until nothing changes; the problem is strictly convex, so this
/// converges to the minimum.
fn non_negative_least_squares(columns: &[Vec<(usize, f64)>], rows: usize, pull: f64, centre: f64) -> Vec<f64> {
    const SWEEPS: usize = 20_000;
    const TOLERANCE: f64 = 1e-10;
    let mut x = vec![centre; columns.len()];
    let mut residuals = vec![1.0; rows];
    let squares: Vec<f64> = columns.iter().map(|column| column.iter().map(|(_, a)| a * a).sum()).collect();
    for (column, x) in columns.iter().zip(&x) {
        column.iter().for_each(|(row, a)| residuals[*row] -= a * x);
    }
    for _ in 0..SWEEPS {
        let mut largest: f64 = 0.0;
        for (j, column) in columns.iter().enumerate() {
            let slope: f64 = column.iter().map(|(row, a)| a * residuals[*row]).sum::<f64>() + pull * (centre - x[j]);
            let change = (x[j] + slope / (squares[j] + pull)).max(0.0) - x[j];
            if change != 0.0 {
                column.iter().for_each(|(row, a)| residuals[*row] -= a * change);
                x[j] += change;
                largest = largest.max(change.abs());
            }
        }
        if largest < TOLERANCE {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::AdditiveCost;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn header(space: &SearchSpace) -> LatencyHeader {
        let (device, threads) = ("phone".into(), "4 threads".into());
        LatencyHeader {
            space: space.name.clone(),
            device,
            batch: 1,
            threads,
            quantity: None,
            pace_ms: None,
            overhead: None,
        }
    }

    /// Times of networks whose units take a fixed time plus a time proportional to MACs, each off by up to 30 %.
    fn measured(space: &SearchSpace, n: usize) -> Vec<(Arch, f64)> {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let cost = AdditiveCost::new(space, |unit| {
            (0.02 + unit.cost().macs as f64 * 2e-6) * (1.0 + 0.3 * (2.0 * rng.random::<f64>() - 1.0))
        });
        let rng = &mut ChaCha8Rng::seed_from_u64(2);
        let archs = std::iter::repeat_with(|| space.sample(rng)).take(n);
        archs.map(|arch| (arch.clone(), cost.of(&arch))).collect()
    }

    #[test]
    fn a_small_system_has_its_constrained_minimum() {
        // Two unknowns share one row: the pull makes them equal, (1 + 4 pull) / (0.5 + 4 pull).
        let x = non_negative_least_squares(&[vec![(0, 0.25)], vec![(0, 0.25)]], 1, 1e-3, 1.0);
        assert!(x.iter().all(|x| (x - 1.004 / 0.504).abs() < 1e-6), "{x:?}");
        // The unconstrained solution is (2, -1): the negative value becomes 0.
        let x = non_negative_least_squares(&[vec![(0, 1.0)], vec![(0, 1.0), (1, -1.0)]], 2, 1e-9, 0.0);
        assert!((x[0] - 1.0).abs() < 1e-6 && x[1].abs() < 1e-6, "{x:?}");
    }

    #[test]
    fn latencies_of_other_networks_are_near_and_no_unit_is_negative() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let measured = measured(&space, 300);
        let NetworkFit { table, report } =
            LatencyTable::from_networks(&space, header(&space), &measured[..200], 1).unwrap();
        assert!(table.units().all(|(_, latency)| latency.median_ms >= 0.0 && latency.samples == 0));
        assert_eq!((report.training_rows, report.held_out.len()), (160, 40));
        let worst = measured[200..].iter().map(|(arch, ms)| (table.latency_ms(&space, arch).unwrap() / ms - 1.0).abs());
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 0.1 && report.kendall_tau > 0.9, "{worst} {report:?}");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("phone.csv");
        table.save(&path).unwrap();
        let loaded = LatencyTable::load(&path, &space).unwrap();
        let (arch, _) = &measured[0];
        assert_eq!(loaded.latency_ms(&space, arch).unwrap(), table.latency_ms(&space, arch).unwrap());
    }

    #[test]
    fn bad_measurements_are_named() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mut measured = measured(&space, 20);
        let refused = |measured: &[(Arch, f64)]| {
            LatencyTable::from_networks(&space, header(&space), measured, 1).unwrap_err().to_string()
        };
        assert!(refused(&measured[1..]).contains("at least 20 whole networks, found 19"));
        measured[3].1 = -1.0;
        assert!(refused(&measured).contains("is -1 ms"));
        measured[3] = ("r8-k3e3".parse().unwrap(), 1.0);
        assert!(refused(&measured).contains("outside the space"));
    }
}
