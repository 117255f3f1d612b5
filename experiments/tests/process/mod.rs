//! Runs commands as processes and checks their exit status.

#![allow(dead_code, reason = "not every test uses all of it")]

use experiments::config::{ExperimentConfig, Scenario};
use ofa_train::ScheduleKind;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The smoke preset, made even smaller.
pub fn tiny() -> ExperimentConfig {
    tiny_trained_by(ScheduleKind::ProgressiveShrinking)
}

pub fn tiny_trained_by(kind: ScheduleKind) -> ExperimentConfig {
    let mut config = ExperimentConfig::preset_with("smoke", kind).unwrap();
    config.space.resolutions = vec![12, 16];
    config.data.train_images = Some(64);
    config.data.test_images = Some(50);
    config.training.batch_size = 32;
    config.tables.archs = 8;
    config.tables.validation_images = 50;
    config.tables.calibration_images = 50;
    config.tables.batch_size = 25;
    config.tables.latency.min_samples = 5;
    config.tables.latency.max_samples = 8;
    config.tables.predictor.epochs = 5;
    config.search.queries = 200;
    // A budget in MACs, since latencies of such small networks are noise on a busy machine.
    let macs = Scenario { name: "macs-1M".into(), macs: Some(1_000_000), ..Scenario::default() };
    config.search.scenarios = vec![macs];
    config
}

/// Writes the configuration to a file beside its run directory.
pub fn config_file(config: &ExperimentConfig, root: &Path) -> PathBuf {
    let path = root.with_extension("toml");
    fs::write(&path, config.to_toml().unwrap()).unwrap();
    path
}

pub fn once_for_all(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_once_for_all")).args(arguments).output().unwrap()
}

/// All that a process said that must have succeeded.
pub fn said(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    success(output) + &error
}

/// Runs a command of `ofa`.
pub fn ofa(command: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ofa")).args(command.split(' ')).args(arguments).output().unwrap()
}

/// The stdout of a process that must have succeeded.
pub fn success(output: Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

/// The stderr of a process that must have failed.
pub fn failure(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}
