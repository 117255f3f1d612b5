//! Ordering channels by importance, so that narrower subnets inherit the channels that matter.

use crate::elastic::ElasticBlock;
use crate::{SearchSpace, Supernet};
use burn::tensor::{Int, Tensor, TensorData};

impl Supernet {
    /// Sorts the middle channels of every block by importance before narrower expand ratios open.
    ///
    /// Importance is the L1 norm of a channel's weights in the projection (paper, section 3.3, "elastic width").
    /// `trained` is the space trained so far: channels stay within the widths it already offers, whose subnets would
    /// otherwise change. The largest subnet computes the same function as before. Optimizer state belongs to the old
    /// order and must be dropped.
    ///
    /// # Panics
    ///
    /// If `trained` is not within the supernet's space.
    pub fn sort_channels(self, trained: &SearchSpace) -> Self {
        assert!(trained.is_within(self.space()), "`{}` is not within `{}`", trained.name, self.space().name);
        let space = self.space().clone();
        self.map_blocks(|s, b, block| {
            if block.expand.is_none() {
                return block;
            }
            let mids = trained.stages[s].expand_ratios.iter().map(|&ratio| {
                let kernel_size = space.stages[s].kernel_sizes[0];
                space.block_shape(s, b, kernel_size, ratio).mid_channels
            });
            sort_block(block, &mids.collect::<Vec<_>>())
        })
    }
}

fn sort_block(block: ElasticBlock, widths: &[usize]) -> ElasticBlock {
    let projection = block.project.weight.val();
    let [_, mid, _, _] = projection.dims();
    let device = projection.device();
    let importance = projection.abs().sum_dim(0).reshape([mid]);
    let order = order_within(&numbers(importance), widths);
    let block = block.reordered_middle(&indices(&order, &device));
    let Some(gate) = &block.squeeze_excite else {
        return block;
    };
    let importance = gate.expand_weight.val().abs().sum_dim(0);
    let bottleneck = importance.dims()[1];
    let order = order_within(&numbers(importance.reshape([bottleneck])), &[bottleneck]);
    block.reordered_squeeze(&indices(&order, &device))
}

/// Indices by falling importance, sorted separately between each width and the next; ties keep their order.
fn order_within(importance: &[f32], widths: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..importance.len()).collect();
    let mut start = 0;
    for &end in widths.iter().chain([&importance.len()]) {
        order[start..end].sort_by(|&a, &b| importance[b].total_cmp(&importance[a]));
        start = end;
    }
    order
}

fn numbers(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("a tensor converted to f32 holds f32")
}

fn indices(order: &[usize], device: &burn::tensor::Device) -> Tensor<1, Int> {
    let order: Vec<i32> = order.iter().map(|&index| index as i32).collect();
    Tensor::from_data(TensorData::from(order.as_slice()), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Draw;
    use crate::{Statistics, SupernetConfig};
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

        let sorted = supernet.sort_channels(&full);
        let after = logits(&sorted, &largest);
        after.into_data().assert_approx_eq::<f32>(&before.into_data(), Tolerance::absolute(1e-4));
        let moved = (logits(&sorted, &smallest) - narrow).abs().max().into_scalar::<f32>();
        assert!(moved > 1e-2, "a narrow subnet has other channels now");

        sorted.map_blocks(|_, _, block| {
            let weight = block.project.weight.val();
            let [_, mid, _, _] = weight.dims();
            let importance = numbers(weight.abs().sum_dim(0).reshape([mid]));
            assert!(importance.windows(2).all(|pair| pair[0] >= pair[1]), "{importance:?}");
            block
        });
    }
}
