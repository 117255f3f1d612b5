//! The processes of a run: one, or several started by `mpirun` or `srun`.

use crate::console::interrupt::is_interruption;
use crate::machine::environment::launched;
use crate::run::start::{self, ready_to_compute};
use anyhow::{Result, ensure};
use ofa_train::{Ranks, TrainError, TrainObserver};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// [`start::main`] for a program that works on all ranks of a job, which it joins before it prints anything.
pub fn main(work: impl FnOnce(&dyn Ranks) -> Result<()>) -> ExitCode {
    match ready_to_compute().and_then(|()| join()) {
        Ok(ranks) => {
            let result = work(&*ranks);
            leave(ranks, result)
        }
        Err(error) => start::exit_code(Err(error)),
    }
}

/// Joins the ranks of this job.
///
/// # Errors
///
/// If a launcher started several processes that cannot reach each other: they would all run the same job in one
/// directory.
fn join() -> Result<Box<dyn Ranks>> {
    #[cfg(feature = "mpi")]
    let ranks = ofa_train::MpiRanks::join()?;
    #[cfg(not(feature = "mpi"))]
    let ranks = ofa_train::OneRank;
    let (found, started) = (ranks.size(), launched().unwrap_or(ranks.size()));
    ensure!(
        found == started,
        "the launcher started {started} processes, but this one finds {found}: build with `--features mpi` against the \
         launcher's MPI library (for srun, see `srun --mpi=list`), or start one process"
    );
    Ok(Box::new(ranks))
}

/// Ends this rank with the exit code of its result: 0, 1, or 130 after Ctrl-C. A rank that fails alone aborts the
/// others, which would otherwise wait for it forever. An error common to all ranks is printed once.
fn leave(ranks: Box<dyn Ranks>, result: Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if ranks.size() == 1 {
        return start::exit_code(Err(error));
    }
    let interrupted = is_interruption(&error);
    if is_everywhere(&error) && !ranks.is_first() {
        // Waits for rank 0, which prints the error.
        drop(ranks);
        return ExitCode::from(if interrupted { 130 } else { 1 });
    }
    let code = start::exit_code(Err(error.context(format!("rank {} of {}", ranks.rank(), ranks.size()))));
    if interrupted {
        return code;
    }
    ranks.abort(1)
}

/// Whether an error is one that occurs on all ranks.
pub(crate) fn is_everywhere(error: &anyhow::Error) -> bool {
    let shared =
        |error: &TrainError| matches!(error, TrainError::NonFiniteLoss { .. } | TrainError::RanksDiffer { .. });
    is_interruption(error) || error.chain().any(|cause| cause.downcast_ref().is_some_and(shared))
}

/// Observer of all ranks but 0: shows nothing, and stops when the flag is set.
pub struct Quiet(pub Arc<AtomicBool>);

impl TrainObserver for Quiet {
    fn should_stop(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
