//! Batches of an image set, epoch by epoch, prefetched by a background thread.

pub(crate) mod batch;
pub(crate) mod bytes;
pub(crate) mod plan;
pub(crate) mod prefetch;

use std::sync::Arc;

use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::DataError;
use crate::loader::batch::{HostBatch, ImageBatch};
use crate::loader::bytes::{ByteBatch, Showing};
use crate::loader::plan::{Plan, Shard};
use crate::loader::prefetch::{Ahead, Prefetch, Stop};
use crate::set::ImageSet;
use crate::view::augment::View;
use crate::view::normalise::Normalisation;

/// Settings of a [`Loader`].
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderConfig {
    /// Images per batch.
    pub batch_size: usize,
    /// Seed of the image order and the augmentation.
    pub seed: u64,
    /// How the images are shown. A training view also shuffles them.
    pub view: View,
    /// Whether to drop the last batch if it is incomplete.
    pub drop_last: bool,
    /// Maximum number of batches to prefetch, at least 1. Fewer are prefetched if they do not fit in memory
    /// ([`Loader::with_memory`]).
    pub prefetch: usize,
}

/// Default memory for prefetched batches, in bytes; see [`Loader::with_memory`].
const MEMORY: usize = 256 << 20;

/// Serves an image set in batches.
///
/// The content of a batch is a function of (seed, epoch, batch index, resolution) alone. It does not depend on the
/// number of threads or on earlier batches, so an epoch can be resumed in the middle.
#[derive(Debug, Clone)]
pub struct Loader {
    plan: Arc<Plan>,
    pool: Option<Arc<ThreadPool>>,
    memory: usize,
    on_device: bool,
}

/// The remaining batches of an epoch; see [`Loader::epoch`].
#[derive(Debug)]
pub struct EpochBatches {
    prepared: Prefetch<HostBatch>,
    /// The next batch, if it was sent ahead.
    ahead: Option<Result<ByteBatch, DataError>>,
    showing: Arc<Showing>,
}

impl Loader {
    /// A loader of `set`.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for an empty set, a batch size or prefetch of 0, `drop_last` with fewer images than one
    /// batch, or an augmentation that [`AugmentConfig::validate`] rejects.
    ///
    /// [`AugmentConfig::validate`]: crate::AugmentConfig::validate
    ///
    /// # Panics
    /// If `normalisation` and `set` differ in the number of channels.
    pub fn new(set: ImageSet, config: LoaderConfig, normalisation: Normalisation) -> Result<Self, DataError> {
        let (of_set, of_norm) = (set.channels(), normalisation.channels());
        assert_eq!(of_set, of_norm, "channels of the image set and the normalisation differ");
        for (name, value) in [("batch_size", config.batch_size), ("prefetch", config.prefetch)] {
            if value == 0 {
                return Err(DataError::invalid(name, value, "at least 1"));
            }
        }
        let least = if config.drop_last { config.batch_size } else { 1 };
        if set.len() < least {
            let expected = format!("at least {least} to fill a batch");
            return Err(DataError::invalid("number of images", set.len(), expected));
        }
        if let View::Train(augment) = &config.view {
            augment.validate()?;
        }
        Ok(Self { plan: Arc::new(Plan::new(set, config, normalisation)), pool: None, memory: MEMORY, on_device: false })
    }

    /// Prepares batches on `threads` dedicated threads instead of rayon's shared global pool. The content of the
    /// batches does not change.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if `threads` is 0 or the threads cannot be started.
    pub fn with_threads(mut self, threads: usize) -> Result<Self, DataError> {
        if threads == 0 {
            return Err(DataError::invalid("threads", threads, "at least 1"));
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("batch loader {i}")).build();
        let pool = pool.map_err(|error| DataError::invalid("threads", threads, format!("fewer: {error}")))?;
        self.pool = Some(Arc::new(pool));
        Ok(self)
    }

    /// Limits the memory of prefetched batches to `bytes` (default: 256 MiB). One batch is always allowed.
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Sends bytes and normalises on the device, as on every device but flex, whose numbers then differ in their last
    /// digits. Lets that path be tested where there is no other device.
    pub fn with_pixels_on_device(mut self) -> Self {
        self.on_device = true;
        self
    }

    /// Serves the share of `rank` among `ranks` loaders with equal configurations. Together, batch by batch, they give
    /// what one loader with `ranks` times the batch size gives, except that [`Mixup`](crate::Mixup) blends only images
    /// of the same rank. With `drop_last`, all ranks have the same number of batches.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if `rank` is not below `ranks`, or if with `drop_last` the set cannot fill one batch per
    /// rank.
    pub fn with_shard(mut self, rank: usize, ranks: usize) -> Result<Self, DataError> {
        if rank >= ranks {
            return Err(DataError::invalid("rank", rank, format!("below the number of ranks, {ranks}")));
        }
        let plan = Plan::clone(&self.plan).with_shard(Shard { rank, ranks });
        if plan.config.drop_last && plan.batches() == 0 {
            let expected = format!("at least {} to fill a batch per rank", plan.config.batch_size * ranks);
            return Err(DataError::invalid("number of images", plan.set.len(), expected));
        }
        self.plan = Arc::new(plan);
        Ok(self)
    }

    /// Number of batches per epoch on this rank.
    pub fn batches_per_epoch(&self) -> usize {
        self.plan.batches()
    }

    /// Number of images in a full step: the batch size times the number of ranks.
    pub fn images_per_step(&self) -> usize {
        self.plan.images_per_round()
    }

