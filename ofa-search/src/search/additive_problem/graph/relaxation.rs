//! Lagrangian bound on the score under a cost limit.

use super::{Graph, Path, Sums};

/// Bounds for one resolution, computed before its paths are compared.
pub(in crate::search::additive_problem) struct Relaxation {
    /// A feasible path.
    pub(in crate::search::additive_problem) known: Path,
    /// Upper bound on the score of every feasible path.
    pub(in crate::search::additive_problem) bound: f64,
    /// Price of one unit of cost, in score.
    pub(super) price: f64,
    /// The highest score minus price times cost, from every node to the end.
    pub(super) worth: Vec<f64>,
    /// The lowest cost from every node to the end.
    pub(super) least_cost: Vec<f64>,
}

impl Graph {
    /// Bounds the score within `limit`. Returns the cheapest path as the error if even that exceeds the limit.
    ///
    /// At any price, no feasible path scores above the highest worth of all paths plus price times limit. The price
    /// with the lowest such bound is the one at which a path over the limit and a path within it tie for the highest
    /// worth.
    pub(in crate::search::additive_problem) fn relax(&self, limit: f64) -> Result<Relaxation, Path> {
        /// Each round finds another vertex of the paths' convex hull, which has tens of them.
        const MOST_ROUNDS: usize = 200;
        let negative: Vec<f64> = self.rests(|sums| -sums.cost);
        let mut within = self.follow(&negative, |sums| -sums.cost);
        if within.sums.cost > limit {
            return Err(within);
        }
        let least_cost = negative.into_iter().map(|cost| -cost).collect();
        let mut worth = self.rests(|sums| sums.score);
        let mut over = self.follow(&worth, |sums| sums.score);
        let mut price = 0.0;
        if over.sums.cost <= limit {
            within = over;
        } else {
            for _ in 0..MOST_ROUNDS {
                let Sums { cost, score } = within.sums;
                price = ((over.sums.score - score) / (over.sums.cost - cost)).max(0.0);
                worth = self.rests(|sums| sums.worth(price));
                let path = self.follow(&worth, |sums| sums.worth(price));
                if path.sums == over.sums
                    || path.sums == within.sums
                    || path.sums.worth(price) <= within.sums.worth(price)
                {
                    break;
                }
                if path.sums.cost <= limit { within = path } else { over = path }
            }
        }
        let bound = self.start.worth(price) + worth[0] + price * limit;
        Ok(Relaxation { known: within, bound, price, worth, least_cost })
    }
}
