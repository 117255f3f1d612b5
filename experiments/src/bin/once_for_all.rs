//! Main job.
fn main() {}
