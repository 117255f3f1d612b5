//! Comparison with PyTorch: the timed cases, the ceilings of the machine and the rows of the table.

mod case;
mod ceilings;
mod row;

pub use case::{CASES, Case};
pub use ceilings::Ceilings;
pub use row::{HEADER, Row};
