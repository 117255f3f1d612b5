//! Data parallelism: the processes that train one network together, each on its own device.

mod average;
#[cfg(feature = "mpi")]
mod mpi;
mod threads;

#[cfg(feature = "mpi")]
pub use self::mpi::MpiRanks;
pub use self::threads::ThreadRanks;

use crate::TrainError;
use crate::weights::weights_sha256;
use burn::module::Module;

/// This process and its peers in data-parallel training.
///
/// Communication is collective: all ranks call the same methods in the same order, and a call returns once all ranks
/// have made it. The result is identical on all ranks, bit for bit.
pub trait Ranks {
    /// Index of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// Replaces each value by its sum over all ranks.
    fn sum_f32(&self, values: &mut [f32]);

    /// Replaces each value by its sum over all ranks.
    fn sum_f64(&self, values: &mut [f64]);

    /// Returns the bytes that rank `from` passed. Those of other ranks are ignored.
    fn broadcast(&self, from: usize, bytes: Vec<u8>) -> Vec<u8>;

    /// Terminates all ranks immediately with an exit code, even while they wait.
    fn abort(&self, code: i32) -> !;

    /// Whether this is rank 0, which writes files and prints.
    fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Whether `here` is true on any rank.
    fn any(&self, here: bool) -> bool {
        let mut count = [f64::from(u8::from(here))];
        self.sum_f64(&mut count);
        count[0] > 0.0
    }

    /// Returns the bytes that each rank passed, by rank.
    fn gather(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        (0..self.size()).map(|from| self.broadcast(from, bytes.clone())).collect()
    }
}

/// A single process; collective methods cost nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneRank;

impl Ranks for OneRank {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn sum_f32(&self, _values: &mut [f32]) {}

    fn sum_f64(&self, _values: &mut [f64]) {}

    fn broadcast(&self, _from: usize, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn abort(&self, code: i32) -> ! {
        std::process::exit(code)
    }
}

/// Distributes `count` measurements over the ranks and returns all results on all ranks. Rank r of n takes every n-th,
/// starting with the r-th.
///
/// Each measurement runs on one rank only, so its result does not depend on the number of ranks: the rank that measures
/// a subnet calibrates it on all images, and no statistics need to be reduced.
///
/// # Errors
///
/// The error of a measurement on this rank. The other ranks then wait until this one [aborts](Ranks::abort).
pub fn spread<E>(
    ranks: &dyn Ranks,
    count: usize,
    mut measure: impl FnMut(usize) -> Result<f64, E>,
) -> Result<Vec<f64>, E> {
    let mut values = vec![0.0; count];
    for i in (ranks.rank()..count).step_by(ranks.size()) {
        values[i] = measure(i)?;
    }
    ranks.sum_f64(&mut values);
    Ok(values)
}

/// Checks that `bytes` are identical on all ranks; `what` names them, as a plural noun. No rank continues before all
/// have reached this call.
///
/// # Errors
///
/// [`TrainError::RanksDiffer`] on all ranks, naming the first that differs from rank 0.
pub fn same_on_all(ranks: &dyn Ranks, what: &'static str, bytes: &[u8]) -> Result<(), TrainError> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let differs = ranks.broadcast(0, bytes.to_vec()) != bytes;
    let own = |rank| f64::from(u8::from(differs && rank == ranks.rank()));
    let mut differing: Vec<f64> = (0..ranks.size()).map(own).collect();
    ranks.sum_f64(&mut differing);
    match differing.iter().position(|differs| *differs > 0.0) {
        Some(rank) => Err(TrainError::RanksDiffer { what, rank }),
        None => Ok(()),
    }
}

/// Checks that the weights of `module` are identical on all ranks, bit for bit.
///
/// # Errors
///
/// [`TrainError::RanksDiffer`], on all ranks.
pub(crate) fn same_weights<M: Module>(ranks: &dyn Ranks, module: &M) -> Result<(), TrainError> {
    // A single rank need not hash its weights.
    if ranks.size() == 1 { Ok(()) } else { same_on_all(ranks, "weights", weights_sha256(module).as_bytes()) }
}
