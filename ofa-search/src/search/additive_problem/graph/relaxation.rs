//! Lagrange's bound on the score within a limit of the cost.

use super::{Graph, Path, Sums};

/// What is known of a resolution before its paths are compared one by one.
pub(in crate::search::additive_problem) struct Relaxation {
    /// A feasible path.
    pub(in crate::search::additive_problem) known: Path,
    /// What the score of no feasible path exceeds.
    pub(in crate::search::additive_problem) bound: f64,
    /// Score that a unit of cost is worth.
    pub(super) price: f64,
    /// From every node to the end, the highest score less the price of the cost.
    pub(super) worth: Vec<f64>,
    /// From every node to the end, the lowest cost.
    pub(super) least_cost: Vec<f64>,
}

impl Graph {
    /// Bounds the score within `limit`, or gives the cheapest path if even that exceeds the limit.
    ///
    /// At any price of cost, no feasible path has a score above the highest worth of all paths plus the price of the limit.
    /// The price with the lowest such bound is where a path over the limit and one within it are worth the same, and no
    /// path is worth more.
    pub(in crate::search::additive_problem) fn relax(&self, limit: f64) -> Result<Relaxation, Path> {
        /// Each round finds another corner of the paths' convex hull, of which there are tens.
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
