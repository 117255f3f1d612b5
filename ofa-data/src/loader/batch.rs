//! Batches of images of one resolution.

use burn::Tensor;
use burn::tensor::Int;
use rayon::prelude::*;

use crate::error::DataError;
use crate::view::canvas::Canvas;

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

/// A batch in host memory, as bytes.
#[derive(Debug)]
pub(crate) struct HostBatch {
    /// `[batch, resolution, resolution, channels]`
    pub(super) pixels: Vec<u8>,
    pub(super) labels: Vec<i64>,
    /// As in [`ImageBatch`]; the pixels are not blended yet.
    pub(super) mixup: Option<f32>,
    /// `[channels, resolution]`
    pub(super) shape: [usize; 2],
}

impl HostBatch {
    /// Builds a batch with one image per label on all threads of the current pool. `draw(position, canvas)` draws the
    /// image on the canvas, or returns `false` to leave it out.
    ///
    /// # Errors
    /// The error of the first failing image, by position.
    pub(crate) fn build(
        labels: Vec<i64>,
        shape: [usize; 2],
        canvas: impl Fn() -> Canvas + Send + Sync,
        draw: impl Fn(usize, &mut Canvas) -> Result<bool, DataError> + Sync,
    ) -> Result<Self, DataError> {
        assert!(shape[1] > 0, "resolution of a batch is 0");
        let size = shape[0] * shape[1] * shape[1];
        let mut pixels = vec![0; labels.len() * size];
        // One canvas per job, not per thread: a thread waiting inside the resizer may start on another image.
        let drawn: Vec<Result<bool, DataError>> = pixels
            .par_chunks_exact_mut(size)
            .enumerate()
            .map_init(canvas, |canvas, (position, image)| {
                let drawn = draw(position, canvas)?;
                if drawn {
                    image.copy_from_slice(&canvas.pixels);
                }
                Ok(drawn)
            })
            .collect();
        let drawn = drawn.into_iter().collect::<Result<Vec<bool>, DataError>>()?;
        let mut batch = Self { pixels, labels, mixup: None, shape };
        if drawn.contains(&false) {
            batch.keep(&drawn);
        }
        Ok(batch)
    }

    /// Number of images.
    pub(crate) fn size(&self) -> usize {
        self.labels.len()
    }

    /// Compacts the batch to the images that were drawn.
    fn keep(&mut self, drawn: &[bool]) {
        let size = self.shape[0] * self.shape[1] * self.shape[1];
        let mut kept = 0;
        for position in (0..drawn.len()).filter(|&position| drawn[position]) {
            self.pixels.copy_within(position * size..(position + 1) * size, kept * size);
            self.labels[kept] = self.labels[position];
            kept += 1;
        }
        self.pixels.truncate(kept * size);
        self.labels.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_in_order_without_those_left_out() {
        let draw = |position: usize, canvas: &mut Canvas| {
            canvas.pixels = (0..4).map(|i| (10 * position + i) as u8).collect();
            Ok(position != 1)
        };
        let batch = HostBatch::build(vec![3, 7, 4], [1, 2], Canvas::default, draw).unwrap();
        assert_eq!((batch.size(), batch.labels), (2, vec![3, 4]));
        assert_eq!(batch.pixels, [0, 1, 2, 3, 20, 21, 22, 23]);
    }

    #[test]
    fn the_first_failing_image_is_reported() {
        let draw = |position: usize, canvas: &mut Canvas| match position {
            0 | 1 => {
                canvas.pixels = vec![0; 4];
                Ok(true)
            }
            _ => Err(DataError::invalid("image", position, "0 or 1")),
        };
        for _ in 0..50 {
            let error = HostBatch::build(vec![0; 64], [1, 2], Canvas::default, draw).unwrap_err();
            assert_eq!(error.to_string(), "image is 2, expected 0 or 1");
        }
    }
}
