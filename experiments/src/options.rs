//! Command-line options that several programs share.

pub mod arch;
pub mod command_line;
pub mod int8;
pub mod latency_device;
pub mod space;
