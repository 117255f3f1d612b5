//! A thread that prepares items before they are needed.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::error::DataError;
use crate::set::panic_message;

/// Tells a producer that its work is no longer needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far ahead items may be made. One item is always allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ahead {
    /// Number of items.
    pub(crate) items: usize,
    /// Total bytes of the items.
    pub(crate) bytes: usize,
}

/// Items of an index range, in order, made ahead by a thread.
///
/// Ends after the first error. Dropping it stops the thread and waits for it.
#[derive(Debug)]
pub(crate) struct Prefetch<T> {
    /// Items with their sizes in bytes. `None` once the end is reached.
    items: Option<Receiver<(usize, Result<T, DataError>)>>,
    remaining: usize,
    stop: Stop,
    gate: Arc<Gate>,
    worker: Option<JoinHandle<()>>,
}

/// Blocks the producer until there is room ahead.
#[derive(Debug)]
struct Gate {
    limit: Ahead,
    held: Mutex<Ahead>,
    changed: Condvar,
}

impl Gate {
    /// Waits until an item of `bytes` fits, or a stop is requested, and takes the room.
    fn enter(&self, bytes: usize, stop: &Stop) {
        let is_full = |held: &mut Ahead| {
            let fits = held.items < self.limit.items && held.bytes.saturating_add(bytes) <= self.limit.bytes;
            !(fits || held.items == 0 || stop.is_requested())
        };
        let mut held = self.changed.wait_while(self.held(), is_full).unwrap_or_else(PoisonError::into_inner);
        held.items += 1;
        held.bytes += bytes;
    }

    fn leave(&self, bytes: usize) {
        let mut held = self.held();
        held.items -= 1;
        held.bytes -= bytes;
        self.changed.notify_all();
    }

    fn held(&self) -> MutexGuard<'_, Ahead> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Prefetch<T> {
    /// `make` produces the item of an index; `weigh` gives its size in bytes before it is made. After a stop request
    /// the result of `make` is dropped.
    ///
    /// # Panics
    /// If the operating system cannot start a thread.
    pub(crate) fn start<W, M>(range: Range<usize>, ahead: Ahead, weigh: W, mut make: M) -> Self
    where
        W: Fn(usize) -> usize + Send + 'static,
        M: FnMut(usize, &Stop) -> Result<T, DataError> + Send + 'static,
    {
        let (sender, receiver) = channel();
        let gate = Gate { limit: ahead, held: Mutex::new(Ahead { items: 0, bytes: 0 }), changed: Condvar::new() };
        let (gate, stop, remaining) = (Arc::new(gate), Stop::default(), range.len());
        let (gate_of_worker, stop_of_worker) = (gate.clone(), stop.clone());
        let work = move || produce(range, &sender, &gate_of_worker, &stop_of_worker, &weigh, &mut make);
        let worker = thread::Builder::new()
            .name("batch loader".into())
            .spawn(work)
            .expect("the operating system starts a thread");
        Self { items: Some(receiver), remaining, stop, gate, worker: Some(worker) }
    }
}

impl<T> Prefetch<T> {
    /// The next item if it is made already.
    pub(crate) fn ready(&mut self) -> Option<Result<T, DataError>> {
        match self.items.as_ref()?.try_recv() {
            Ok(received) => self.taken(Some(received)),
            // Not made yet, or the end, which `next` notes.
            Err(_) => None,
        }
    }

    /// Notes what was received, or the end.
    fn taken(&mut self, received: Option<(usize, Result<T, DataError>)>) -> Option<Result<T, DataError>> {
        let item = received.map(|(bytes, item)| {
            // An item whose `weigh` panicked never entered the gate.
            if item.is_ok() {
                self.gate.leave(bytes);
            }
            item
        });
        if !matches!(item, Some(Ok(_))) {
            self.items = None;
        }
        self.remaining = if self.items.is_some() { self.remaining - 1 } else { 0 };
        item
    }
}

