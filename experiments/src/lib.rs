//! Shared code of the experiment binaries: configuration, images, tables, searches, records and output.

pub mod ablation;
mod allocator;
pub mod arch_option;
pub mod bench;
pub mod choice_ablation;
pub mod command_line;
pub mod config;
pub mod dashboard;
pub mod deployment;
pub mod design_cost;
pub mod device;
pub mod environment;
pub mod forecast;
pub mod heartbeat;
pub mod images;
pub mod interrupt;
pub mod latency_check;
pub mod measured_tables;
pub mod model_card;
pub mod parity;
pub mod plan;
pub mod predictor_curve;
pub mod progress;
pub mod ranks;
pub mod records;
pub mod report;
pub mod run_dir;
pub mod scenarios;
pub mod score_files;
pub mod search_ablation;
pub mod space_options;
pub mod specialise;
pub mod start;
pub mod supernet_file;
pub mod tables;
pub mod tensor_file;
pub mod tensorboard;
pub mod threads;
pub mod timings;
pub mod training;
pub mod workload;

#[cfg(test)]
#[path = "../../ofa-train/tests/threads/mod.rs"]
mod threads_as_ranks;
