//! The processes of a run: one, or several started by `mpirun` or `srun`.

use crate::console::interrupt::is_interruption;
use crate::machine::environment::launched;
use crate::run::images::Images;
use crate::run::records;
use crate::run::run_dir::RunDir;
use crate::run::start::{self, Options, Run, ready_to_compute};
use anyhow::{Context, Result, ensure};
use ofa_train::{Ranks, TrainError, TrainObserver, same_on_all};
use std::path::Path;
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

/// [`start::open`] for all ranks: rank 0 creates the run directory, the others read its configuration.
///
/// # Errors
///
/// Those of [`start::open`]; also if the batch size is not divisible by the number of ranks, or the directory is not
/// on a file system shared by all ranks.
pub fn open(options: &Options, ranks: &dyn Ranks) -> Result<Run> {
    if ranks.size() == 1 {
        return start::open(options);
    }
    if ranks.is_first() {
        let run = start::open(options)?;
        run.config.training.batch_of_rank(ranks.size())?;
        let root = run.dir.root().to_str().context("the name of the run directory is not UTF-8")?;
        ranks.broadcast(0, root.as_bytes().to_vec());
        return Ok(run);
    }
    let root = String::from_utf8(ranks.broadcast(0, Vec::new())).context("the name of the run directory")?;
    start::reopen(Path::new(&root)).context("the run directory must be on a file system shared by all ranks")
}

/// [`records::same_images`] for all ranks, which must also have the same images as each other.
///
/// # Errors
///
/// Those of [`records::same_images`]; also if a rank has other images than rank 0.
pub fn same_images(dir: &RunDir, images: &Images, ranks: &dyn Ranks) -> Result<()> {
    if ranks.is_first() {
        records::same_images(dir, images)?;
    }
    let splits = &images.splits;
    let parts = [&splits.train, &splits.validation, &splits.test].map(|set| set.fingerprint());
    Ok(same_on_all(ranks, "images", parts.concat().as_bytes())?)
}

/// Records the broken images met by all ranks; if the run failed on this rank alone, only those of this rank.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_broken(dir: &RunDir, images: &Images, result: &Result<()>, ranks: &dyn Ranks) -> Result<()> {
    let own = records::broken_rows(&images.broken());
    if result.as_ref().is_err_and(|error| !is_everywhere(error)) {
        return records::write_broken(dir, own);
    }
    let all = ranks.gather(serde_json::to_vec(&own)?);
    if !ranks.is_first() {
        return Ok(());
    }
    let mut rows = Vec::new();
    for rank in all {
        rows.extend(serde_json::from_slice::<Vec<_>>(&rank)?);
    }
    records::write_broken(dir, rows)
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
fn is_everywhere(error: &anyhow::Error) -> bool {
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
