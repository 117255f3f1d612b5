//! In-memory cache of decoded images.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::decode::Image;

/// Caches decoded images on first use until the budget is spent; nothing is evicted.
#[derive(Debug)]
pub(crate) struct Cache {
    slots: Vec<OnceLock<Arc<Image>>>,
    /// Bytes left in the budget.
    room: AtomicUsize,
}

impl Cache {
    /// A cache of at most `bytes` bytes of pixels, for a source of `images` images.
    pub(crate) fn new(images: usize, bytes: usize) -> Self {
        Self { slots: (0..images).map(|_| OnceLock::new()).collect(), room: AtomicUsize::new(bytes) }
    }

    pub(crate) fn get(&self, member: usize) -> Option<Arc<Image>> {
        self.slots[member].get().cloned()
    }

    /// Caches an image if it fits.
    pub(crate) fn keep(&self, member: usize, image: &Arc<Image>) {
        let size = image.pixels.len();
        let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(size));
        if taken.is_ok() && self.slots[member].set(image.clone()).is_err() {
            // Another thread cached it first: return the bytes to the budget.
            self.room.fetch_add(size, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_kept_as_far_as_they_fit() {
        let image =
            |side: usize| Arc::new(Image { width: side, height: side, channels: 1, pixels: vec![1; side * side] });
        let cache = Cache::new(4, 20);
        cache.keep(0, &image(4));
        cache.keep(1, &image(3));
        cache.keep(0, &image(4));
        cache.keep(2, &image(2));
        let kept: Vec<bool> = (0..4).map(|member| cache.get(member).is_some()).collect();
        assert_eq!(kept, [true, false, true, false]);
    }
}
