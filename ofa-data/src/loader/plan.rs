//! The content of a batch: a function of seed, epoch, batch index and resolution.

use std::sync::{Arc, Mutex, PoisonError};

use rand::seq::SliceRandom;

use crate::error::DataError;
use crate::loader::LoaderConfig;
use crate::loader::batch::HostBatch;
use crate::loader::prefetch::Stop;
use crate::random::{Purpose, stream};
use crate::set::ImageSet;
use crate::view::augment::{AugmentConfig, View};
use crate::view::canvas::Canvas;
use crate::view::normalise::Normalisation;

/// Everything that determines the content of batches, except their epoch, index and resolution.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) set: ImageSet,
    pub(crate) config: LoaderConfig,
    shard: Shard,
    pub(crate) normalisation: Normalisation,
    mean_colour: Vec<u8>,
    last_order: Arc<Mutex<Option<EpochOrder>>>,
}

/// The order of the last requested epoch. Cached: shuffling a million images for every batch costs more than the batch.
#[derive(Debug)]
struct EpochOrder {
    epoch: u64,
    order: Arc<[u32]>,
}

/// The share of one of several loaders that serve a set together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) rank: usize,
    pub(crate) ranks: usize,
}

impl Plan {
    pub(crate) fn new(set: ImageSet, config: LoaderConfig, normalisation: Normalisation) -> Self {
        let mean_colour = normalisation.mean_pixel();
        let shard = Shard { rank: 0, ranks: 1 };
        Self { set, config, shard, normalisation, mean_colour, last_order: Arc::default() }
    }

    /// The same plan for one of several loaders.
    pub(crate) fn with_shard(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// Number of batches per epoch.
    pub(crate) fn batches(&self) -> usize {
        let (images, size, Shard { rank, ranks }) = (self.set.len(), self.config.batch_size, self.shard);
        let (of_all, rest) = (images / (size * ranks), images % (size * ranks));
        // The ranks share an incomplete round: the first ranks get images, the last ones may get none.
        if self.config.drop_last || rest <= rank * size { of_all } else { of_all + 1 }
    }

    /// Images in one batch of every rank together.
    pub(crate) fn images_per_round(&self) -> usize {
        self.config.batch_size * self.shard.ranks
    }

    /// Positions in the set, in the order in which `epoch` shows them.
    pub(crate) fn order(&self, epoch: u64) -> Arc<[u32]> {
        // The value is replaced as a whole, so it is valid even if a thread panicked while holding the lock.
        let mut last = self.last_order.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(last) if last.epoch == epoch => last.order.clone(),
            _ => {
                let order = self.draw_order(epoch);
                *last = Some(EpochOrder { epoch, order: order.clone() });
                order
            }
        }
    }

    fn draw_order(&self, epoch: u64) -> Arc<[u32]> {
        let mut order: Vec<u32> = (0..self.set.len() as u32).collect();
        if let View::Train(_) = self.config.view {
            order.shuffle(&mut stream(self.config.seed, Purpose::Order, &[epoch]));
        }
        order.into()
    }

    /// Size in bytes of a prepared batch at `resolution`.
    pub(crate) fn batch_bytes(&self, resolution: usize) -> usize {
        self.config.batch_size * self.set.channels() * resolution * resolution
    }

    /// Makes batch `batch` of `epoch`, whose images are in this `order`.
    pub(crate) fn batch(
        &self,
        order: &[u32],
        epoch: u64,
        batch: usize,
        resolution: usize,
        stop: &Stop,
    ) -> Result<HostBatch, DataError> {
        let size = self.config.batch_size;
        let first = (batch * self.shard.ranks + self.shard.rank) * size;
        let members = &order[first..(first + size).min(order.len())];
        let labels = members.iter().map(|&i| self.set.label(i as usize) as i64).collect();
        let shape = [self.set.channels(), resolution];
        let canvas = || Canvas::new(self.set.interpolation());
        let mut built = HostBatch::build(labels, shape, canvas, |position, canvas| {
            // After a stop request the batch is discarded, so it need not be complete.
            if stop.is_requested() {
                return Ok(false);
            }
            let shown = self.set.show(members[position] as usize, |picture| match &self.config.view {
                View::Evaluate => self.set.framing().draw(picture, resolution, canvas),
                View::Train(augment) => {
                    let key = [epoch, (first + position) as u64];
                    let mut rng = stream(self.config.seed, Purpose::Augment, &key);
                    augment.draw(picture, resolution, &self.mean_colour, &mut rng, canvas)
                }
            })?;
            Ok(shown.is_some())
        })?;
        self.set.check_broken()?;
        // Evaluation does not depend on the number of batches, so the iterator skips empty ones.
        if built.size() == 0 && self.config.view != View::Evaluate {
            return Err(DataError::NothingLeft { batch, images: members.len() });
        }
        if let View::Train(AugmentConfig { mixup: Some(mixup), .. }) = &self.config.view {
            built.mixup = Some(mixup.draw(&mut stream(self.config.seed, Purpose::Mixup, &[epoch, batch as u64])));
        }
        Ok(built)
    }
}
