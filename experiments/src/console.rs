//! What one sees while a program works, and how it is stopped.

pub mod dashboard;
pub mod heartbeat;
pub mod interrupt;
pub mod problem;
pub mod progress;

pub use heartbeat::say;
