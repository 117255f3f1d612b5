//! The images that an [`Evaluator`](super::Evaluator) reads repeatedly.

use crate::TrainError;
use burn::tensor::Device;
use ofa_data::{ByteBatch, DataError, EpochBatches, ImageBatch, ImageSet, Normalisation, evaluation_batches};
use std::collections::HashMap;

/// Limit of images kept per set, in bytes.
const KEPT: usize = 1 << 30;

/// An image set and its batches, decoded and resized, by resolution.
pub(super) struct Images {
    set: ImageSet,
    batch_size: usize,
    normalisation: Normalisation,
    device: Device,
    kept: HashMap<usize, Vec<ByteBatch>>,
    /// Bytes left for further batches.
    room: usize,
}

/// Batches from memory or a loader.
type Batches<'a> = Box<dyn Iterator<Item = Result<ImageBatch, DataError>> + 'a>;

impl Images {
    pub(super) fn new(set: ImageSet, batch_size: usize, normalisation: &Normalisation, device: &Device) -> Self {
        let (normalisation, device) = (normalisation.clone(), device.clone());
        Self { set, batch_size, normalisation, device, kept: HashMap::new(), room: KEPT }
    }

    /// All batches at `resolution`.
    pub(super) fn at(&mut self, resolution: usize) -> Result<Batches<'_>, TrainError> {
        let bytes = self.set.len() * self.set.channels() * resolution * resolution;
        if !self.kept.contains_key(&resolution) && bytes <= self.room {
            let mut loaded = self.loaded(resolution)?;
            let batches = std::iter::from_fn(|| loaded.next_bytes()).collect::<Result<_, _>>()?;
            self.kept.insert(resolution, batches);
            self.room -= bytes;
        }
        match self.kept.get(&resolution) {
            Some(batches) => Ok(Box::new(batches.iter().map(|batch| Ok(batch.show())))),
            None => Ok(Box::new(self.loaded(resolution)?)),
        }
    }

    fn loaded(&self, resolution: usize) -> Result<EpochBatches, TrainError> {
        let Self { set, batch_size, normalisation, device, .. } = self;
        Ok(evaluation_batches(set, resolution, *batch_size, normalisation, device)?)
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.set.len()
    }
}
