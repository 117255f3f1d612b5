//! TEMPORARY composed ops with the final public signatures (lead's placeholder so that other modules compile; the
//! kernels helper replaces this whole folder).
#![allow(missing_docs)]
use burn::tensor::module as tm;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, activation as act};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    Identity,
    Relu,
    Relu6,
    HardSwish,
}
impl Activation {
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => x,
            Self::Relu => act::relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::HardSwish => x.clone() * hard_sigmoid(x),
        }
    }
}
pub fn hard_sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    (x + 3.0).clamp(0.0, 6.0) / 6.0
}
pub fn depthwise_conv2d(x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let [c, _, k, _] = weight.dims();
    tm::conv2d(x, weight, None, ConvOptions::new([stride; 2], [k / 2; 2], [1; 2], c))
}
pub fn pointwise_conv2d(x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    let [n, ci, h, w] = x.dims();
    let [co, _, _, _] = weight.dims();
    weight.reshape([1, co, ci]).matmul(x.reshape([n, ci, h * w])).reshape([n, co, h, w])
}
pub struct BatchNormTrain {
    pub output: Tensor<4>,
    pub mean: Tensor<1>,
    pub variance: Tensor<1>,
}
pub fn batch_norm_train(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64, activation: Activation) -> BatchNormTrain {
    let r = tm::batch_norm_train(x, gamma, beta, epsilon);
    BatchNormTrain { output: activation.apply(r.output), mean: r.mean, variance: r.variance }
}
pub fn batch_norm_inference(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
    activation: Activation,
) -> Tensor<4> {
    activation.apply(tm::batch_norm(x, gamma, beta, mean, variance, epsilon))
}
pub fn channel_scale(x: Tensor<4>, scale: Tensor<2>) -> Tensor<4> {
    let [n, c] = scale.dims();
    x * scale.reshape([n, c, 1, 1])
}
pub fn global_average_pool(x: Tensor<4>) -> Tensor<2> {
    let [n, c, _, _] = x.dims();
    tm::adaptive_avg_pool2d(x, [1, 1]).reshape([n, c])
}
