//! [`Launches`]: the kernels that GPU backends start.

use burn_cubecl::cubecl::config::{TypeNameFormatLevel, type_name_format};
use burn_cubecl::cubecl::logging::{LaunchObservation, LaunchObserver};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How often each kernel was launched, by its name without types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launches(BTreeMap<String, usize>);

impl Launches {
    /// What `work` and everything else in the process launch meanwhile. A backend queues ops, so `work` must end with a
    /// [sync](burn::tensor::Device::sync); and the first time it meets a shape it launches every kernel that it chooses
    /// from, so `work` should have been done before.
    pub fn during<R>(work: impl FnOnce() -> R) -> (Self, R) {
        let counter = Arc::new(Counter::default());
        let observation = LaunchObservation::new(counter.clone());
        let result = work();
        drop(observation);
        let found = counter.lock().clone();
        (found, result)
    }

    /// Launches of all kernels.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Launches of the kernels whose name contains `part`.
    pub fn of(&self, part: &str) -> usize {
        self.0.iter().filter(|(name, _)| name.contains(part)).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Launches {
    /// One line per kernel, the most frequent first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kernels: Vec<_> = self.0.iter().collect();
        kernels.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        kernels.iter().try_for_each(|(name, count)| writeln!(f, "{count:6} {name}"))
    }
}

#[derive(Default)]
struct Counter(Mutex<Launches>);

impl Counter {
    fn lock(&self) -> MutexGuard<'_, Launches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LaunchObserver for Counter {
    fn launched(&self, kernel: &'static str) {
        *self.lock().0.entry(type_name_format(kernel, TypeNameFormatLevel::Short)).or_default() += 1;
    }
}
