//! Batches of an image set, epoch by epoch, prepared ahead by a thread.

pub(crate) mod batch;
pub(crate) mod plan;
pub(crate) mod prefetch;

use std::sync::Arc;

use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::DataError;
use crate::loader::batch::{HostBatch, ImageBatch};
use crate::loader::plan::{Plan, Shard};
use crate::loader::prefetch::{Ahead, Prefetch, Stop};
use crate::set::ImageSet;
use crate::view::augment::View;
use crate::view::normalise::Normalisation;

/// How a [`Loader`] serves its set.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderConfig {
    /// Images of a batch.
    pub batch_size: usize,
    /// What order and augmentation are drawn by.
    pub seed: u64,
    /// How the images are shown; a training view also shuffles them.
    pub view: View,
    /// Whether a last, smaller batch is left out.
    pub drop_last: bool,
    /// Batches that may be ready ahead of their use, at least 1; fewer if they do not fit ([`Loader::with_memory`]).
    pub prefetch: usize,
}

/// Bytes of the batches ahead of their use, unless [`Loader::with_memory`] says otherwise.
const MEMORY: usize = 256 << 20;

/// Serves an image set in batches.
///
/// The content of a batch is a function of (seed, epoch, index of the batch, resolution) and of
/// nothing else: not of the number of threads, and not of the batches before it, so that an epoch can
/// be resumed in its middle.
#[derive(Debug, Clone)]
pub struct Loader {
    plan: Arc<Plan>,
    pool: Option<Arc<ThreadPool>>,
    memory: usize,
}

/// The rest of an epoch, in batches; see [`Loader::epoch`].
#[derive(Debug)]
pub struct EpochBatches {
    prepared: Prefetch<HostBatch>,
    device: Device,
}

impl Loader {
    /// A loader of `set`.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for an empty set, a batch size or prefetch of 0, `drop_last` with fewer
    /// images than a batch, or an augmentation that [`AugmentConfig::validate`] refuses.
    ///
    /// [`AugmentConfig::validate`]: crate::AugmentConfig::validate
    ///
    /// # Panics
    /// If `normalisation` has another number of channels than `set`.
    pub fn new(set: ImageSet, config: LoaderConfig, normalisation: Normalisation) -> Result<Self, DataError> {
        let (of_set, of_norm) = (set.channels(), normalisation.channels());
        assert_eq!(of_set, of_norm, "channels of the image set and of the normalisation");
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
        Ok(Self { plan: Arc::new(Plan::new(set, config, normalisation)), pool: None, memory: MEMORY })
    }

    /// Prepares batches on `threads` threads of its own, instead of rayon's global ones which it shares
    /// with everything else. The batches are the same.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if `threads` is 0 or that many cannot be started.
    pub fn with_threads(mut self, threads: usize) -> Result<Self, DataError> {
        if threads == 0 {
            return Err(DataError::invalid("threads", threads, "at least 1"));
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("batch loader {i}")).build();
        let pool = pool.map_err(|error| DataError::invalid("threads", threads, format!("fewer: {error}")))?;
        self.pool = Some(Arc::new(pool));
        Ok(self)
    }

    /// Lets the batches that are ready ahead of their use take at most `bytes` together, in place of 256 MiB; one batch is
    /// always allowed.
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Serves the part of `rank` among `ranks` loaders of equal configuration: together, batch by batch, they give what one
    /// loader with batches `ranks` times as large gives, but that [`Mixup`](crate::Mixup) blends the images of a rank among
    /// themselves. With `drop_last` all have the same number of batches.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if `rank` is not below `ranks`, or the set cannot fill a batch a rank with `drop_last`.
    pub fn with_shard(mut self, rank: usize, ranks: usize) -> Result<Self, DataError> {
        if rank >= ranks {
            return Err(DataError::invalid("rank", rank, format!("below the number of ranks, {ranks}")));
        }
        let plan = Plan::clone(&self.plan).with_shard(Shard { rank, ranks });
        if plan.config.drop_last && plan.batches() == 0 {
            let expected = format!("at least {} to fill a batch a rank", plan.config.batch_size * ranks);
            return Err(DataError::invalid("number of images", plan.set.len(), expected));
        }
        self.plan = Arc::new(plan);
        Ok(self)
    }

    /// Number of batches of an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.plan.batches()
    }

    /// Images of a full batch, of those of all ranks together.
    pub fn images_per_step(&self) -> usize {
        self.plan.images_per_round()
    }

    /// Batch number `batch` of `epoch` at `resolution` pixels, made now: what [`Loader::epoch`] gives at this index.
    ///
    /// # Errors
    /// If an image cannot be read and must not be left out.
    ///
    /// # Panics
    /// If there is no such batch or `resolution` is 0.
    pub fn batch(&self, epoch: u64, batch: usize, resolution: usize, device: &Device) -> Result<ImageBatch, DataError> {
        let batches = self.batches_per_epoch();
        assert!(batch < batches, "batch {batch} of an epoch of {batches}");
        let make = || self.plan.batch(&self.plan.order(epoch), epoch, batch, resolution, &Stop::default());
        let made = match &self.pool {
            Some(pool) => pool.install(make),
            None => make(),
        };
        Ok(made?.into_device(device))
    }

    /// The batches of `epoch` from index `start_batch` on, at the resolution, in pixels, that
    /// `resolution` gives for the index of a batch.
    ///
    /// A thread prepares them, up to `prefetch` batches ahead. An image that cannot be read, or a panic
    /// in that thread, is an error, and the last item. Dropping the iterator ends the thread.
    ///
    /// Without [`Loader::with_threads`], do not wait for batches on a thread of rayon's global pool:
    /// if it is the only one, the batches wait for it in turn.
    ///
    /// # Panics
    /// If `start_batch` is greater than [`Loader::batches_per_epoch`], or the operating system cannot
    /// start a thread.
    pub fn epoch<F>(&self, epoch: u64, start_batch: usize, resolution: F, device: &Device) -> EpochBatches
    where
        F: Fn(usize) -> usize + Send + Sync + 'static,
    {
        let batches = self.batches_per_epoch();
        assert!(start_batch <= batches, "start at batch {start_batch} of an epoch of {batches}");
        let Self { plan, pool, memory } = self.clone();
        let ahead = Ahead { items: plan.config.prefetch, bytes: memory };
        let resolution = Arc::new(resolution);
        let weigh = {
            let (plan, resolution) = (plan.clone(), resolution.clone());
            move |batch| plan.batch_bytes(resolution(batch))
        };
        // Kept beside the plan, which other epochs may be served by at the same time.
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
        EpochBatches { prepared: Prefetch::start(start_batch..batches, ahead, weigh, make), device: device.clone() }
    }
}

impl Iterator for EpochBatches {
    type Item = Result<ImageBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The copy to the device is made by the thread that uses the batch: devices may order their
        // work by thread.
        let device = &self.device;
        let filled = self.prepared.find(|batch| batch.as_ref().map_or(true, |batch| batch.size() > 0));
        Some(filled?.map(|batch| batch.into_device(device)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.prepared.size_hint()
    }
}

/// The evaluation views of all images of `set`, in its order, on `device`: for example to calibrate or measure a subnet.
///
/// # Errors
/// [`DataError::Invalid`] for an empty set or a batch size of 0. An image that cannot be read is an error instead of its
/// batch, the last one.
///
/// # Panics
/// If `resolution` is 0 or `normalisation` has another number of channels than `set`.
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
