//! Runs commands as processes and checks their exit status.

use std::process::{Command, Output};

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
