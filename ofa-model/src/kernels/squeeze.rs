//! Means over pixels, and scaling by channel.

use burn::tensor::{Tensor, module::adaptive_avg_pool2d};

/// Mean over the pixels of `[batch, channels, height, width]`, `[batch, channels]`.
pub fn global_average_pool(input: Tensor<4>) -> Tensor<2> {
    let [batch, channels, _, _] = input.dims();
    adaptive_avg_pool2d(input, [1, 1]).reshape([batch, channels])
}

/// `[batch, channels, height, width]` times a factor for each channel of each image, `[batch, channels]`.
pub fn channel_scale(input: Tensor<4>, scale: Tensor<2>) -> Tensor<4> {
    let [batch, channels] = scale.dims();
    input * scale.reshape([batch, channels, 1, 1])
}
