//! The choices of a space taken one by one, and costs that are sums over them.

mod costs;
mod groups;

pub use costs::ChoiceCosts;
pub use groups::{ChoiceGroups, StageGroups};
