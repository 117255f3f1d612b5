//! The front door: everything around a once-for-all network that is not an experiment of its own, by noun.
//!
//! Command:  `cargo run --release --bin ofa -- --help`
//! Result:   see the command's file: `ofa data check` is `data/check.rs`, `ofa deploy` is `deploy.rs`

mod bench;
mod completions;
mod cost;
mod data;
mod deploy;
#[cfg(feature = "onnx")]
mod device;
mod plan;
mod space;
mod subnet;
mod tables;
mod train;
mod weights;

use clap::{Parser, Subcommand};
use experiments::run::start;
use std::process::ExitCode;

/// Works with once-for-all networks: their images, spaces, weights, subnets and tables.
#[derive(Parser)]
#[command(name = "ofa", after_help = "Example: ofa plan --preset smoke\n\nThe main job: cargo run --release -- --help")]
struct Ofa {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(subcommand)]
    Data(data::Command),
    #[command(subcommand)]
    Space(space::Command),
    #[command(subcommand)]
    Weights(weights::Command),
    Plan(plan::Options),
    Train(train::Options),
    #[command(subcommand)]
    Subnet(subnet::Command),
    #[command(subcommand)]
    Tables(tables::Command),
    Deploy(deploy::Options),
    #[cfg(feature = "onnx")]
    #[command(subcommand)]
    Device(device::Command),
    Cost(cost::Options),
    #[command(subcommand)]
    Bench(bench::Command),
    Completions(completions::Options),
}

fn main() -> ExitCode {
    match Ofa::parse().command {
        Command::Data(command) => start::main(|| command.run()),
        Command::Space(command) => start::main(|| command.run()),
        Command::Weights(command) => start::main(|| command.run()),
        Command::Plan(options) => start::main(|| plan::run(&options)),
        Command::Train(options) => train::run(&options),
        Command::Subnet(command) => start::main(|| command.run()),
        Command::Tables(command) => start::main(|| command.run()),
        Command::Deploy(options) => start::main(|| deploy::run(&options)),
        #[cfg(feature = "onnx")]
        Command::Device(command) => start::main(|| command.run()),
        Command::Cost(options) => start::main(|| cost::run(&options)),
        Command::Bench(command) => start::main(|| command.run()),
        Command::Completions(options) => start::main(|| completions::run(&options)),
    }
}
