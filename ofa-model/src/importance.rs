//! Sorts channels by importance so narrower subnets inherit the channels that matter.

use crate::elastic::{Bottleneck, ElasticBlock, ElasticMbConv};
use crate::{BlockArch, SearchSpace, Supernet, UnitLayers};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// How the importance of a channel is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// L1 norm of the weights that read the channel in the next convolution (paper, section 3.3, "elastic width").
    #[default]
    L1,
    /// L2 norm of the same weights.
    L2,
    /// Absolute scale of the batch norm that outputs the channel (Network Slimming, Liu et al. 2017).
    NormScale,
}

impl Supernet {
    /// Sorts the middle channels of every block by importance. Call it before opening narrower expand ratios.
    ///
    /// `trained` is the space trained so far. Channels move only between the widths it already offers, so its subnets
    /// keep their function. The exception is the bottleneck of squeeze-and-excitation: it has no batch norm, so it is
    /// sorted by its weights, and as in the original it is sorted as a whole, so trained subnets that use part of it do
    /// change. The largest subnet computes the same function as before. Optimizer state refers to the old order and
    /// must be dropped.
    ///
    /// # Panics
    ///
    /// If `trained` is not within the supernet's space.
    pub fn sort_channels(self, trained: &SearchSpace, importance: Importance) -> Self {
        assert!(trained.is_within(self.space()), "`{}` is not within `{}`", trained.name, self.space().name);
        self.map_blocks(|s, b, block| match block {
            ElasticBlock::MbConv(block) if block.expand.is_some() => {
                ElasticBlock::MbConv(sort_mb_conv(block, &middles(trained, s, b), importance))
            }
            ElasticBlock::Bottleneck(block) => {
                ElasticBlock::Bottleneck(sort_bottleneck(block, &middles(trained, s, b), importance))
            }
            block @ (ElasticBlock::Conv(_) | ElasticBlock::MbConv(_)) => block,
        })
    }
}

/// The numbers of middle channels that block `b` of stage `s` has in the networks of a space, ascending.
fn middles(space: &SearchSpace, s: usize, b: usize) -> Vec<usize> {
    let stage = &space.stages[s];
    let mut middles = Vec::new();
    for &width in &stage.widths {
        let inputs = if b == 0 { space.stage_inputs(s) } else { vec![stage.channels_at(width)] };
        for (in_channels, &expand_ratio) in inputs.iter().flat_map(|c| stage.expand_ratios.iter().map(move |e| (*c, e)))
        {
            let block = BlockArch { kernel_size: stage.kernel_sizes[0], expand_ratio };
            middles.push(match space.block_layers(s, b, in_channels, width, block) {
                UnitLayers::MbConv(shape) => shape.mid_channels,
                UnitLayers::Bottleneck(shape) => shape.mid_channels,
                other @ (UnitLayers::Conv(_) | UnitLayers::MaxPool { .. } | UnitLayers::Head(_)) => {
                    panic!("{other:?} has no middle")
                }
            });
        }
    }
    middles.sort_unstable();
    middles.dedup();
    middles
}

fn sort_mb_conv(block: ElasticMbConv, widths: &[usize], importance: Importance) -> ElasticMbConv {
    let readers = block.project.weight.val();
    let scores = importance.of(readers.clone(), Some(block.depthwise.conv.norm.gamma.val()));
    let block = block.reordered_middle(&order(&scores, widths, &readers));
    let Some(gate) = &block.squeeze_excite else {
        return block;
    };
    let readers: Tensor<4> = gate.expand_weight.val().unsqueeze_dims(&[-1, -1]);
    let [_, bottleneck, _, _] = readers.dims();
    let scores = importance.of(readers.clone(), None);
    block.reordered_squeeze(&order(&scores, &[bottleneck], &readers))
}

/// The second importance is measured after the first sort, as in the original.
fn sort_bottleneck(block: Bottleneck, widths: &[usize], importance: Importance) -> Bottleneck {
    let readers = block.expand.weight.val();
    let scores = importance.of(readers.clone(), Some(block.filter.norm.gamma.val()));
    let block = block.reordered_filtered(&order(&scores, widths, &readers));
    let readers = block.filter.weight.val();
    let scores = importance.of(readers.clone(), Some(block.reduce.norm.gamma.val()));
    block.reordered_reduced(&order(&scores, widths, &readers))
}

impl Importance {
    /// Importance of each input channel of a convolution with weights `[out, in, k, k]`. `norm_scale`, `[in]`, is the
    /// scale of the batch norm that produces those inputs, if there is one.
    fn of(self, readers: Tensor<4>, norm_scale: Option<Tensor<1>>) -> Vec<f32> {
        let scores: Vec<f64> = match (self, norm_scale) {
            (Self::NormScale, Some(scale)) => numbers(scale).into_iter().map(f64::abs).collect(),
            (Self::L2, _) => channel_sums(readers, |weight| weight * weight).into_iter().map(f64::sqrt).collect(),
            (Self::L1 | Self::NormScale, _) => channel_sums(readers, f64::abs),
        };
        scores.into_iter().map(|score| score as f32).collect()
    }
}

/// Sums over each input channel of weights `[out, in, k, k]`, in channel order.
fn channel_sums(weights: Tensor<4>, term: impl Fn(f64) -> f64) -> Vec<f64> {
    let [_, channels, height, width] = weights.dims();
    let mut sums = vec![0.0; channels];
    for (i, weights) in numbers(weights).chunks_exact(height * width).enumerate() {
        sums[i % channels] += weights.iter().copied().map(&term).sum::<f64>();
    }
    sums
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_into_vec().expect("a tensor converted to f64 holds f64")
}

