//! Batches of images of one resolution.

use burn::Tensor;
use burn::tensor::{Device, Int, TensorData};
use rayon::prelude::*;

use crate::canvas::Canvas;
use crate::error::DataError;

/// Images of one resolution `r` with their labels, on a device.
#[derive(Debug, Clone)]
pub struct ImageBatch {
    /// Normalised values, `[batch, channels, r, r]`.
    pub images: Tensor<4>,
    /// Class indices, `[batch]`.
    pub labels: Tensor<1, Int>,
}

impl ImageBatch {
    /// Number of images.
    pub fn size(&self) -> usize {
        self.images.dims()[0]
    }
}

/// The same in host memory.
#[derive(Debug)]
pub(crate) struct HostBatch {
    images: Vec<f32>,
    labels: Vec<i64>,
    shape: [usize; 4],
}

impl HostBatch {
    /// A batch of one image a label, the images drawn by `draw(position, canvas, image)` into
    /// `[channels, resolution, resolution]`, on all threads of the current pool.
    ///
    /// # Errors
    /// The error of the first image, by position, that has one.
    pub(crate) fn build(
        labels: Vec<i64>,
        channels: usize,
        resolution: usize,
        draw: impl Fn(usize, &mut Canvas, &mut [f32]) -> Result<(), DataError> + Sync,
    ) -> Result<Self, DataError> {
        assert!(resolution > 0, "resolution of a batch is 0");
        let shape = [labels.len(), channels, resolution, resolution];
        let image_size = channels * resolution * resolution;
        let mut images = vec![0.0; labels.len() * image_size];
        // The canvas belongs to the job, not to the thread: a thread that waits inside the resizer may
        // take up another image.
        let failure = images
            .par_chunks_exact_mut(image_size)
            .enumerate()
            .map_init(Canvas::default, |canvas, (position, image)| draw(position, canvas, image))
            .find_map_first(Result::err);
        match failure {
            Some(error) => Err(error),
            None => Ok(Self { images, labels, shape }),
        }
    }

    pub(crate) fn into_device(self, device: &Device) -> ImageBatch {
        let batch = self.labels.len();
        ImageBatch {
            images: Tensor::from_data(TensorData::new(self.images, self.shape), device),
            labels: Tensor::from_data(TensorData::new(self.labels, [batch]), device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_where_their_position_says() {
        let draw = |position: usize, _: &mut Canvas, image: &mut [f32]| {
            image.iter_mut().enumerate().for_each(|(i, value)| *value = (10 * position + i) as f32);
            Ok(())
        };
        let batch = HostBatch::build(vec![3, 4], 1, 2, draw).unwrap().into_device(&Device::flex());
        assert_eq!((batch.size(), batch.images.dims()), (2, [2, 1, 2, 2]));
        let values = batch.images.into_data().try_cast(burn::tensor::DType::F32).unwrap();
        assert_eq!(values.as_slice::<f32>().unwrap(), [0., 1., 2., 3., 10., 11., 12., 13.]);
        batch.labels.into_data().assert_eq(&TensorData::from([3i64, 4]), false);
    }

    #[test]
    fn the_first_failing_image_is_reported() {
        let draw = |position: usize, _: &mut Canvas, _: &mut [f32]| match position {
            0 | 1 => Ok(()),
            _ => Err(DataError::invalid("image", position, "0 or 1")),
        };
        for _ in 0..50 {
            let error = HostBatch::build(vec![0; 64], 1, 2, draw).unwrap_err();
            assert_eq!(error.to_string(), "image is 2, expected 0 or 1");
        }
    }
}
