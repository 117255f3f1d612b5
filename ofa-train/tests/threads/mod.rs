//! Ranks that are threads of one process, for tests of collective operations.

use ofa_train::Ranks;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Longer than any rank works between two exchanges.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where ranks deposit their data and collect that of the others.
struct Table {
    laid: Vec<Option<Vec<u8>>>,
    taken: usize,
}

struct Meeting {
    table: Mutex<Table>,
    moved: Condvar,
}

/// A rank that is one of the threads.
pub struct ThreadRank<'a> {
    rank: usize,
    size: usize,
    meeting: &'a Meeting,
}

/// Runs `rank` on `size` threads, one per rank, and returns their results by rank.
pub fn on_threads<T: Send>(size: usize, rank: impl Fn(&ThreadRank) -> T + Sync) -> Vec<T> {
    let table = Mutex::new(Table { laid: vec![None; size], taken: 0 });
    let meeting = Meeting { table, moved: Condvar::new() };
    std::thread::scope(|scope| {
        let (meeting, work) = (&meeting, &rank);
        let start = |rank| scope.spawn(move || work(&ThreadRank { rank, size, meeting }));
        let threads: Vec<_> = (0..size).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("a rank panicked")).collect()
    })
}

impl ThreadRank<'_> {
    /// Deposits `own` and returns what all ranks deposited, by rank.
    fn exchange(&self, own: Vec<u8>) -> Vec<Vec<u8>> {
        let wait = |table, until: fn(&Table) -> bool| {
            let (table, timeout) =
                self.meeting.moved.wait_timeout_while(table, PATIENCE, |table| !until(table)).unwrap();
            assert!(!timeout.timed_out(), "rank {} timed out waiting for the others", self.rank);
            table
        };
        let mut table = self.meeting.table.lock().unwrap();
        table.laid[self.rank] = Some(own);
        self.meeting.moved.notify_all();
        let mut table = wait(table, |table| table.laid.iter().all(Option::is_some));
        let all = table.laid.iter().flatten().cloned().collect();
        // No rank leaves before all have collected and the table is cleared.
        table.taken += 1;
        if table.taken == self.size {
            *table = Table { laid: vec![None; self.size], taken: 0 };
        } else {
            table = wait(table, |table| table.taken == 0);
        }
        drop(table);
        self.meeting.moved.notify_all();
        all
    }
}

impl Ranks for ThreadRank<'_> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum_f32(&self, values: &mut [f32]) {
        let all = self.exchange(values.iter().flat_map(|value| value.to_le_bytes()).collect());
        for (i, value) in values.iter_mut().enumerate() {
            *value = all.iter().map(|bytes| f32::from_le_bytes(bytes[4 * i..][..4].try_into().unwrap())).sum();
        }
    }

    fn sum_f64(&self, values: &mut [f64]) {
        let all = self.exchange(values.iter().flat_map(|value| value.to_le_bytes()).collect());
        for (i, value) in values.iter_mut().enumerate() {
            *value = all.iter().map(|bytes| f64::from_le_bytes(bytes[8 * i..][..8].try_into().unwrap())).sum();
        }
    }

    fn broadcast(&self, from: usize, bytes: Vec<u8>) -> Vec<u8> {
        self.exchange(bytes).swap_remove(from)
    }

    fn abort(&self, code: i32) -> ! {
        panic!("rank {} ended the job with code {code}", self.rank)
    }
}
