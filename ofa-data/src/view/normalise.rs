//! Converts pixel values to network inputs.

use burn::Tensor;
use burn::tensor::Device;

use crate::view::pixels::{normalise_gray, normalise_rgb};

/// `(value / 255 - mean) / std` per channel.
#[derive(Debug, Clone)]
pub struct Normalisation {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Normalisation {
    /// From the mean and standard deviation of each channel, for pixel values scaled to 0..=1.
    ///
    /// # Panics
    /// If `mean` and `std` differ in length or a standard deviation is not positive.
    pub fn new(mean: &[f32], std: &[f32]) -> Self {
        assert_eq!(mean.len(), std.len(), "mean {mean:?} and std {std:?} differ in length");
        assert!(std.iter().all(|&std| std > 0.0), "std {std:?} must be positive");
        Self { mean: mean.to_vec(), std: std.to_vec() }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// The pixel value nearest to the mean of each channel, which normalises to about 0.
    pub(crate) fn mean_pixel(&self) -> Vec<u8> {
        self.mean.iter().map(|mean| (mean * 255.0).round() as u8).collect()
    }

    /// The factor and summand that normalise the bytes of each channel on a device, `[1, channels, 1, 1]` each.
    pub(crate) fn scale_and_shift(&self, device: &Device) -> (Tensor<4>, Tensor<4>) {
        let of_channels = |value: &dyn Fn(f64, f64) -> f64| {
            let channels = self.mean.iter().zip(&self.std);
            let values = channels.map(|(&mean, &std)| value(mean.into(), std.into()));
            // Filled on the device: nothing is sent.
            Tensor::cat(values.map(|value| Tensor::full([1, 1, 1, 1], value, device)).collect(), 1)
        };
        (of_channels(&|_, std| 1.0 / (255.0 * std)), of_channels(&|mean, std| -mean / std))
    }

    /// Normalises `[height, width, channels]` values into `[channels, height, width]`.
    pub(crate) fn write(&self, pixels: &[u8], planes: &mut [f32]) {
        match (&*self.mean, &*self.std) {
            (&[mean], &[std]) => normalise_gray(pixels, planes, mean, std),
            (&[m0, m1, m2], &[s0, s1, s2]) => normalise_rgb(pixels, planes, [m0, m1, m2], [s0, s1, s2]),
            _ => panic!("images have 1 or 3 channels, the normalisation {}", self.channels()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_formula_channel_by_channel() {
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225f32]);
        let normalisation = Normalisation::new(&mean, &std);
        let pixels = [0, 1, 2, 255, 128, 7];
        let mut planes = [f32::NAN; 6];
        normalisation.write(&pixels, &mut planes);
        let of = |value: u8, c: usize| (f32::from(value) / 255.0 - mean[c]) / std[c];
        assert_eq!(planes, [of(0, 0), of(255, 0), of(1, 1), of(128, 1), of(2, 2), of(7, 2)]);
        assert_eq!(normalisation.mean_pixel(), [124, 116, 104]);
    }

    #[test]
    #[should_panic(expected = "std [0.0] must be positive")]
    fn a_deviation_of_zero_is_a_bug() {
        Normalisation::new(&[0.5], &[0.0]);
    }
}
