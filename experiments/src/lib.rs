//! Shared code of the experiment binaries: configuration, images, tables, searches, records and output.

pub mod ablation;
pub mod bench;
pub mod classes;
pub mod config;
pub mod console;
pub mod deployment;
pub mod machine;
pub mod options;
pub mod report;
pub mod run;
pub mod search_ablation;
pub mod tables;

#[cfg(test)]
#[path = "../../ofa-train/tests/threads/mod.rs"]
mod threads_as_ranks;
