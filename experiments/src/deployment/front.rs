//! [`Front`]: the best trade-offs that searches met.

use ofa_model::Arch;
use serde::Serialize;

/// The cost axis of a front.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Axis {
    /// `latency`, `energy`, `MACs` or `parameters`.
    pub cost: String,
    /// Unit of the cost.
    pub unit: String,
    /// Device, for latency and energy; empty for device-independent costs and for the table beside the accuracies.
    pub device: String,
}

/// Pareto front of cost and accuracy, by ascending cost (and so by ascending accuracy).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Front {
    points: Vec<FrontPoint>,
}

/// An arch on a front.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontPoint {
    /// Cost, in the unit of the axis.
    pub cost: f64,
    /// Predicted top-1 accuracy, 0 to 1.
    pub top1: f64,
    /// The network.
    pub arch: Arch,
}

impl Front {
    /// Adds an arch and removes those it dominates, unless it is itself dominated.
    pub fn offer(&mut self, cost: f64, top1: f64, arch: &Arch) {
        // Index of the first point that costs more.
        let dearer = self.points.partition_point(|point| point.cost <= cost);
        if self.points[..dearer].last().is_some_and(|point| point.top1 >= top1) {
            return;
        }
        let end = dearer + self.points[dearer..].partition_point(|point| point.top1 <= top1);
        // A point of equal cost is less accurate, since it did not dominate this one.
        let start = dearer - usize::from(self.points[..dearer].last().is_some_and(|point| point.cost == cost));
        self.points.splice(start..end, [FrontPoint { cost, top1, arch: arch.clone() }]);
    }

    /// The points, by ascending cost.
    pub fn points(&self) -> &[FrontPoint] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_search::statistics::pareto_front;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn offered_one_by_one_it_is_the_front_of_all() {
        let arch: Arch = "r8-k3e3".parse().unwrap();
        for seed in 0..50 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let all: Vec<(f64, f64)> =
                (0..60).map(|_| (rng.random_range(0..12).into(), rng.random_range(0..12).into())).collect();
            let mut front = Front::default();
            all.iter().for_each(|&(cost, top1)| front.offer(cost, top1, &arch));
            let found: Vec<(f64, f64)> = front.points().iter().map(|point| (point.cost, point.top1)).collect();
            let expected: Vec<(f64, f64)> = pareto_front(&all).into_iter().map(|i| all[i]).collect();
            assert_eq!(found, expected, "seed {seed}");
        }
    }
}
