//! [`MpiRanks`]: the processes started by `mpirun` or `srun`.

use super::Ranks;
use crate::TrainError;
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::{CommunicatorCollectives, Equivalence, Root};

/// The processes of an MPI job; a process started without a launcher is a job of one.
///
/// Dropping it waits for the other ranks, unless the thread is panicking: a rank that unwinds aborts the job, since the
/// others would wait for it forever. A panic that is caught before it reaches this value, such as a decoder's, aborts
/// nothing.
pub struct MpiRanks {
    world: SimpleCommunicator,
    // Finalises MPI when dropped.
    _universe: Universe,
}

impl MpiRanks {
    /// Joins the job. Call once, on the thread that will call the methods.
    ///
    /// # Errors
    ///
    /// [`TrainError::Mpi`] if this process has already joined.
    pub fn join() -> Result<Self, TrainError> {
        let joined = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, _) = joined.ok_or_else(|| TrainError::Mpi {
            problem: "this process has already joined; call MpiRanks::join only once".into(),
        })?;
        Ok(Self { world: universe.world(), _universe: universe })
    }

    fn sum<T: Equivalence + Copy>(&self, values: &mut [T]) {
        let own = values.to_vec();
        self.world.all_reduce_into(&own[..], values, SystemOperation::sum());
    }
}

impl Ranks for MpiRanks {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn sum_f32(&self, values: &mut [f32]) {
        self.sum(values);
    }

    fn sum_f64(&self, values: &mut [f64]) {
        self.sum(values);
    }

    fn broadcast(&self, from: usize, mut bytes: Vec<u8>) -> Vec<u8> {
        let root = self.world.process_at_rank(from as i32);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        root.broadcast_into(&mut bytes[..]);
        bytes
    }

    fn abort(&self, code: i32) -> ! {
        self.world.abort(code)
    }
}

impl Drop for MpiRanks {
    fn drop(&mut self) {
        if std::thread::panicking() && self.size() > 1 {
            // 101 is the exit code of a panicking Rust process.
            self.abort(101);
        }
    }
}
