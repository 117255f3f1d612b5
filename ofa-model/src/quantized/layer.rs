//! [`IntegerLayer`]: the weights of a convolution in integers.

use super::Grid;
use crate::Activation;
use crate::folded::Layer;
use burn::tensor::{Tensor, TensorData};

/// A convolution in integers, which are stored as `f32`.
#[derive(Clone, Debug)]
pub(crate) struct IntegerLayer {
    /// `[out, in / groups, k, k]`, between -127 and 127.
    pub(crate) weight: Tensor<4>,
    /// Real size of a step of the weights, by output channel.
    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "only exported models need it"))]
    pub(crate) scales: Vec<f32>,
    /// `[out]`, in steps of the sums: a step of the input times one of the weights.
    pub(crate) bias: Tensor<1>,
    /// `[out]`: steps of the output per step of the sums; for logits, their real size.
    pub(super) multiplier: Tensor<1>,
    pub(crate) stride: usize,
    pub(crate) groups: usize,
    pub(crate) activation: Activation,
}

/// Greatest bias in steps of the sums, so that sums stay exact in `f32`.
pub(super) const GREATEST_BIAS: f32 = (1 << 22) as f32;

/// Greatest integer of a weight, of which the least is the negative.
pub(super) fn greatest_weight(bits: u8) -> f32 {
    f32::from((1i16 << (bits - 1)) - 1)
}

impl IntegerLayer {
    pub(super) fn new(layer: &Layer, input: Grid, output: Option<Grid>, weight_bits: u8) -> Self {
        let (device, [out, inputs, k, _]) = (layer.weight.device(), layer.weight.dims());
        let numbers = |data: TensorData| -> Vec<f32> { data.iter::<f32>().collect() };
        let weights = numbers(layer.weight.to_data());
        let biases = numbers(layer.bias.to_data());
        let top = greatest_weight(weight_bits);
        let scale = |(weights, bias): (&[f32], &f32)| {
            let greatest = weights.iter().fold(0f32, |greatest, weight| greatest.max(weight.abs()));
            let scale = (greatest / top).max(bias.abs() / (input.scale * GREATEST_BIAS));
            if scale >= f32::MIN_POSITIVE { scale } else { 1.0 }
        };
        let length = inputs * k * k;
        let scales: Vec<f32> = weights.chunks_exact(length).zip(&biases).map(scale).collect();
        let by_channel = weights.chunks_exact(length).zip(&scales);
        let weights: Vec<f32> = by_channel
            .flat_map(|(weights, scale)| weights.iter().map(move |w| (w / scale).round_ties_even().clamp(-top, top)))
            .collect();
        let biases: Vec<f32> =
            biases.iter().zip(&scales).map(|(bias, scale)| (bias / (input.scale * scale)).round_ties_even()).collect();
        let step = output.map_or(1.0, |output| output.scale);
        let multipliers: Vec<f32> = scales.iter().map(|scale| input.scale * scale / step).collect();
        Self {
            weight: Tensor::from_data(TensorData::new(weights, [out, inputs, k, k]), &device),
            bias: Tensor::from_data(TensorData::new(biases, [out]), &device),
            multiplier: Tensor::from_data(TensorData::new(multipliers, [out]), &device),
            scales,
            stride: layer.stride,
            groups: layer.groups,
            activation: layer.activation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantized::ActivationFormat;
    use burn::tensor::Device;

    fn layer(weights: &[f32], biases: &[f32], bits: u8) -> IntegerLayer {
        let device = Device::flex();
        let weight = Tensor::<1>::from_floats(weights, &device);
        let layer = Layer {
            weight: weight.reshape([biases.len(), weights.len() / biases.len(), 1, 1]),
            bias: Tensor::from_floats(biases, &device),
            stride: 1,
            groups: 1,
            activation: Activation::Identity,
        };
        IntegerLayer::new(&layer, Grid::new([0.0, 25.5], ActivationFormat::Asymmetric), None, bits)
    }

    fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
        tensor.to_data().iter::<f32>().collect()
    }

    #[test]
    fn each_channel_has_a_step_of_its_own() {
        let found = layer(&[1.27, -0.635, 0.0, 12.7], &[0.5, -1.0], 8);
        assert_eq!(numbers(&found.weight), [127.0, -64.0, 0.0, 127.0]);
        assert!((found.scales[0] - 0.01).abs() < 1e-7 && (found.scales[1] - 0.1).abs() < 1e-7);
        assert_eq!(numbers(&found.bias), [500.0, -100.0]);
        assert_eq!(numbers(&layer(&[1.27, -0.635], &[0.0], 7).weight), [63.0, -32.0]);
    }

    #[test]
    fn a_channel_without_weights_keeps_its_bias() {
        let found = layer(&[0.0, 0.0], &[3.0], 8);
        let bias = numbers(&found.bias)[0];
        assert_eq!(bias, GREATEST_BIAS);
        assert!((bias * found.scales[0] * 0.1 - 3.0).abs() < 1e-4);
        assert_eq!(numbers(&layer(&[0.0], &[0.0], 8).weight), [0.0]);
    }
}
