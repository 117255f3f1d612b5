//! The machine a program runs on: its devices, threads, memory, and how records name it.

pub(crate) mod allocator;
pub mod device;
pub mod environment;
pub mod latency_device;
pub mod threads;
