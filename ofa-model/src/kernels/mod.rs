//! Differentiable ops for the hot path, one op per file.
//!
//! Each op is a backend extension of burn: a default in terms of burn's own ops for any backend, and a CPU
//! implementation for flex with SIMD (by `pulp`, chosen at run time) and rayon. The CPU results depend neither on the
//! number of threads nor on the vector width. Where the default is slow in libtorch, `libtorch.rs` implements the op
//! with libtorch's own functions; `cube.rs` has kernels for GPUs, in the language of CubeCL.

#![cfg_attr(feature = "tch", allow(deprecated, reason = "this is the last burn release with libtorch: see DESIGN.md"))]

mod activation;
mod batch_norm;
mod composed;
mod conv_affine;
mod cross_entropy;
#[cfg(feature = "gpu")]
mod cube;
mod dense;
mod depthwise;
#[cfg(feature = "flex")]
mod lanes;
mod matmul;
mod mb_conv;
#[cfg(feature = "flex")]
mod plain;
mod pointwise;
mod requantize;
mod squeeze_excite;
#[cfg(test)]
mod tests;

pub use activation::{Activation, hard_sigmoid};
pub use batch_norm::{BatchNormTrain, NormBackend, batch_norm_inference, batch_norm_train, scale_and_shift};
pub use conv_affine::{ConvAffineBackend, dense_conv2d_affine, depthwise_conv2d_affine, pointwise_conv2d_affine};
pub use cross_entropy::{CrossEntropyBackend, cross_entropy, softmax};
pub use dense::{DenseBackend, dense_conv2d};
pub use depthwise::{DepthwiseBackend, depthwise_conv2d};
pub use matmul::{MatmulBackend, batched_matmul, linear, matmul};
pub use mb_conv::{ConvWeights, MbConvBackend, MbConvKind, MbConvTrain, MbConvWeights, mb_conv_train};
pub use pointwise::{PointwiseBackend, pointwise_conv2d};
pub use requantize::{Curve, Levels, RequantizeBackend, requantize};
pub use squeeze_excite::{GateWeights, PlaneBackend, global_average_pool, scale_planes, squeeze_excite};
