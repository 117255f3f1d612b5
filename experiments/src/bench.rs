//! Benchmarks: workloads, timings beside PyTorch and other backends, parity, and what the machine can do at best.

mod case;
mod ceilings;
#[cfg(feature = "gpu")]
pub mod launches;
pub mod parity;
mod row;
pub mod tensor_file;
pub mod timings;
pub mod workload;

pub use case::{CASES, Case};
pub use ceilings::Ceilings;
pub use row::{HEADER, Row};
