//! [`QuantizedSubnet`]: a subnet in 8-bit integers, computed as runtimes compute the exported model.

mod grid;
mod layer;
mod range;
mod settings;
mod simulate;
mod straight_through;

use crate::folded::{Step, run};
use crate::kernels::{Activation, Curve};
use crate::{Arch, FixedNetwork, ModelError, SearchSpace, Statistics, Subnet, in_pool};
use burn::module::Module;
use burn::tensor::Tensor;
pub(crate) use grid::Grid;
pub(crate) use layer::IntegerLayer;
use range::Observed;
pub use settings::{ActivationFormat, Quantization, RangeRule};
use std::borrow::Borrow;
pub use straight_through::StraightThrough;

/// A subnet in 8-bit integers: weights are `int8` with a scale per output channel, activations `uint8` (or `int8`) with
/// a scale and a zero point per tensor, biases `int32`.
///
/// Quantised are the image, and the result of every convolution, matrix product, activation, pooling, gate, product and
/// sum; ReLU and ReLU6 are the limits of the tensor before them, which therefore is not quantised separately. Hard swish
/// and hard sigmoid are computed on real numbers between two quantised tensors. The logits stay real: sums times scale.
/// The exported model has the same tensors with the same scales.
///
/// Integers are stored as `f32` here, counted from the zero point. Sums below 2²⁴ are exact, so results differ from
/// those of a runtime only where that rounds scales in another order: a step, rarely.
#[derive(Module, Debug)]
pub struct QuantizedSubnet {
    #[module(skip)]
    steps: Vec<Step<IntegerLayer>>,
    /// Of the image and of each step's result; `None` for the logits.
    #[module(skip)]
    grids: Vec<Option<Grid>>,
    #[module(skip)]
    space: SearchSpace,
    #[module(skip)]
    arch: Arch,
}

impl Subnet {
    /// Quantises this network, at its running statistics. Ranges of activations are calibrated on the first
    /// [`Quantization::images`] of `batches` of images `[batch, channels, height, width]`, normalised as for the network.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidQuantization`]; [`ModelError::Quantize`] if there are fewer images, or activations are no finite
    /// numbers.
    pub fn quantize(
        &self,
        batches: impl IntoIterator<Item = impl Borrow<Tensor<4>>>,
        settings: &Quantization,
    ) -> Result<QuantizedSubnet, ModelError> {
        settings.validate()?;
        let steps = self.fold().steps();
        let grids = self.grids(&steps, batches, settings)?;
        let quantise = |(number, step): (usize, &Step)| {
            step.map_layer(|layer, input| {
                let input = grids[input].expect("only the logits have no grid");
                IntegerLayer::new(layer, input, grids[number + 1], settings.weight_bits)
            })
        };
        let steps = steps.iter().enumerate().map(quantise).collect();
        Ok(QuantizedSubnet { steps, grids, space: self.space().clone(), arch: self.arch().clone() })
    }

    /// The grids of the image and of the results of `steps`, by what they are on calibration images.
    fn grids(
        &self,
        steps: &[Step],
        batches: impl IntoIterator<Item = impl Borrow<Tensor<4>>>,
        settings: &Quantization,
    ) -> Result<Vec<Option<Grid>>, ModelError> {
        let fail = |problem: String| ModelError::Quantize { arch: self.arch().to_string(), problem };
        let mut observed: Vec<Observed> = (0..steps.len()).map(|_| Observed::new(settings.range)).collect();
        let mut left = settings.images;
        for batch in batches {
            let batch = batch.borrow().clone();
            let images = left.min(batch.dims()[0]);
            left -= images;
            in_pool(|| simulate::observe(steps, batch.narrow(0, 0, images), &mut observed));
            if left == 0 {
                break;
            }
        }
        if left > 0 {
            let (found, wanted) = (settings.images - left, settings.images);
            return Err(fail(format!("there are {found} images, but ranges are to be calibrated on {wanted}")));
        }
        if let Some(value) = observed.iter().position(|observed| !observed.is_finite()) {
            let what = if value == 0 { "the image".into() } else { format!("the result of step {value}") };
            return Err(fail(format!("{what} is not finite on the calibration images")));
        }
        let mut grids: Vec<Option<Grid>> = Vec::with_capacity(steps.len() + 1);
        for (value, observed) in observed.iter().enumerate() {
            let same = value.checked_sub(1).and_then(|step| steps[step].passes_on());
            let range = needed(steps, value, observed.range());
            grids.push(same.map_or_else(|| Some(Grid::new(range, settings.activations)), |input| grids[input]));
        }
        grids.push(None);
        Ok(grids)
    }
}

/// The part of a range that makes a difference to what reads the value: hard swish is 0 below -3, hard sigmoid constant
/// beyond -3 and 3.
fn needed(steps: &[Step], value: usize, [low, high]: [f32; 2]) -> [f32; 2] {
    match steps.get(value) {
        Some(Step::HardSwish { input }) if *input == value => [low.max(-3.0), high],
        Some(Step::HardSigmoid { input }) if *input == value => [low.max(-3.0), high.min(3.0)],
        _ => [low, high],
    }
}

impl QuantizedSubnet {
    /// The choices that define this network.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }

    /// The search space this network comes from.
    pub fn space(&self) -> &SearchSpace {
        &self.space
    }

    /// Computes logits `[batch, classes]` for images `[batch, channels, height, width]`.
    pub fn infer(&self, images: Tensor<4>) -> Tensor<2> {
        FixedNetwork::infer(self, images)
    }

    #[cfg(any(feature = "onnx", test))]
    pub(crate) fn steps(&self) -> &[Step<IntegerLayer>] {
        &self.steps
    }

    /// The grid of a value; 0 is the image, `i + 1` the result of step `i`.
    #[cfg(any(feature = "onnx", test))]
    pub(crate) fn grid(&self, value: usize) -> Option<Grid> {
        self.grids[value]
    }
}

impl FixedNetwork for QuantizedSubnet {
    fn space(&self) -> &SearchSpace {
        &self.space
    }

    fn arch(&self) -> &Arch {
        &self.arch
    }

    /// Statistics are part of the integers, so `statistics` makes no difference. `change` gets the features in units of
    /// their step.
    fn forward_with(
        &self,
        images: Tensor<4>,
        _: &mut Statistics,
        change: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        simulate::forward(self, images, change)
    }
}

#[cfg(test)]
mod tests;
