//! [`ByteBatch`]: a batch whose pixels are still bytes.

use std::sync::Arc;

use burn::Tensor;
use burn::tensor::{Device, Int, TensorData};
use rayon::prelude::*;

use crate::loader::batch::{HostBatch, ImageBatch};
use crate::transfer::{is_on_host, upload};
use crate::view::mixup::mix;
use crate::view::normalise::Normalisation;

/// Images of one resolution with their labels, kept as bytes where their device computes: a quarter of the memory of an
/// [`ImageBatch`].
#[derive(Debug, Clone)]
pub struct ByteBatch {
    stored: Stored,
    /// `[batch, channels, resolution, resolution]`
    shape: [usize; 4],
    mixup: Option<f32>,
    showing: Arc<Showing>,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one a batch")]
enum Stored {
    OnHost {
        /// `[batch, resolution, resolution, channels]`
        pixels: Vec<u8>,
        labels: Vec<i64>,
    },
    /// The same pixels, four to a word, then a label a word: one upload, and no device needs integers of 8 bits.
    OnDevice(Tensor<1, Int>),
}

/// How bytes become what a network sees: on the host for flex, whose numbers keep their bits, else on the device.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one an epoch")]
pub(crate) enum Showing {
    OnHost {
        normalisation: Normalisation,
        device: Device,
    },
    OnDevice {
        /// Factor and summand of the bytes of a channel, `[1, channels, 1, 1]`.
        scale: Tensor<4>,
        shift: Tensor<4>,
        device: Device,
    },
}

impl Showing {
    /// On the device if `forced`, or if it is not flex.
    pub(crate) fn new(normalisation: &Normalisation, device: &Device, forced: bool) -> Arc<Self> {
        let device = device.clone();
        Arc::new(if is_on_host(&device) && !forced {
            Self::OnHost { normalisation: normalisation.clone(), device }
        } else {
            let (scale, shift) = normalisation.scale_and_shift(&device);
            Self::OnDevice { scale, shift, device }
        })
    }
}

impl HostBatch {
    /// Moves the batch to where its device computes. Does not wait for the device.
    pub(crate) fn stored(self, showing: &Arc<Showing>) -> ByteBatch {
        let (batch, [channels, resolution]) = (self.size(), self.shape);
        let Self { pixels, labels, mixup, .. } = self;
        let stored = match &**showing {
            Showing::OnHost { .. } => Stored::OnHost { pixels, labels },
            Showing::OnDevice { device, .. } => Stored::OnDevice(upload(words(&pixels, &labels), device)),
        };
        ByteBatch { stored, shape: [batch, channels, resolution, resolution], mixup, showing: showing.clone() }
    }
}

/// Pixels in little-endian words of four, the last filled up, and then the labels.
fn words(pixels: &[u8], labels: &[i64]) -> TensorData {
    let (fours, rest) = pixels.as_chunks::<4>();
    let mut words: Vec<i32> = fours.iter().copied().map(i32::from_le_bytes).collect();
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        words.push(i32::from_le_bytes(last));
    }
    words.extend(labels.iter().map(|&label| i32::try_from(label).expect("a label is the index of a class")));
    let length = words.len();
    TensorData::new(words, [length])
}

impl ByteBatch {
    /// Number of images.
    pub fn size(&self) -> usize {
        self.shape[0]
    }

    /// What the network sees: normalised and, if the loader says so, blended.
    pub fn show(&self) -> ImageBatch {
        let (images, labels) = match (&self.stored, &*self.showing) {
            (Stored::OnHost { pixels, labels }, Showing::OnHost { normalisation, device }) => {
                let labels = TensorData::new(labels.clone(), [self.size()]);
                (upload(self.normalised(pixels, normalisation), device), upload(labels, device))
            }
            (Stored::OnDevice(words), Showing::OnDevice { scale, shift, .. }) => self.unpacked(words, scale, shift),
            _ => unreachable!("a batch is stored where it is shown"),
        };
        ImageBatch { images, labels, mixup: self.mixup }
    }

