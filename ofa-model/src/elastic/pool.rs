//! 3x3 max pooling.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;

/// Maximum over 3x3 pixels with stride 2; pixels beyond the border are ignored.
#[derive(Module, Debug, Default)]
pub struct MaxPool {}

impl MaxPool {
    /// Maps `[batch, channels, height, width]` to `[batch, channels, height / 2, width / 2]`, rounded up.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        max_pool2d(input, MaxPoolOptions::new([3; 2]).with_stride([2; 2]).with_padding([1; 2]))
    }
}
