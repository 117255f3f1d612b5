//! What the programs share: configuration, images, tables, searches, records and output.
//!
//! ```text
//! ExperimentConfig --> run --> job: training, tables --> deployment: search, specialise --> report
//!                                   ablation, search_ablation, bench ---------------------> report
//! ```
//!
//! A configuration is a preset or a file, and every run writes the complete one it used:
//!
//! ```
//! use experiments::config::ExperimentConfig;
//!
//! let config = ExperimentConfig::preset("smoke")?;
//! let text = config.to_toml()?;
//! assert_eq!(ExperimentConfig::parse(&text)?.space, config.space);
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! `docs/src/tutorials/experiment.md` begins with a program that needs none of this, `minimal.rs`.

pub mod ablation;
pub mod bench;
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
