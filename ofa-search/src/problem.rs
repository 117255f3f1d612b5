//! [`Problem`]: what is searched for, under which constraints and with how many questions.

use crate::{AdditiveCost, LatencyTable, Predictor, SearchError};
use ofa_model::{Arch, SearchSpace};
use std::fmt;

/// The arch of a space with the highest score among those that meet every constraint.
pub struct Problem<'a> {
    /// The archs to choose from.
    pub space: &'a SearchSpace,
    /// The score to maximise; asking it is what a search pays for.
    pub objective: &'a dyn Predictor,
    /// What an arch must meet.
    pub constraints: Vec<Constraint<'a>>,
}

/// A limit on a cost of archs that is known exactly and cheap to compute.
pub struct Constraint<'a> {
    /// Name of the cost, e.g. `latency`.
    pub name: String,
    /// Unit of the cost and the limit, e.g. `ms`.
    pub unit: String,
    /// The highest cost allowed, positive.
    pub limit: f64,
    /// The lowest cost allowed; negative infinity if none is too low.
    pub lower: f64,
    /// The cost of an arch.
    pub cost: Box<dyn Fn(&Arch) -> f64 + Send + Sync + 'a>,
}

/// How long a search may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Evaluations of the objective.
    pub queries: u64,
    /// Proposals in a row that are rejected, because they are infeasible or known, before the search gives up.
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
    /// The number of its query, from 1.
    pub query: u64,
}

impl Trial {
    /// Whether it is nowhere worse than `other` and somewhere better, in score and costs.
    pub(crate) fn beats(&self, other: &Self) -> bool {
        let costs = || self.costs.iter().zip(&other.costs);
        let nowhere_worse = self.score >= other.score && costs().all(|(a, b)| a <= b);
        nowhere_worse && (self.score > other.score || costs().any(|(a, b)| a < b))
    }
}

impl Budget {
    /// A budget of `queries` evaluations, and of 100,000 rejections in a row.
    pub fn new(queries: u64) -> Self {
        Self { queries, rejections_in_a_row: 100_000 }
    }

    pub(crate) fn validate(self) -> Result<(), SearchError> {
        if self.queries > 0 {
            return Ok(());
        }
        let problem = "a search needs a query";
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

    /// The same constraint with a lowest cost.
    pub fn at_least(self, lower: f64) -> Self {
        Self { lower, ..self }
    }

    /// At most `limit` multiply-accumulate operations.
    pub fn macs(space: &SearchSpace, limit: f64) -> Self {
        let cost = AdditiveCost::macs(space);
        Self::at_most("MACs", limit, "MACs", move |arch| cost.of(arch))
    }

    /// At most `limit` trainable numbers.
    pub fn parameters(space: &SearchSpace, limit: f64) -> Self {
        let cost = AdditiveCost::parameters(space);
        Self::at_most("parameters", limit, "parameters", move |arch| cost.of(arch))
    }

    /// At most `limit_ms` milliseconds on the device of `table`.
    ///
    /// # Errors
    ///
    /// If the table is of another quantity or lacks units of `space` (naming them all).
    pub fn latency(table: &LatencyTable, space: &SearchSpace, limit_ms: f64) -> Result<Self, SearchError> {
        let cost = table.cost_of(None, space)?;
        Ok(Self::at_most("latency", limit_ms, "ms", move |arch| cost.of(arch)))
    }

    /// At most `limit_mj` millijoules on the device of `table`, whose quantity is [`LatencyTable::ENERGY`].
    ///
    /// # Errors
    ///
    /// If the table is of another quantity or lacks units of `space` (naming them all).
    pub fn energy(table: &LatencyTable, space: &SearchSpace, limit_mj: f64) -> Result<Self, SearchError> {
        let cost = table.cost_of(Some(LatencyTable::ENERGY), space)?;
        Ok(Self::at_most("energy", limit_mj, "mJ", move |arch| cost.of(arch)))
    }
}

impl Constraint<'_> {
    /// How far a cost is above the limit or below the lowest cost, as a share of the limit; not positive if it is allowed.
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
    /// Costs of `arch`, in the order of the constraints.
    ///
    /// # Errors
    ///
    /// If a cost is not a finite number.
    pub fn costs(&self, arch: &Arch) -> Result<Vec<f64>, SearchError> {
        self.constraints.iter().map(|constraint| finite(&constraint.name, arch, (constraint.cost)(arch))).collect()
    }

    /// Whether costs meet every constraint.
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
