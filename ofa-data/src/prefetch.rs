//! A thread that prepares items ahead of their use.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::error::DataError;

/// Tells a producer that nobody waits for its work any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The items of a range of indices, in order, made by a thread up to `depth` items ahead.
///
/// It ends after the first error. Dropping it ends the thread, and waits until it has.
#[derive(Debug)]
pub(crate) struct Prefetch<T> {
    /// None when there is nothing more to come.
    items: Option<Receiver<Result<T, DataError>>>,
    remaining: usize,
    stop: Stop,
    worker: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// `make` gives the item of an index; when a stop is requested, what it returns is dropped.
    ///
    /// # Panics
    /// If `depth` is 0 or the operating system cannot start a thread.
    pub(crate) fn start<M>(range: Range<usize>, depth: usize, make: M) -> Self
    where
        M: FnMut(usize, &Stop) -> Result<T, DataError> + Send + 'static,
    {
        assert!(depth > 0, "depth of a prefetch is 0");
        // One item waits outside the channel, in the hand of the thread.
        let (sender, receiver) = sync_channel(depth - 1);
        let stop = Stop::default();
        let (remaining, of_worker) = (range.len(), stop.clone());
        let worker = thread::Builder::new()
            .name("batch loader".into())
            .spawn(move || produce(range, &sender, &of_worker, make))
            .expect("the operating system starts a thread");
        Self { items: Some(receiver), remaining, stop, worker: Some(worker) }
    }
}

fn produce<T, M>(range: Range<usize>, sender: &SyncSender<Result<T, DataError>>, stop: &Stop, mut make: M)
where
    M: FnMut(usize, &Stop) -> Result<T, DataError>,
{
    for index in range {
        if stop.is_requested() {
            return;
        }
        // The state a panic leaves behind is not used again: the loop ends.
        let made = catch_unwind(AssertUnwindSafe(|| make(index, stop)))
            .unwrap_or_else(|panic| Err(DataError::WorkerPanicked { message: message_of(&*panic) }));
        let is_last = made.is_err();
        if sender.send(made).is_err() || is_last {
            return;
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

impl<T> Iterator for Prefetch<T> {
    type Item = Result<T, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The thread sends every item or an error before it ends, so a closed channel is the end.
        let item = self.items.as_ref()?.recv().ok();
        if !matches!(item, Some(Ok(_))) {
            self.items = None;
        }
        self.remaining = if self.items.is_some() { self.remaining - 1 } else { 0 };
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Fewer come if one of them fails.
        (0, Some(self.remaining))
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.stop.0.store(true, Ordering::Relaxed);
        // Without a receiver, a thread that waits to send goes on, and then ends.
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

    #[test]
    fn items_come_in_order_and_end() {
        let mut items = Prefetch::start(3..6, 2, |index, _| Ok(10 * index));
        assert_eq!(items.size_hint(), (0, Some(3)));
        assert_eq!(items.next().unwrap().unwrap(), 30);
        assert_eq!(items.size_hint(), (0, Some(2)));
        assert_eq!(items.by_ref().map(Result::unwrap).collect::<Vec<_>>(), [40, 50]);
        assert!(items.next().is_none() && items.next().is_none());
        assert_eq!(items.size_hint(), (0, Some(0)));
    }

    #[test]
    fn no_more_than_depth_items_are_made_ahead() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let mut items = Prefetch::start(0..100, 3, move |index, _| {
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
    fn an_error_or_a_panic_is_the_last_item() {
        let fail = |index, _: &Stop| if index < 2 { Ok(index) } else { Err(DataError::invalid("index", index, "< 2")) };
        let items: Vec<_> = Prefetch::start(0..9, 4, fail).collect();
        assert_eq!(items.len(), 3);
        assert_eq!(items[2].as_ref().unwrap_err().to_string(), "index is 2, expected < 2");

        let burst = |index: usize, _: &Stop| if index < 1 { Ok(index) } else { panic!("item {index} burst") };
        let items: Vec<_> = Prefetch::start(0..9, 4, burst).collect();
        assert_eq!(items.len(), 2);
        assert_eq!(items[1].as_ref().unwrap_err().to_string(), "the batch loader panicked: item 1 burst");
    }

    #[test]
    fn dropping_ends_the_thread_while_it_works_and_while_it_waits() {
        for taken in [0, 1, 4] {
            let held = Arc::new(());
            let holder = held.clone();
            let begin = Instant::now();
            let mut items = Prefetch::start(0..1000, 2, move |index, stop| {
                let _in_use = &holder;
                // A long piece of work that looks up now and then.
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
