//! The layers of a supernet and, sliced, of a subnet.
//!
//! An elastic layer *is* an ordinary layer at its largest, plus a way to slice its leading channels. The slice stays
//! linked to the full weights for gradients, so training a subnet trains the supernet; detached, it is the extracted
//! subnet. There is no "active" state: the call alone determines what runs.

mod block;
mod bottleneck;
mod conv;
mod conv_block;
mod depthwise;
mod head;
mod mb_conv;
mod norm;
mod pool;
mod squeeze_excite;

pub use block::{Block, ElasticBlock};
pub use bottleneck::Bottleneck;
pub(crate) use bottleneck::averaged;
pub use conv::ConvNorm;
pub use conv_block::ConvBlock;
pub use depthwise::ElasticDepthwise;
pub use head::Head;
pub use mb_conv::{ElasticMbConv, MbConv};
pub use norm::{Moments, Norm, Statistics};
pub use pool::MaxPool;
pub use squeeze_excite::SqueezeExcite;

use burn::module::Param;
use burn::tensor::Tensor;

/// The leading entries of a parameter along its first dimensions, linked to it for gradients.
fn leading<const D: usize>(parameter: &Param<Tensor<D>>, counts: &[usize]) -> Param<Tensor<D>> {
    let full = parameter.val();
    let ranges: [std::ops::Range<usize>; D] =
        std::array::from_fn(|dim| 0..counts.get(dim).copied().unwrap_or(full.dims()[dim]));
    let whole = ranges.iter().zip(full.dims()).all(|(range, size)| range.end == size);
    linked(parameter, if whole { full } else { full.slice(ranges) })
}

/// `value` as the value of `parameter`: a view, not a new leaf of the autodiff graph.
fn linked<const D: usize>(parameter: &Param<Tensor<D>>, value: Tensor<D>) -> Param<Tensor<D>> {
    parameter.clone().map(|_| value)
}

/// Reorders a parameter along dimension `dim` and keeps its id and whether it is trainable.
fn reordered<const D: usize>(
    parameter: Param<Tensor<D>>,
    dim: usize,
    order: &burn::tensor::Tensor<1, burn::tensor::Int>,
) -> Param<Tensor<D>> {
    let trainable = parameter.is_require_grad();
    parameter.map(|value| value.select(dim, order.clone()).detach().set_require_grad(trainable))
}
