//! Prints a completion script, so that a shell completes the commands and options of `ofa`.
//!
//! Command:  `ofa completions bash > ~/.local/share/bash-completion/completions/ofa`
//! Result:   a script for bash, elvish, fish, PowerShell or zsh

use crate::Ofa;
use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use experiments::console::say;

/// Prints a completion script for a shell.
#[derive(Args)]
#[command(after_help = "Example: ofa completions bash > ~/.local/share/bash-completion/completions/ofa")]
pub struct Options {
    /// Shell
    shell: Shell,
}

pub fn run(options: &Options) -> Result<()> {
    // Not straight to stdout: `generate` panics if the pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Ofa::command(), "ofa", &mut script);
    say(String::from_utf8(script)?.trim_end());
    Ok(())
}