    /// The greatest label of the images; a network needs more classes than it.
    pub fn greatest_label(&self) -> usize {
        let set = &self.plan.set;
        (0..set.len()).map(|i| set.label(i)).max().unwrap_or(0)
    }

    /// Makes batch `batch` of `epoch` at `resolution` pixels immediately. Equal to what [`Loader::epoch`] gives at this
    /// index.
    ///
    /// # Errors
    /// If an image cannot be read and the policy does not allow skipping it.
    ///
    /// # Panics
    /// If `batch` is not below [`Loader::batches_per_epoch`] or `resolution` is 0.
    pub fn batch(&self, epoch: u64, batch: usize, resolution: usize, device: &Device) -> Result<ImageBatch, DataError> {
        let batches = self.batches_per_epoch();
        assert!(batch < batches, "batch {batch} is out of range: the epoch has {batches} batches");
        let make = || self.plan.batch(&self.plan.order(epoch), epoch, batch, resolution, &Stop::default());
        let made = match &self.pool {
            Some(pool) => pool.install(make),
            None => make(),
        };
        Ok(made?.stored(&self.showing(device)).show())
    }

    /// The batches of `epoch`, starting at index `start_batch`. `resolution` maps the index of a batch to its
    /// resolution in pixels.
    ///
    /// A background thread prepares up to `prefetch` batches ahead. An unreadable image or a panic in that thread is
    /// returned as an error, which is then the last item. Dropping the iterator stops the thread.
    ///
    /// Without [`Loader::with_threads`], do not wait for batches on a thread of rayon's global pool: if the pool has
    /// only one thread, this deadlocks.
    ///
    /// # Panics
    /// If `start_batch` is greater than [`Loader::batches_per_epoch`], or the operating system cannot start a thread.
    pub fn epoch<F>(&self, epoch: u64, start_batch: usize, resolution: F, device: &Device) -> EpochBatches
    where
        F: Fn(usize) -> usize + Send + Sync + 'static,
    {
        let batches = self.batches_per_epoch();
        assert!(start_batch <= batches, "start batch {start_batch} is out of range: the epoch has {batches} batches");
        let showing = self.showing(device);
        let Self { plan, pool, memory, .. } = self.clone();
        let ahead = Ahead { items: plan.config.prefetch, bytes: memory };
        let resolution = Arc::new(resolution);
        let weigh = {
            let (plan, resolution) = (plan.clone(), resolution.clone());
            move |batch| plan.batch_bytes(resolution(batch))
        };
        // Kept outside the plan, which may serve other epochs at the same time.
        let mut order = None;
        let make = move |batch: usize, stop: &Stop| {
            let order: &[u32] = order.get_or_insert_with(|| plan.order(epoch));
            let resolution = resolution(batch);
            let make = || plan.batch(order, epoch, batch, resolution, stop);
            match &pool {
                Some(pool) => pool.install(make),
                None => make(),
            }
        };
        EpochBatches { prepared: Prefetch::start(start_batch..batches, ahead, weigh, make), ahead: None, showing }
    }

    fn showing(&self, device: &Device) -> Arc<Showing> {
        Showing::new(&self.plan.normalisation, device, self.on_device)
    }
}

impl EpochBatches {
    /// Sends the next batch to the device if it is prepared. Called between queueing the work of a batch and waiting for
    /// it, this copies while the device computes. Does nothing on flex.
    pub fn send_ahead(&mut self) {
        if self.ahead.is_none() && matches!(*self.showing, Showing::OnDevice { .. }) {
            self.ahead = loop {
                match self.prepared.ready() {
                    Some(Ok(batch)) if batch.size() == 0 => {}
                    ready => break ready.map(|batch| Ok(batch?.stored(&self.showing))),
                }
            };
        }
    }

    /// The next batch as bytes, to be kept.
    pub fn next_bytes(&mut self) -> Option<Result<ByteBatch, DataError>> {
        if let Some(sent) = self.ahead.take() {
            return Some(sent);
        }
        // The consumer's thread copies the batch to the device: devices may order their work per thread.
        let filled = self.prepared.find(|batch| batch.as_ref().map_or(true, |batch| batch.size() > 0));
        Some(filled?.map(|batch| batch.stored(&self.showing)))
    }
}

impl Iterator for EpochBatches {
    type Item = Result<ImageBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_bytes()?.map(|batch| batch.show()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.prepared.size_hint();
        let ahead = usize::from(self.ahead.is_some());
        (least + ahead, most.map(|most| most + ahead))
    }
}

/// The evaluation views of all images of `set`, in order, on `device`; for example to calibrate or measure a subnet.
///
/// # Errors
/// [`DataError::Invalid`] for an empty set or a batch size of 0. If an image cannot be read, the iterator yields an
/// error instead of its batch and ends.
///
/// # Panics
/// If `resolution` is 0, or `normalisation` and `set` differ in the number of channels.
pub fn evaluation_batches(
    set: &ImageSet,
    resolution: usize,
    batch_size: usize,
    normalisation: &Normalisation,
    device: &Device,
) -> Result<EpochBatches, DataError> {
    assert!(resolution > 0, "resolution of a batch is 0");
    let config = LoaderConfig { batch_size, seed: 0, view: View::Evaluate, drop_last: false, prefetch: 2 };
    Ok(Loader::new(set.clone(), config, normalisation.clone())?.epoch(0, 0, move |_| resolution, device))
}

#[cfg(test)]
mod tests;