/// Channel order by importance, on the device of `like`.
fn order(importance: &[f32], widths: &[usize], like: &Tensor<4>) -> Tensor<1, Int> {
    let order: Vec<i32> = order_within(importance, widths).iter().map(|&index| index as i32).collect();
    Tensor::from_data(TensorData::from(order.as_slice()), &like.device())
}

/// Indices by decreasing importance, sorted separately between consecutive widths; ties keep their order.
fn order_within(importance: &[f32], widths: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..importance.len()).collect();
    let mut start = 0;
    for &end in widths.iter().chain([&importance.len()]) {
        order[start..end].sort_by(|&a, &b| importance[b].total_cmp(&importance[a]));
        start = end;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Draw;
    use crate::{Arch, Statistics, SupernetConfig};
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn order_respects_the_widths_trained_so_far() {
        let importance = [1.0, 5.0, 2.0, 9.0, 7.0, 7.0];
        assert_eq!(order_within(&importance, &[6]), [3, 4, 5, 1, 2, 0]);
        assert_eq!(order_within(&importance, &[3, 6]), [1, 2, 0, 3, 4, 5]);
    }

    #[test]
    fn the_largest_subnet_keeps_its_function_and_importance_falls() {
        let device = Device::flex();
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mut full = space.clone();
        full.stages.iter_mut().for_each(|stage| stage.expand_ratios = vec![6.into()]);
        let supernet = SupernetConfig::new(space.clone()).unwrap().with_seed(1).init(&device);
        let x = Draw::new(9).normal([3, 1, 28, 28], 0.0, 1.0);
        let logits = |net: &Supernet, arch| net.forward(x.clone(), arch, &mut Statistics::Batch);
        let (largest, smallest) = (space.largest(), space.smallest().at_resolution(28));
        let (before, narrow) = (logits(&supernet, &largest), logits(&supernet, &smallest));

        let sorted = supernet.sort_channels(&full, Importance::L1);
        let after = logits(&sorted, &largest);
        after.into_data().assert_approx_eq::<f32>(&before.into_data(), Tolerance::absolute(1e-4));
        let moved = (logits(&sorted, &smallest) - narrow).abs().max().into_scalar::<f32>();
        assert!(moved > 1e-2, "a narrow subnet now uses other channels");

        sorted.map_blocks(|_, _, block| {
            let ElasticBlock::MbConv(block) = &block else { panic!("{block:?}") };
            let importance = Importance::L1.of(block.project.weight.val(), None);
            assert!(importance.windows(2).all(|pair| pair[0] >= pair[1]), "{importance:?}");
            ElasticBlock::MbConv(block.clone())
        });
    }

    #[test]
    fn widths_trained_so_far_keep_their_subnets() {
        let device = Device::flex();
        let space = SearchSpace { resolutions: vec![64], ..SearchSpace::resnet50d(10) };
        let mut trained = space.clone();
        trained.stages[2..].iter_mut().for_each(|stage| stage.expand_ratios = stage.expand_ratios[1..].to_vec());
        let supernet = SupernetConfig::new(space.clone()).unwrap().with_seed(1).init(&device);
        let x = Draw::new(9).normal([2, 3, 64, 64], 0.0, 1.0);
        let logits = |net: &Supernet, arch: &Arch| net.forward(x.clone(), arch, &mut Statistics::Batch);
        let sorted = supernet.clone().sort_channels(&trained, Importance::L1);
        for arch in [trained.smallest(), trained.largest()] {
            let difference = (logits(&sorted, &arch) - logits(&supernet, &arch)).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-3, "{arch}: {difference}");
        }
        let smallest = space.smallest();
        let moved = (logits(&sorted, &smallest) - logits(&supernet, &smallest)).abs().max().into_scalar::<f32>();
        assert!(moved > 1e-2, "a subnet not trained so far now uses other channels: {moved}");
    }

    #[test]
    fn importances_by_hand() {
        let device = Device::flex();
        let readers = Tensor::<2>::from_floats([[3.0, 0.0, -4.0], [-4.0, 6.0, 1.0]], &device).unsqueeze_dims(&[-1, -1]);
        let scale = Some(Tensor::from_floats([0.1, -2.0, 1.0], &device));
        let of = |importance: Importance| importance.of(readers.clone(), scale.clone());
        assert_eq!(of(Importance::L1), [7.0, 6.0, 5.0]);
        assert_eq!(of(Importance::L2), [5.0, 6.0, 17f32.sqrt()]);
        assert_eq!(of(Importance::NormScale), [0.1, 2.0, 1.0]);
        assert_eq!(Importance::NormScale.of(readers, None), [7.0, 6.0, 5.0]);
    }

    #[test]
    fn the_largest_subnet_keeps_its_function_by_any_importance() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let supernet = SupernetConfig::new(space.clone()).unwrap().with_seed(1).init(&Device::flex());
        let x = Draw::new(9).normal([3, 1, 28, 28], 0.0, 1.0);
        let logits = |net: &Supernet| net.forward(x.clone(), &space.largest(), &mut Statistics::Batch);
        for importance in [Importance::L2, Importance::NormScale] {
            let sorted = supernet.clone().sort_channels(&space, importance);
            let difference = (logits(&sorted) - logits(&supernet)).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-4, "{importance:?}: {difference}");
        }
    }
}