    fn normalised(&self, pixels: &[u8], normalisation: &Normalisation) -> TensorData {
        let [_, channels, height, width] = self.shape;
        let size = channels * height * width;
        let mut images = vec![0.0; pixels.len()];
        let both = images.par_chunks_exact_mut(size).zip(pixels.par_chunks_exact(size));
        both.for_each(|(planes, pixels)| normalisation.write(pixels, planes));
        if let Some(share) = self.mixup {
            mix(&mut images, size, share);
        }
        TensorData::new(images, self.shape)
    }

    fn unpacked(&self, words: &Tensor<1, Int>, scale: &Tensor<4>, shift: &Tensor<4>) -> (Tensor<4>, Tensor<1, Int>) {
        let [batch, channels, height, width] = self.shape;
        let pixels = batch * channels * height * width;
        let filled = pixels.div_ceil(4);
        let shifts = Tensor::<1, Int>::arange(0..4, &words.device()) * 8;
        let fours = words.clone().narrow(0, 0, filled).reshape([filled, 1]);
        // Shifts of negative words keep their sign, in bits that the mask removes.
        let bytes = fours.bitwise_right_shift(shifts.reshape([1, 4])).bitwise_and_scalar(0xff);
        let bytes: Tensor<1, Int> = bytes.reshape([4 * filled]);
        let images = bytes.narrow(0, 0, pixels).reshape([batch, height, width, channels]).permute([0, 3, 1, 2]);
        let images = images.float() * scale.clone() + shift.clone();
        let images = match self.mixup {
            Some(share) => images.clone() * share + images.flip([0]) * (1.0 - share),
            None => images,
        };
        (images, words.clone().narrow(0, filled, batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn a_device_shows_what_the_host_shows() {
        let device = Device::flex();
        // Sizes that fill their last word to every part.
        for ([batch, channels, resolution], mixup) in
            [([3, 3, 5], None), ([5, 1, 7], Some(0.3)), ([2, 3, 8], Some(0.75)), ([1, 3, 3], None), ([2, 1, 3], None)]
        {
            let normalisation = Normalisation::new(&[0.48, 0.4, 0.3][..channels], &[0.2, 0.25, 0.3][..channels]);
            let pixels: Vec<u8> =
                (0..batch * channels * resolution * resolution).map(|i| (i * 89 % 256) as u8).collect();
            let labels: Vec<i64> = (0..batch as i64).map(|i| 999 - i).collect();
            let host =
                || HostBatch { pixels: pixels.clone(), labels: labels.clone(), mixup, shape: [channels, resolution] };
            let [by_host, by_device] =
                [false, true].map(|forced| host().stored(&Showing::new(&normalisation, &device, forced)).show());
            assert_eq!(by_device.images.dims(), [batch, channels, resolution, resolution]);
            let expected = by_host.images.into_data();
            by_device.images.into_data().assert_approx_eq::<f32>(&expected, Tolerance::absolute(2e-6));
            by_device.labels.into_data().assert_eq(&by_host.labels.into_data(), true);
            assert_eq!(by_device.mixup, mixup);
        }
    }

    #[test]
    fn a_batch_goes_up_once_and_is_shown_again_and_again() {
        let (device, normalisation) = (Device::flex(), Normalisation::new(&[0.5], &[0.5]));
        let showing = Showing::new(&normalisation, &device, true);
        let batch = HostBatch { pixels: vec![0, 255, 128, 7], labels: vec![3], mixup: None, shape: [1, 2] };
        let batch = batch.stored(&showing);
        let Stored::OnDevice(words) = &batch.stored else { panic!("stored on the host") };
        assert_eq!(words.dims(), [2], "one word of pixels, one of labels");
        let (one, two) = (batch.show(), batch.show());
        assert_eq!(one.images.into_data(), two.images.into_data());
    }
}
