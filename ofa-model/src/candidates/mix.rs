//! The weighted sum of feature maps.

use crate::kernels::{batched_matmul, matmul};
use burn::tensor::Tensor;

/// Sum of `maps`, each `[batch, channels, height, width]`, times `weights`, `[maps]`. Gradients reach weights and maps.
///
/// It is a product of matrices per image, whose sums have a fixed order.
pub(super) fn weighted_sum(weights: Tensor<1>, maps: Vec<Tensor<4>>) -> Tensor<4> {
    let count = maps.len();
    let sizes = maps[0].dims();
    let batch = sizes[0];
    let numbers = sizes[1..].iter().product();
    let rows = maps.into_iter().map(|map| map.reshape([batch, 1, numbers])).collect();
    // A product with ones repeats the weights for each image, because the gradient of a product is summed in order.
    let ones = Tensor::ones([batch, 1], (&weights.device(), weights.dtype()));
    let weights = matmul(ones, weights.reshape([1, count])).reshape([batch, 1, count]);
    batched_matmul(weights, Tensor::cat(rows, 1)).reshape(sizes)
}
