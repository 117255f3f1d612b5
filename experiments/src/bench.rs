//! Comparison with PyTorch: what is timed, what the machine can do at best, and a line of the table.

mod case;
mod ceilings;
mod row;

pub use case::{CASES, Case};
pub use ceilings::Ceilings;
pub use row::{HEADER, Row};
