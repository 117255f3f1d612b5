//! A depthwise convolution whose smaller kernels are learned transforms of its largest.

use super::{ConvNorm, linked};
use crate::kernels::matmul;
use crate::{MbConvShape, init::Initializer};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// A depthwise convolution with elastic kernel size (paper, section 3.3, "elastic kernel size").
///
/// A smaller kernel is the centre of the next larger one times a square matrix shared by all channels: a 25x25 matrix
/// from 7 to 5, then a 9x9 matrix from 5 to 3. The matrices start as the identity, so a smaller kernel starts as a
/// centre crop.
#[derive(Module, Debug)]
pub struct ElasticDepthwise {
    /// The largest kernel, over all channels.
    pub conv: ConvNorm,
    /// One matrix from each kernel size to the next smaller size `k`, largest first, `[k * k, k * k]`.
    pub transforms: Vec<Param<Tensor<2>>>,
    kernel_sizes: Vec<usize>,
}

impl ElasticDepthwise {
    /// Builds a depthwise convolution of `shape` (its kernel size is ignored) with the given kernel sizes, ascending.
    pub(crate) fn init(shape: &MbConvShape, kernel_sizes: &[usize], epsilon: f64, init: &mut Initializer) -> Self {
        let kernel_sizes: Vec<usize> = kernel_sizes.iter().rev().copied().collect();
        Self {
            conv: ConvNorm::depthwise(
                shape.mid_channels,
                kernel_sizes[0],
                shape.stride,
                shape.activation,
                epsilon,
                init,
            ),
            transforms: kernel_sizes[1..].iter().map(|k| init.identity(k * k)).collect(),
            kernel_sizes,
        }
    }

    /// The convolution over the first `channels` channels with the given kernel size.
    ///
    /// # Panics
    ///
    /// If this layer does not offer the kernel size.
    pub fn at(&self, channels: usize, kernel_size: usize) -> ConvNorm {
        let full = self.conv.leading(channels, 1);
        let kernel = self.kernel(full.weight.val(), kernel_size);
        full.with_weight(linked(&self.conv.weight, kernel), channels)
    }

    fn kernel(&self, largest: Tensor<4>, kernel_size: usize) -> Tensor<4> {
        let steps = self.kernel_sizes.iter().position(|&k| k == kernel_size);
        let steps = steps.unwrap_or_else(|| panic!("kernel size {kernel_size} is not one of {:?}", self.kernel_sizes));
        (0..steps).fold(largest, |kernel, step| {
            let (from, to) = (self.kernel_sizes[step], self.kernel_sizes[step + 1]);
            let channels = kernel.dims()[0];
            let border = (from - to) / 2;
            let centre = border..border + to;
            let cropped = kernel.slice([0..channels, 0..1, centre.clone(), centre]).reshape([channels, to * to]);
            matmul(cropped, self.transforms[step].val().transpose()).reshape([channels, 1, to, to])
        })
    }

    /// Reorders the channels; the transforms are shared by all channels and stay as they are.
    pub(super) fn reordered(self, order: &Tensor<1, burn::tensor::Int>) -> Self {
        Self { conv: self.conv.reordered_outputs(order), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;
    use burn::tensor::Device;

    fn layer() -> ElasticDepthwise {
        let shape = MbConvShape {
            in_channels: 4,
            mid_channels: 4,
            out_channels: 4,
            kernel_size: 7,
            stride: 1,
            activation: Activation::Relu,
            expansion: false,
            squeeze_excite: false,
            residual: true,
        };
        ElasticDepthwise::init(&shape, &[3, 5, 7], 1e-5, &mut Initializer::new(1, &Device::flex()))
    }

    #[test]
    fn identity_transforms_crop_the_centre() {
        let layer = layer();
        let crop = layer.conv.weight.val().slice([0..2, 0..1, 2..5, 2..5]);
        layer.at(2, 3).weight.val().into_data().assert_eq(&crop.into_data(), true);
    }

    #[test]
    fn transforms_are_chained_and_not_transposed() {
        let mut layer = layer();
        // Output position 0 of the 5x5 kernel takes input position 7 (row 1, column 2), doubled.
        let mut matrix = vec![0.0f32; 25 * 25];
        (0..25).for_each(|i| matrix[i * 25 + i] = 1.0);
        matrix[7] = 2.0;
        matrix[0] = 0.0;
        let device = Device::flex();
        let matrix = Tensor::<1>::from_floats(matrix.as_slice(), &device).reshape([25, 25]);
        layer.transforms[0] = Param::from_tensor(matrix);
        let largest = layer.conv.weight.val();
        let kernel = layer.at(4, 5).weight.val();
        let moved = kernel.slice([1..2, 0..1, 0..1, 0..1]).into_scalar::<f32>();
        let source = largest.slice([1..2, 0..1, 2..3, 3..4]).into_scalar::<f32>();
        assert_eq!(moved, 2.0 * source);
    }

    #[test]
    #[should_panic(expected = "kernel size 9 is not one of [7, 5, 3]")]
    fn unknown_kernel_size_is_a_bug() {
        layer().at(4, 9);
    }
}
