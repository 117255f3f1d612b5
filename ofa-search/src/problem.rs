//! [`Problem`]: what to search for, under which constraints, and with what budget.

use crate::cost::AdditiveCost;
use crate::{LatencyTable, Predictor, SearchError};
use ofa_model::{Arch, SearchSpace};
use std::fmt;

/// Maximises a score over the archs of a space that meet every constraint.
pub struct Problem<'a> {
    /// The archs to choose from.
    pub space: &'a SearchSpace,
    /// The score to maximise. Each evaluation counts as one query.
    pub objective: &'a dyn Predictor,
    /// Constraints that the arch must meet.
    pub constraints: Vec<Constraint<'a>>,
}

/// Bounds on a cost that is exact and cheap to compute.
pub struct Constraint<'a> {
    /// Name of the cost, e.g. `latency`.
    pub name: String,
    /// Unit of the cost and the limit, e.g. `ms`.
    pub unit: String,
    /// Highest allowed cost, positive.
    pub limit: f64,
    /// Lowest allowed cost. Negative infinity if unbounded.
    pub lower: f64,
    /// Computes the cost of an arch.
    pub cost: Box<dyn Fn(&Arch) -> f64 + Send + Sync + 'a>,
}

/// When a search must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Number of evaluations of the objective.
    pub queries: u64,
    /// The search gives up after this many infeasible or duplicate proposals in a row.
    pub rejections_in_a_row: u64,
}

/// One evaluated arch.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The arch.
    pub arch: Arch,
    /// Its score.
    pub score: f64,
    /// Its costs, in the order of the problem's constraints.
    pub costs: Vec<f64>,
    /// Index of its query, from 1.
    pub query: u64,
}

impl Trial {
    /// Whether this trial is no worse than `other` in score or any cost, and better in at least one.
    pub(crate) fn beats(&self, other: &Self) -> bool {
        let costs = || self.costs.iter().zip(&other.costs);
        let nowhere_worse = self.score >= other.score && costs().all(|(a, b)| a <= b);
        nowhere_worse && (self.score > other.score || costs().any(|(a, b)| a < b))
    }
}

impl Budget {
    /// A budget of `queries` evaluations that gives up after 100,000 rejections in a row.
    pub fn new(queries: u64) -> Self {
        Self { queries, rejections_in_a_row: 100_000 }
    }

    pub(crate) fn validate(self) -> Result<(), SearchError> {
        if self.queries > 0 {
            return Ok(());
        }
        let problem = "a search needs at least one query";
        Err(SearchError::InvalidSetting { setting: "queries", value: "0".into(), problem })
    }
}

impl<'a> Constraint<'a> {
    /// The constraint `cost(arch) <= limit`.
    pub fn at_most(
        name: impl Into<String>,
        limit: f64,
        unit: impl Into<String>,
        cost: impl Fn(&Arch) -> f64 + Send + Sync + 'a,
    ) -> Self {
        Self::between(name, f64::NEG_INFINITY, limit, unit, cost)
    }

    /// The constraint `lower <= cost(arch) <= limit`.
    pub fn between(
        name: impl Into<String>,
        lower: f64,
        limit: f64,
        unit: impl Into<String>,
        cost: impl Fn(&Arch) -> f64 + Send + Sync + 'a,
    ) -> Self {
        Self { name: name.into(), unit: unit.into(), limit, lower, cost: Box::new(cost) }
    }

    /// The same constraint with a lower bound.
    pub fn at_least(self, lower: f64) -> Self {
        Self { lower, ..self }
    }

    /// At most `limit` multiply-accumulate operations.
    pub fn macs(space: &SearchSpace, limit: f64) -> Self {
        let cost = AdditiveCost::macs(space);
        Self::at_most("MACs", limit, "MACs", move |arch| cost.of(arch))
    }

    /// At most `limit` trainable parameters.
    pub fn parameters(space: &SearchSpace, limit: f64) -> Self {
        let cost = AdditiveCost::parameters(space);
        Self::at_most("parameters", limit, "parameters", move |arch| cost.of(arch))
    }

    /// At most `limit_ms` milliseconds on the device of `table`.
    ///
    /// # Errors
    ///
    /// If the table holds another quantity, or lacks units of `space` (naming all of them).
    pub fn latency(table: &LatencyTable, space: &SearchSpace, limit_ms: f64) -> Result<Self, SearchError> {
        let cost = table.cost_of(None, space)?;
        Ok(Self::at_most("latency", limit_ms, "ms", move |arch| cost.of(arch)))
    }

    /// At most `limit_mj` millijoules on the device of `table`, whose quantity is [`LatencyTable::ENERGY`].
    ///
    /// # Errors
    ///
    /// If the table holds another quantity, or lacks units of `space` (naming all of them).
    pub fn energy(table: &LatencyTable, space: &SearchSpace, limit_mj: f64) -> Result<Self, SearchError> {
        let cost = table.cost_of(Some(LatencyTable::ENERGY), space)?;
        Ok(Self::at_most("energy", limit_mj, "mJ", move |arch| cost.of(arch)))
    }
}

impl Constraint<'_> {
    /// How far a cost violates the limit or the lower bound, as a share of the limit. Not positive if allowed.
    pub(crate) fn excess(&self, cost: f64) -> f64 {
        (cost - self.limit).max(self.lower - cost) / self.limit
    }
}

impl fmt::Debug for Constraint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lower > f64::NEG_INFINITY {
            write!(f, "{} <= ", self.lower)?;
        }
        write!(f, "{} <= {} {}", self.name, self.limit, self.unit)
    }
}

impl Problem<'_> {
    /// The costs of `arch`, in the order of the constraints.
    ///
    /// # Errors
    ///
    /// If a cost is not a finite number.
    pub fn costs(&self, arch: &Arch) -> Result<Vec<f64>, SearchError> {
        self.constraints.iter().map(|constraint| finite(&constraint.name, arch, (constraint.cost)(arch))).collect()
    }

    /// Whether `costs`, in the order of the constraints, meet all of them.
    pub fn allows(&self, costs: &[f64]) -> bool {
        self.constraints.iter().zip(costs).all(|(constraint, cost)| constraint.excess(*cost) <= 0.0)
    }
}

pub(crate) fn finite(quantity: &str, arch: &Arch, value: f64) -> Result<f64, SearchError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(SearchError::NotFinite { quantity: quantity.to_owned(), arch: arch.to_string(), value })
}
