//! The processes that train one network together, each on a device of its own (data parallelism).

mod average;
#[cfg(feature = "mpi")]
mod mpi;

#[cfg(feature = "mpi")]
pub use self::mpi::MpiRanks;

use crate::TrainError;
use crate::weights::weights_sha256;
use burn::module::Module;

/// This process and the others that train with it.
///
/// Ranks call the same methods in the same order, and a method returns when all have called it. What a method gives is
/// the same on all ranks, to the last bit.
pub trait Ranks {
    /// Which one this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// Puts in place of every number its sum over all ranks.
    fn sum_f32(&self, values: &mut [f32]);

    /// Puts in place of every number its sum over all ranks.
    fn sum_f64(&self, values: &mut [f64]);

    /// What rank `from` gave; what the others give is not looked at.
    fn broadcast(&self, from: usize, bytes: Vec<u8>) -> Vec<u8>;

    /// Ends all ranks at once with an exit code, whatever they wait for.
    fn abort(&self, code: i32) -> !;

    /// Whether this is the rank that writes and prints.
    fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Whether it is so on any rank.
    fn any(&self, here: bool) -> bool {
        let mut count = [f64::from(u8::from(here))];
        self.sum_f64(&mut count);
        count[0] > 0.0
    }

    /// What every rank gave, by rank.
    fn gather(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        (0..self.size()).map(|from| self.broadcast(from, bytes.clone())).collect()
    }
}

/// One process alone; every method is free.
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

/// Shares out `count` measurements among the ranks, rank r of n taking every n-th from its r-th on, and gives all of them
/// to all ranks.
///
/// A measurement is one rank's alone, so its number does not depend on how many ranks there are: a subnet is calibrated on
/// all images by the rank that measures it, and no statistics need to be reduced.
///
/// # Errors
///
/// Those of a measurement on this rank. The others wait then, until this one [aborts](Ranks::abort).
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

/// Makes sure that `bytes`, which are `what`, are the same on all ranks. No rank goes on before all have come here.
///
/// # Errors
///
/// [`TrainError::RanksDiffer`] on all ranks, naming the first that has others than rank 0.
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

/// Makes sure that the weights of `module` are the same on all ranks, to the last bit.
///
/// # Errors
///
/// [`TrainError::RanksDiffer`], on all ranks.
pub(crate) fn same_weights<M: Module>(ranks: &dyn Ranks, module: &M) -> Result<(), TrainError> {
    // One rank alone hashes nothing.
    if ranks.size() == 1 { Ok(()) } else { same_on_all(ranks, "weights", weights_sha256(module).as_bytes()) }
}
