//! Question: how many multiply-adds per second do the kernels reach, layer by layer?
//!
//! Command: `cargo bench --workspace --bench ops` (`-- pointwise` for some of them; `RAYON_NUM_THREADS=1` for one
//! thread)
//!
//! The layers are those of MobileNetV3 at 224 px (one image) and at 128 px (16 images). Items are multiply-adds of the
//! forward pass, so 1 Gitem/s is 2 GFLOP/s. `gradients` also times the backward pass, about three times the work in
//! total. `matmul` is burn's product of two large matrices: what the machine can do.

use burn::tensor::{Device, Distribution, Tensor};
use divan::{Bencher, counter::ItemsCount};
use ofa_model::Activation;
use ofa_model::kernels::{batch_norm_train, dense_conv2d, depthwise_conv2d, pointwise_conv2d, pointwise_conv2d_affine};

/// Images, input and output channels, side: early and late expansions and projections.
const POINTWISE: [[usize; 4]; 6] =
    [[1, 16, 96, 112], [1, 144, 24, 56], [1, 960, 160, 7], [16, 24, 144, 32], [16, 672, 112, 8], [16, 960, 160, 4]];
/// Images, channels, side, kernel size, stride.
const DEPTHWISE: [[usize; 5]; 5] =
    [[1, 96, 112, 3, 2], [1, 240, 28, 5, 1], [16, 144, 32, 7, 1], [16, 480, 8, 3, 1], [16, 672, 8, 5, 2]];
/// Images, input and output channels, side; 3x3, stride 2.
const DENSE: [[usize; 4]; 2] = [[1, 3, 16, 224], [16, 3, 16, 128]];
/// Images, channels, side.
const NORM: [[usize; 3]; 2] = [[16, 144, 32], [16, 672, 8]];

fn main() {
    divan::main();
}

fn noise<const D: usize>(sizes: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(sizes, Distribution::Normal(0.0, 1.0), device)
}

/// Times a function of tensors of the given sizes.
fn forward<const N: usize>(
    bencher: Bencher,
    items: usize,
    sizes: [[usize; 4]; N],
    op: impl Fn([Tensor<4>; N]) -> Tensor<4>,
) {
    let inputs = sizes.map(|sizes| noise(sizes, &Device::flex()));
    bencher.counter(ItemsCount::new(items)).bench_local(|| op(inputs.clone()));
}

/// Times the forward and the backward pass.
fn gradients<const N: usize>(
    bencher: Bencher,
    items: usize,
    sizes: [[usize; 4]; N],
    op: impl Fn([Tensor<4>; N]) -> Tensor<4>,
) {
    let inputs = sizes.map(|sizes| noise(sizes, &Device::flex().autodiff()).require_grad());
    bencher.counter(ItemsCount::new(items)).bench_local(|| op(inputs.clone()).sum().backward());
}

fn vector(tensor: &Tensor<4>) -> Tensor<1> {
    tensor.clone().flatten::<1>(0, 3)
}

mod pointwise {
    use super::*;

    fn sizes([images, channels, out, side]: [usize; 4]) -> (usize, [[usize; 4]; 2]) {
        (images * channels * out * side * side, [[images, channels, side, side], [out, channels, 1, 1]])
    }

    #[divan::bench(args = POINTWISE)]
    fn forward(bencher: Bencher, layer: [usize; 4]) {
        let (items, sizes) = sizes(layer);
        super::forward(bencher, items, sizes, |[x, weight]| pointwise_conv2d(x, weight));
    }

    #[divan::bench(args = POINTWISE)]
    fn gradients(bencher: Bencher, layer: [usize; 4]) {
        let (items, sizes) = sizes(layer);
        super::gradients(bencher, items, sizes, |[x, weight]| pointwise_conv2d(x, weight));
    }

    #[divan::bench(args = POINTWISE)]
    fn inference(bencher: Bencher, layer: [usize; 4]) {
        let (items, [x, weight]) = sizes(layer);
        super::forward(bencher, items, [x, weight, [layer[2], 1, 1, 1]], |[x, weight, scale]| {
            pointwise_conv2d_affine(x, weight, vector(&scale), vector(&scale), Activation::HardSwish)
        });
    }
}

mod depthwise {
    use super::*;

    fn sizes([images, channels, side, k, stride]: [usize; 5]) -> (usize, [[usize; 4]; 2]) {
        let items = images * channels * side.div_ceil(stride).pow(2) * k * k;
        (items, [[images, channels, side, side], [channels, 1, k, k]])
    }

    #[divan::bench(args = DEPTHWISE)]
    fn forward(bencher: Bencher, layer: [usize; 5]) {
        let (items, sizes) = sizes(layer);
        super::forward(bencher, items, sizes, |[x, weight]| depthwise_conv2d(x, weight, layer[4]));
    }

    #[divan::bench(args = DEPTHWISE)]
    fn gradients(bencher: Bencher, layer: [usize; 5]) {
        let (items, sizes) = sizes(layer);
        super::gradients(bencher, items, sizes, |[x, weight]| depthwise_conv2d(x, weight, layer[4]));
    }
}

mod dense {
    use super::*;

    #[divan::bench(args = DENSE)]
    fn forward(bencher: Bencher, [images, channels, out, side]: [usize; 4]) {
        let sizes = [[images, channels, side, side], [out, channels, 3, 3]];
        let items = images * channels * out * side.div_ceil(2).pow(2) * 9;
        super::forward(bencher, items, sizes, |[x, weight]| dense_conv2d(x, weight, 2));
    }
}

/// Items are input values here.
mod batch_norm_and_hard_swish {
    use super::*;

    fn op([x, gamma, beta]: [Tensor<4>; 3]) -> Tensor<4> {
        batch_norm_train(x, vector(&gamma), vector(&beta), 1e-5, Activation::HardSwish).output
    }

    fn sizes([images, channels, side]: [usize; 3]) -> (usize, [[usize; 4]; 3]) {
        let vector = [channels, 1, 1, 1];
        (images * channels * side * side, [[images, channels, side, side], vector, vector])
    }

    #[divan::bench(args = NORM)]
    fn forward(bencher: Bencher, layer: [usize; 3]) {
        let (items, sizes) = sizes(layer);
        super::forward(bencher, items, sizes, op);
    }

    #[divan::bench(args = NORM)]
    fn gradients(bencher: Bencher, layer: [usize; 3]) {
        let (items, sizes) = sizes(layer);
        super::gradients(bencher, items, sizes, op);
    }
}

#[divan::bench(args = [1024])]
fn matmul(bencher: Bencher, size: usize) {
    let [a, b] = [(); 2].map(|()| noise([size, size], &Device::flex()));
    bencher.counter(ItemsCount::new(size.pow(3))).bench_local(|| a.clone().matmul(b.clone()));
}
