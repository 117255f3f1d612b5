//! Batches of images of one resolution.

use burn::Tensor;
use burn::tensor::{Device, Int, TensorData};
use rayon::prelude::*;

use crate::error::DataError;
use crate::transfer::upload;
use crate::view::canvas::Canvas;
use crate::view::mixup::mix;

/// Images of one resolution `r` with their labels, on a device.
#[derive(Debug, Clone)]
pub struct ImageBatch {
    /// Normalised values, `[batch, channels, r, r]`.
    pub images: Tensor<4>,
    /// Class indices, `[batch]`.
    pub labels: Tensor<1, Int>,
    /// Weight of each image in its blend, if the batch is blended ([`Mixup`](crate::Mixup)). The rest comes from the
    /// image at the mirrored position: image `i` of `n` is blended with image `n - 1 - i`.
    pub mixup: Option<f32>,
}

impl ImageBatch {
    /// An unblended batch of `images`, `[batch, channels, r, r]`, and `labels`, `[batch]`.
    pub fn new(images: Tensor<4>, labels: Tensor<1, Int>) -> Self {
        Self { images, labels, mixup: None }
    }

    /// Number of images.
    pub fn size(&self) -> usize {
        self.images.dims()[0]
    }
}

/// An [`ImageBatch`] in host memory.
#[derive(Debug)]
pub(crate) struct HostBatch {
    images: Vec<f32>,
    labels: Vec<i64>,
    mixup: Option<f32>,
    /// `[channels, resolution]`
    shape: [usize; 2],
}

impl HostBatch {
    /// Builds a batch with one image per label on all threads of the current pool. `draw(position, canvas, image)`
    /// writes the image, `[channels, resolution, resolution]`, or returns `false` to leave it out.
    ///
    /// # Errors
    /// The error of the first failing image, by position.
    pub(crate) fn build(
        labels: Vec<i64>,
        shape: [usize; 2],
        canvas: impl Fn() -> Canvas + Send + Sync,
        draw: impl Fn(usize, &mut Canvas, &mut [f32]) -> Result<bool, DataError> + Sync,
    ) -> Result<Self, DataError> {
        assert!(shape[1] > 0, "resolution of a batch is 0");
        let size = shape[0] * shape[1] * shape[1];
        let mut images = vec![0.0; labels.len() * size];
        // One canvas per job, not per thread: a thread waiting inside the resizer may start on another image.
        let drawn: Vec<Result<bool, DataError>> = images
            .par_chunks_exact_mut(size)
            .enumerate()
            .map_init(canvas, |canvas, (position, image)| draw(position, canvas, image))
            .collect();
        let drawn = drawn.into_iter().collect::<Result<Vec<bool>, DataError>>()?;
        let mut batch = Self { images, labels, mixup: None, shape };
        if drawn.contains(&false) {
            batch.keep(&drawn);
        }
        Ok(batch)
    }

    /// Number of images.
    pub(crate) fn size(&self) -> usize {
        self.labels.len()
    }

    /// Blends the images in pairs; see [`mix`].
    pub(crate) fn mix(&mut self, share: f32) {
        let size = self.image_size();
        mix(&mut self.images, size, share);
        self.mixup = Some(share);
    }

    /// Compacts the batch to the images that were drawn.
    fn keep(&mut self, drawn: &[bool]) {
        let size = self.image_size();
        let mut kept = 0;
        for position in (0..drawn.len()).filter(|&position| drawn[position]) {
            self.images.copy_within(position * size..(position + 1) * size, kept * size);
            self.labels[kept] = self.labels[position];
            kept += 1;
        }
        self.images.truncate(kept * size);
        self.labels.truncate(kept);
    }

    fn image_size(&self) -> usize {
        self.shape[0] * self.shape[1] * self.shape[1]
    }

    pub(crate) fn into_device(self, device: &Device) -> ImageBatch {
        let (batch, [channels, resolution]) = (self.size(), self.shape);
        let shape = [batch, channels, resolution, resolution];
        ImageBatch {
            images: upload(TensorData::new(self.images, shape), device),
            labels: upload(TensorData::new(self.labels, [batch]), device),
            mixup: self.mixup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_in_order_without_those_left_out() {
        let draw = |position: usize, _: &mut Canvas, image: &mut [f32]| {
            image.iter_mut().enumerate().for_each(|(i, value)| *value = (10 * position + i) as f32);
            Ok(position != 1)
        };
        let batch =
            HostBatch::build(vec![3, 7, 4], [1, 2], Canvas::default, draw).unwrap().into_device(&Device::flex());
        assert_eq!((batch.size(), batch.images.dims()), (2, [2, 1, 2, 2]));
        let values = batch.images.into_data().try_cast(burn::tensor::DType::F32).unwrap();
        assert_eq!(values.as_slice::<f32>().unwrap(), [0., 1., 2., 3., 20., 21., 22., 23.]);
        batch.labels.into_data().assert_eq(&TensorData::from([3i64, 4]), false);
    }

    #[test]
    fn the_first_failing_image_is_reported() {
        let draw = |position: usize, _: &mut Canvas, _: &mut [f32]| match position {
            0 | 1 => Ok(true),
            _ => Err(DataError::invalid("image", position, "0 or 1")),
        };
        for _ in 0..50 {
            let error = HostBatch::build(vec![0; 64], [1, 2], Canvas::default, draw).unwrap_err();
            assert_eq!(error.to_string(), "image is 2, expected 0 or 1");
        }
    }
}
