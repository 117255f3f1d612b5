//! Max pooling.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;

/// The maximum over 3x3 pixels at stride 2; pixels beyond the border do not count.
#[derive(Module, Debug, Default)]
pub struct MaxPool {}

impl MaxPool {
    /// `[batch, channels, height, width]` to `[batch, channels, height / 2, width / 2]`, rounded up.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        max_pool2d(input, MaxPoolOptions::new([3; 2]).with_stride([2; 2]).with_padding([1; 2]))
    }
}
