//! Costs of archs that are sums over their blocks.

mod additive;

pub(crate) use additive::choices;
pub use additive::{AdditiveCost, PlacedBlock, distinct_units};
