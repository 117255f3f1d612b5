//! Comparison with PyTorch: what the machine can do at best.

mod ceilings;

pub use ceilings::Ceilings;