fn produce<T>(
    range: Range<usize>,
    sender: &Sender<(usize, Result<T, DataError>)>,
    gate: &Gate,
    stop: &Stop,
    weigh: &impl Fn(usize) -> usize,
    make: &mut impl FnMut(usize, &Stop) -> Result<T, DataError>,
) {
    // Unwind safety: the loop ends after a panic, so its state is not used again.
    let guarded = |work: &mut dyn FnMut() -> Result<T, DataError>| {
        catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(DataError::WorkerPanicked { message: panic_message(&*panic) }))
    };
    for index in range {
        let mut bytes = 0;
        let made = guarded(&mut || {
            bytes = weigh(index);
            gate.enter(bytes, stop);
            make(index, stop)
        });
        let is_last = made.is_err();
        if stop.is_requested() || sender.send((bytes, made)).is_err() || is_last {
            return;
        }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = Result<T, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The thread sends every item, or an error, before it ends: a closed channel is the end.
        let received = self.items.as_ref()?.recv().ok();
        self.taken(received)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error ends the sequence early.
        (0, Some(self.remaining))
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        {
            // Set under the lock, so a thread about to wait for room sees it.
            let _held = self.gate.held();
            self.stop.0.store(true, Ordering::Relaxed);
            self.gate.changed.notify_all();
        }
        self.items = None;
        if let Some(worker) = self.worker.take() {
            worker.join().expect("panics are caught inside the thread");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    fn start<M>(range: Range<usize>, items: usize, make: M) -> Prefetch<usize>
    where
        M: FnMut(usize, &Stop) -> Result<usize, DataError> + Send + 'static,
    {
        Prefetch::start(range, Ahead { items, bytes: usize::MAX }, |_| 1, make)
    }

    #[test]
    fn items_come_in_order_and_end() {
        let mut items = start(3..6, 2, |index, _| Ok(10 * index));
        assert_eq!(items.size_hint(), (0, Some(3)));
        assert_eq!(items.next().unwrap().unwrap(), 30);
        assert_eq!(items.size_hint(), (0, Some(2)));
        assert_eq!(items.by_ref().map(Result::unwrap).collect::<Vec<_>>(), [40, 50]);
        assert!(items.next().is_none() && items.next().is_none());
        assert_eq!(items.size_hint(), (0, Some(0)));
    }

    #[test]
    fn an_item_that_is_made_is_ready_at_once() {
        let mut items =
            start(0..2, 2, |index, _| if index == 0 { Ok(7) } else { Err(DataError::invalid("index", 1, "0")) });
        let mut wait = || loop {
            match items.ready() {
                Some(item) => return item,
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!(wait().unwrap(), 7);
        assert!(wait().is_err());
        assert!(items.ready().is_none() && items.next().is_none());
    }

    #[test]
    fn no_more_than_depth_items_are_made_ahead() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let mut items = start(0..100, 3, move |index, _| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(index)
        });
        let settle = || {
            thread::sleep(Duration::from_millis(50));
            made.load(Ordering::SeqCst)
        };
        assert_eq!(settle(), 3);
        items.next();
        assert_eq!(settle(), 4);
    }

    #[test]
    fn no_more_than_so_many_bytes_are_ahead_but_always_an_item() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let make = move |index: usize, _: &Stop| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(index)
        };
        // Items 0 to 3 have 10, 20, 30 and 400 bytes.
        let weigh = |index| [10, 20, 30, 400][index];
        let mut items = Prefetch::start(0..4, Ahead { items: 100, bytes: 55 }, weigh, make);
        let mut settle = |take: bool| {
            if take {
                items.next().unwrap().unwrap();
            }
            thread::sleep(Duration::from_millis(50));
            made.load(Ordering::SeqCst)
        };
        assert_eq!([settle(false), settle(true), settle(true), settle(true), settle(true)], [2, 3, 3, 4, 4]);
    }

    #[test]
    fn an_error_or_a_panic_is_the_last_item() {
        let fail = |index, _: &Stop| if index < 2 { Ok(index) } else { Err(DataError::invalid("index", index, "< 2")) };
        let items: Vec<_> = start(0..9, 4, fail).collect();
        assert_eq!(items.len(), 3);
        assert_eq!(items[2].as_ref().unwrap_err().to_string(), "index is 2, expected < 2");

        let burst = |index: usize, _: &Stop| if index < 1 { Ok(index) } else { panic!("item {index} burst") };
        let items: Vec<_> = start(0..9, 4, burst).collect();
        assert_eq!(items.len(), 2);
        assert_eq!(items[1].as_ref().unwrap_err().to_string(), "the batch loader panicked: item 1 burst");
    }

    #[test]
    fn dropping_ends_the_thread_while_it_works_and_while_it_waits() {
        for taken in [0, 1, 4] {
            let held = Arc::new(());
            let holder = held.clone();
            let begin = Instant::now();
            let mut items = start(0..1000, 2, move |index, stop| {
                let _in_use = &holder;
                // A long task that polls for the stop request.
                for _ in 0..if index == 4 { 10_000 } else { 0 } {
                    if stop.is_requested() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                Ok(index)
            });
            items.by_ref().take(taken).for_each(|item| assert!(item.is_ok()));
            drop(items);
            assert_eq!(Arc::strong_count(&held), 1, "the thread still lives");
            assert!(begin.elapsed() < Duration::from_secs(5));
        }
    }
}
