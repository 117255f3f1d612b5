//! Measures the batch-norm statistics of one network.

use crate::elastic::{Moments, Statistics};
use crate::{Subnet, in_pool};
use burn::tensor::Tensor;
use std::borrow::Borrow;

impl Subnet {
    /// Returns this network with batch-norm statistics measured on `batches` of images
    /// `[batch, channels, height, width]`.
    ///
    /// Old statistics are discarded. Each layer's mean and biased variance are averaged over the batches, weighted by
    /// batch size, while the forward passes normalise by each batch's own statistics. This is the original's
    /// `set_running_statistics`; its distributed version scales the means wrongly and is not followed. Subnets share
    /// weights but not statistics, so an accuracy measured without this step is meaningless (paper, section 3.3).
    ///
    /// # Panics
    ///
    /// If there are no images.
    pub fn calibrate(mut self, batches: impl IntoIterator<Item = impl Borrow<Tensor<4>>>) -> Self {
        let mut sums: Vec<Moments> = Vec::new();
        let mut images = 0.0;
        for batch in batches {
            let batch = batch.borrow();
            let weight = batch.dims()[0] as f64;
            images += weight;
            let mut measured = Vec::with_capacity(sums.len());
            // Batch statistics work on a plain device: nothing here needs gradients.
            in_pool(|| self.forward(batch.clone(), &mut Statistics::Record(&mut measured)));
            let weighted =
                measured.into_iter().map(|m| Moments { mean: m.mean * weight, variance: m.variance * weight });
            sums = if sums.is_empty() {
                weighted.collect()
            } else {
                let add =
                    |(a, b): (Moments, Moments)| Moments { mean: a.mean + b.mean, variance: a.variance + b.variance };
                sums.into_iter().zip(weighted).map(add).collect()
            };
        }
        assert!(images > 0.0, "calibration needs at least one image");
        let averages = sums.into_iter().map(|m| Moments { mean: m.mean / images, variance: m.variance / images });
        self.set_statistics(averages.collect());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elastic::Block;
    use crate::testing::Draw;
    use crate::{SearchSpace, SupernetConfig};
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn one_batch_makes_inference_equal_to_batch_statistics() {
        let device = Device::flex();
        let supernet = SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10)).unwrap().init(&device);
        let arch = supernet.space().largest();
        let batch = Draw::new(2).normal([8, 1, 28, 28], 0.5, 2.0);
        let expected = supernet.forward(batch.clone(), &arch, &mut Statistics::Batch);
        let before = supernet.subnet(&arch).infer(batch.clone());
        let calibrated = supernet.subnet(&arch).calibrate([&batch]).infer(batch);
        calibrated.clone().into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(2e-4));
        assert!((before - calibrated).abs().max().into_scalar::<f32>() > 0.1, "statistics must matter for this test");
    }

    #[test]
    fn batches_weigh_by_their_size() {
        let device = Device::flex();
        let mut draw = Draw::new(4);
        let supernet = SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10)).unwrap().init(&device);
        let arch = supernet.space().smallest();
        let large = draw.normal([6, 1, 20, 20], 0.0, 1.0);
        let small = draw.normal([2, 1, 20, 20], 3.0, 1.0);
        let subnet = supernet.subnet(&arch).calibrate([&large, &small]);
        let mean = |x: &Tensor<4>| {
            let mut moments = Vec::new();
            supernet.forward(x.clone(), &arch, &mut Statistics::Record(&mut moments));
            moments[0].mean.clone()
        };
        let expected = mean(&large) * 0.75 + mean(&small) * 0.25;
        let Block::Conv(stem) = &subnet.blocks[0] else { panic!("{:?}", subnet.blocks[0]) };
        let found = stem.conv.norm.running_mean.val();
        found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn statistics_of_a_larger_network_are_its_leading_ones() {
        let device = Device::flex();
        for space in [SearchSpace::small_mobilenet_v3(3, 10), SearchSpace::resnet50d(10)] {
            let space = SearchSpace { resolutions: vec![32], ..space };
            let supernet = SupernetConfig::new(space.clone()).unwrap().init(&device);
            let batch = Draw::new(2).normal([4, 3, 32, 32], 0.5, 2.0);
            let largest = supernet.subnet(&space.largest()).calibrate([&batch]);
            let smallest = supernet.subnet(&space.smallest());
            let own = smallest.clone().calibrate([&batch]).infer(batch.clone());
            let taken = smallest.with_statistics_of(&largest).infer(batch.clone());
            assert!((own - taken).abs().max().into_scalar::<f32>() > 1e-2, "{}", space.name);
            let same = supernet.subnet(&space.largest()).with_statistics_of(&largest).infer(batch.clone());
            assert_eq!(same.into_data(), largest.infer(batch).into_data());
        }
    }
}
