//! [`ThreadRanks`]: threads of this process.

use super::Ranks;
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// One of several ranks that are threads of this process: for tests, and to try a job without MPI.
///
/// Sums add up in the order of ranks, so they are the same in every run. A rank that panics, [aborts](Ranks::abort) or
/// returns early ends all ranks that wait for it, now or later: they also panic.
///
/// ```
/// use ofa_train::{Ranks, ThreadRanks};
///
/// let sums = ThreadRanks::run(3, |ranks| {
///     let mut sum = [ranks.rank() as f64];
///     ranks.sum_f64(&mut sum);
///     sum[0]
/// });
/// assert_eq!(sums, [3.0; 3]);
/// ```
pub struct ThreadRanks<'a> {
    rank: usize,
    size: usize,
    meeting: &'a Meeting,
}

/// Where ranks leave their bytes and collect those of the others.
struct Meeting {
    table: Mutex<Table>,
    changed: Condvar,
}

struct Table {
    /// What each rank left in this exchange.
    left: Vec<Option<Vec<u8>>>,
    /// Number of ranks that have collected all of it.
    collected: usize,
    /// The first rank that has ended.
    ended: Option<usize>,
}

impl ThreadRanks<'_> {
    /// Runs `work` on `size` threads, one per rank, and returns their results by rank.
    ///
    /// # Panics
    ///
    /// With the panic of the first rank that ended, or of one that waited for it.
    pub fn run<T: Send>(size: usize, work: impl Fn(&ThreadRanks) -> T + Sync) -> Vec<T> {
        let table = Table { left: vec![None; size], collected: 0, ended: None };
        let meeting = Meeting { table: Mutex::new(table), changed: Condvar::new() };
        let mut results: Vec<thread::Result<T>> = thread::scope(|scope| {
            let (meeting, work) = (&meeting, &work);
            let start = |rank| scope.spawn(move || work(&ThreadRanks { rank, size, meeting }));
            let threads: Vec<_> = (0..size).map(start).collect();
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        // The others panicked because this one did.
        if let Some(first) = meeting.table().ended.filter(|&rank| results[rank].is_err()) {
            results.swap(0, first);
        }
        results.into_iter().map(|result| result.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    }

    /// Leaves `own` and returns what all ranks left, by rank.
    fn exchange(&self, own: Vec<u8>) -> Vec<Vec<u8>> {
        let mut table = self.meeting.table();
        table.left[self.rank] = Some(own);
        self.meeting.changed.notify_all();
        table = self.wait(table, |table| table.left.iter().all(Option::is_some));
        let all = table.left.iter().flatten().cloned().collect();
        // No rank leaves its next bytes before all have collected these.
        table.collected += 1;
        if table.collected == self.size {
            table.left.fill(None);
            table.collected = 0;
        } else {
            table = self.wait(table, |table| table.collected == 0);
        }
        drop(table);
        self.meeting.changed.notify_all();
        all
    }

    /// Waits until `ready`, which never comes once a rank has ended before.
    fn wait<'t>(&self, table: MutexGuard<'t, Table>, ready: impl Fn(&Table) -> bool) -> MutexGuard<'t, Table> {
        let waits = |table: &mut Table| !ready(table) && table.ended.is_none();
        let table = self.meeting.changed.wait_while(table, waits).unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = table.ended.filter(|_| !ready(&table)) {
            panic!("rank {ended} has ended while rank {} waits for it", self.rank);
        }
        table
    }
}

impl Meeting {
    /// The table; a rank that panicked left it in order.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ThreadRanks<'_> {
    fn drop(&mut self) {
        self.meeting.table().ended.get_or_insert(self.rank);
        self.meeting.changed.notify_all();
    }
}

impl Ranks for ThreadRanks<'_> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum_f32(&self, values: &mut [f32]) {
        let all = self.exchange(values.iter().flat_map(|value| value.to_le_bytes()).collect());
        for (i, value) in values.iter_mut().enumerate() {
            *value = all.iter().map(|bytes| f32::from_le_bytes(number(bytes, i))).sum();
        }
    }

    fn sum_f64(&self, values: &mut [f64]) {
        let all = self.exchange(values.iter().flat_map(|value| value.to_le_bytes()).collect());
        for (i, value) in values.iter_mut().enumerate() {
            *value = all.iter().map(|bytes| f64::from_le_bytes(number(bytes, i))).sum();
        }
    }

    fn broadcast(&self, from: usize, bytes: Vec<u8>) -> Vec<u8> {
        self.exchange(bytes).swap_remove(from)
    }

    fn abort(&self, code: i32) -> ! {
        panic!("rank {} ended the job with code {code}", self.rank)
    }
}

/// The bytes of the `i`-th number of `N` bytes.
fn number<const N: usize>(bytes: &[u8], i: usize) -> [u8; N] {
    bytes.as_chunks().0[i]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    /// Message of the panic that ends two ranks, the second of which does `work` while the first waits.
    fn panic_of(work: fn(&ThreadRanks)) -> String {
        let run =
            || ThreadRanks::run(2, |ranks| if ranks.rank() == 1 { work(ranks) } else { assert!(!ranks.any(false)) });
        *catch_unwind(run).unwrap_err().downcast().unwrap()
    }

    #[test]
    fn nobody_waits_for_a_rank_that_has_ended() {
        assert_eq!(panic_of(|ranks| panic!("rank {} fails", ranks.rank())), "rank 1 fails");
        assert_eq!(panic_of(|ranks| ranks.abort(3)), "rank 1 ended the job with code 3");
        assert_eq!(panic_of(|_| ()), "rank 1 has ended while rank 0 waits for it");
    }

    #[test]
    fn ranks_stay_in_step_and_none_waits_for_the_last_to_leave() {
        let sums =
            ThreadRanks::run(3, |ranks| (0..100).map(|_| usize::from(ranks.any(ranks.is_first()))).sum::<usize>());
        assert_eq!(sums, [100; 3]);
    }
}
