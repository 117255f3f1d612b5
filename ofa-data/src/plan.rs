//! What is in a batch: a function of seed, epoch, index of the batch and resolution.

use rand::seq::SliceRandom;

use crate::augment::View;
use crate::batch::HostBatch;
use crate::error::DataError;
use crate::index::ImageSet;
use crate::loader::LoaderConfig;
use crate::normalise::Normalisation;
use crate::prefetch::Stop;
use crate::seed::{self, Purpose};

/// Everything the content of a batch depends on but its place in the run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) set: ImageSet,
    pub(crate) config: LoaderConfig,
    normalisation: Normalisation,
    mean_colour: Vec<u8>,
}

impl Plan {
    pub(crate) fn new(set: ImageSet, config: LoaderConfig, normalisation: Normalisation) -> Self {
        let mean_colour = normalisation.mean_pixel();
        Self { set, config, normalisation, mean_colour }
    }

    /// Positions in the set, in the order in which `epoch` shows them.
    pub(crate) fn order(&self, epoch: u64) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.set.len() as u32).collect();
        if let View::Train(_) = self.config.view {
            order.shuffle(&mut seed::rng(Purpose::Order, &[self.config.seed, epoch]));
        }
        order
    }

    /// Batch number `batch` of `epoch`, which shows the images in this `order`.
    pub(crate) fn batch(
        &self,
        order: &[u32],
        epoch: u64,
        batch: usize,
        resolution: usize,
        stop: &Stop,
    ) -> Result<HostBatch, DataError> {
        let first = batch * self.config.batch_size;
        let members = &order[first..(first + self.config.batch_size).min(order.len())];
        let labels = members.iter().map(|&i| self.set.label(i as usize) as i64).collect();
        HostBatch::build(labels, self.set.channels(), resolution, |position, canvas, planes| {
            // Whoever asked to stop does not look at this batch: it need not be finished.
            if stop.is_requested() {
                return Ok(());
            }
            let image = self.set.get(members[position] as usize)?;
            match &self.config.view {
                View::Evaluate => self.set.framing().draw(&image, resolution, canvas),
                View::Train(augment) => {
                    let key = [self.config.seed, epoch, (first + position) as u64];
                    let mut rng = seed::rng(Purpose::Augment, &key);
                    augment.draw(&image, resolution, &self.mean_colour, &mut rng, canvas);
                }
            }
            self.normalisation.write(&canvas.pixels, planes);
            Ok(())
        })
    }
}
