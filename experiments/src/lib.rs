//! What the programs share: configuration, images, tables, searches, records and output.

pub mod ablation;
pub mod bench;
pub mod classes;
pub mod config;
pub mod console;
pub mod deployment;
pub mod job;
pub mod machine;
pub mod options;
pub mod report;
pub mod run;
pub mod search_ablation;
pub mod tables;
