//! Every other compiled-in backend computes the same as flex; run by `.ci/backends tch wgpu`.
#![cfg(all(
    feature = "flex",
    any(feature = "tch", feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda")
))]

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use experiments::bench::parity::{Parity, distance, numbers, step};
use experiments::machine::device;
use ofa_model::kernels::{
    batch_norm_inference, batch_norm_train, dense_conv2d, dense_conv2d_affine, depthwise_conv2d,
    depthwise_conv2d_affine, pointwise_conv2d, pointwise_conv2d_affine,
};
use ofa_model::{Activation, SearchSpace};
use ofa_train::Precision;

/// The backends under test. A missing GPU fails the test if its backend is compiled in, except `libtorch-cuda`, which
/// comes with the feature `tch` whether it is wanted or not.
fn devices() -> Vec<(&'static str, Device)> {
    let device = |name| match device::by_name(name) {
        Err(_) if name == "libtorch-cuda" => None,
        device => Some((name, device.unwrap())),
    };
    device::available().into_iter().filter(|name| *name != "flex").filter_map(device).collect()
}

/// Small spaces that together have every kind of layer. The bottlenecks are few: at full depth and an eighth of the
/// width, gradients are so ill-conditioned that changing pixels by 1e-7 changes them by 0.8 to 4.7 % on flex alone.
fn spaces() -> [SearchSpace; 2] {
    let mut bottlenecks = SearchSpace { resolutions: vec![33], ..SearchSpace::resnet50d(10) };
    for stage in &mut bottlenecks.stages {
        stage.channels /= 8;
        stage.depths.truncate(1);
    }
    [SearchSpace { resolutions: vec![20], ..SearchSpace::small_mobilenet_v3(3, 10) }, bottlenecks]
}

#[test]
fn every_backend_agrees_with_flex() {
    for (name, device) in devices() {
        for space in spaces() {
            let parity = Parity::measure(&space, &device, &Device::flex());
            assert!(parity.worst() < 1e-3, "{name}, {}: {parity:?}", space.name);
        }
    }
}

/// Rounding to 8 bits of precision changes numbers by up to 0.4 %. In a deep network the resulting error of an update
/// has no useful bound, but its direction is preserved. A device without bfloat16 is refused.
#[test]
fn a_step_in_16_bits_has_the_direction_of_the_exact_one() {
    let [space, _] = spaces();
    let exact = step(&space, &Device::flex(), Precision::F32).concat();
    for (name, device) in devices() {
        if !device.supports_dtype(FloatDType::BF16) {
            let error = Precision::Bf16.check(&device).unwrap_err().to_string();
            assert!(error.contains("bf16") && error.contains("f32"), "{name}: {error}");
            continue;
        }
        let rounded = step(&space, &device, Precision::Bf16).concat();
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let cosine = product(&exact, &rounded) / (product(&exact, &exact) * product(&rounded, &rounded)).sqrt();
        assert!(cosine > 0.98 && exact != rounded, "{name}: cosine {cosine}");
    }
}

fn noise(sizes: [usize; 4], seed: usize, device: &Device) -> Tensor<4> {
    let number = |i: usize| ((i * 7919 + i / 7 * 104_729 + seed * 31) % 1009) as f32 / 504.5 - 0.8;
    Tensor::from_data(TensorData::new((0..sizes.iter().product()).map(number).collect(), sizes), device)
}

/// The output of `op` on tensors of the given sizes, and the gradients of these tensors.
fn run(op: &dyn Fn(&[Tensor<4>]) -> Tensor<4>, sizes: &[[usize; 4]], device: &Device) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let inputs: Vec<_> = (0..).zip(sizes).map(|(seed, sizes)| noise(*sizes, seed, &device).require_grad()).collect();
    let output = op(&inputs);
    let direction = noise(output.dims(), 9, &device);
    let gradients = (output.clone() * direction).sum().backward();
    let found = inputs.iter().map(|input| input.grad(&gradients).unwrap());
    std::iter::once(output.inner()).chain(found).map(|tensor| numbers(tensor.into_data())).collect()
}

fn agrees(what: &str, op: impl Fn(&[Tensor<4>]) -> Tensor<4>, sizes: &[[usize; 4]]) {
    let expected = run(&op, sizes, &Device::flex());
    for (name, device) in devices() {
        for (tensor, (found, expected)) in run(&op, sizes, &device).iter().zip(&expected).enumerate() {
            let distance = distance(found, expected, 0.0);
            assert!(distance < 1e-4, "{name}, {what} of {sizes:?}: tensor {tensor} is off by {distance:e}");
        }
    }
}

#[test]
fn depthwise_convolutions_of_odd_shapes_agree() {
    // Maps smaller than the kernel, strides that skip the last rows, a single image, a single channel.
    for (n, c, h, w, k, stride) in [
        (1, 1, 1, 1, 3, 1),
        (2, 3, 2, 3, 7, 1),
        (2, 4, 9, 7, 5, 1),
        (1, 2, 14, 13, 7, 2),
        (3, 2, 6, 8, 3, 2),
        (1, 2, 9, 8, 3, 3),
        (6, 3, 30, 31, 7, 1),
        (2, 2, 5, 5, 9, 2),
    ] {
        let op = |inputs: &[Tensor<4>]| depthwise_conv2d(inputs[0].clone(), inputs[1].clone(), stride);
        agrees("depthwise convolution", op, &[[n, c, h, w], [c, 1, k, k]]);
    }
}

#[test]
fn pointwise_convolutions_of_few_and_many_pixels_agree() {
    for (n, input, out, side) in [(1, 1, 1, 1), (3, 40, 30, 2), (2, 5, 7, 9)] {
        let op = |inputs: &[Tensor<4>]| pointwise_conv2d(inputs[0].clone(), inputs[1].clone());
        agrees("1x1 convolution", op, &[[n, input, side, side], [out, input, 1, 1]]);
    }
}

#[test]
fn dense_convolutions_of_images_and_of_many_channels_agree() {
    for (n, input, out, h, w, k, stride) in [(2, 3, 8, 9, 8, 3, 2), (1, 1, 5, 7, 7, 5, 1), (2, 6, 4, 5, 5, 3, 1)] {
        let op = |inputs: &[Tensor<4>]| dense_conv2d(inputs[0].clone(), inputs[1].clone(), stride);
        agrees("dense convolution", op, &[[n, input, h, w], [out, input, k, k]]);
    }
}

#[test]
fn convolutions_that_scale_shift_and_activate_agree() {
    for activation in ACTIVATIONS {
        let pointwise = |inputs: &[Tensor<4>]| {
            let (scale, shift) = (vector(&inputs[2]), vector(&inputs[3]));
            pointwise_conv2d_affine(inputs[0].clone(), inputs[1].clone(), scale, shift, activation)
        };
        agrees("fused 1x1 convolution", pointwise, &[[2, 5, 6, 6], [7, 5, 1, 1], [7, 1, 1, 1], [7, 1, 1, 1]]);
        let depthwise = |inputs: &[Tensor<4>]| {
            let (scale, shift) = (vector(&inputs[2]), vector(&inputs[3]));
            depthwise_conv2d_affine(inputs[0].clone(), inputs[1].clone(), 2, scale, shift, activation)
        };
        agrees("fused depthwise convolution", depthwise, &[[2, 5, 6, 7], [5, 1, 5, 5], [5, 1, 1, 1], [5, 1, 1, 1]]);
        let dense = |inputs: &[Tensor<4>]| {
            let (scale, shift) = (vector(&inputs[2]), vector(&inputs[3]));
            dense_conv2d_affine(inputs[0].clone(), inputs[1].clone(), 2, scale, shift, activation)
        };
        agrees("fused dense convolution", dense, &[[2, 3, 6, 7], [8, 3, 3, 3], [8, 1, 1, 1], [8, 1, 1, 1]]);
    }
}

const ACTIVATIONS: [Activation; 4] = [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::HardSwish];

fn vector(tensor: &Tensor<4>) -> Tensor<1> {
    tensor.clone().flatten::<1>(0, 3)
}

/// Scaled by 8 to reach both saturation regions of the activations.
fn normalised(input: Tensor<4>, gamma: &Tensor<4>, beta: &Tensor<4>, activation: Activation) -> Tensor<4> {
    batch_norm_train(input, vector(gamma) * 8.0, vector(beta), 1e-5, activation).output
}

#[test]
fn batch_norms_with_every_activation_agree() {
    for activation in ACTIVATIONS {
        for (n, c, h, w) in [(4, 3, 5, 5), (16, 1, 1, 1), (2, 7, 8, 8), (3, 33, 1, 7), (2, 2, 67, 41)] {
            let train = |inputs: &[Tensor<4>]| normalised(inputs[0].clone(), &inputs[1], &inputs[2], activation);
            agrees("batch norm in training", train, &[[n, c, h, w], [c, 1, 1, 1], [c, 1, 1, 1]]);
        }
        for (n, c, side) in [(4, 3, 5), (16, 1, 1), (2, 7, 8)] {
            let inference = |inputs: &[Tensor<4>]| {
                let (gamma, beta) = (vector(&inputs[1]) * 8.0, vector(&inputs[2]));
                let (mean, variance) = (beta.clone() * 0.5, gamma.clone() * gamma.clone() + 0.5);
                batch_norm_inference(inputs[0].clone(), gamma, beta, mean, variance, 1e-5, activation)
            };
            agrees("batch norm in inference", inference, &[[n, c, side, side], [c, 1, 1, 1], [c, 1, 1, 1]]);
        }
    }
}

/// Channels, pixels or rows as neighbours: what comes from burn's convolutions, from matrix products, and transposed.
#[test]
fn batch_norms_and_depthwise_convolutions_agree_in_every_order_of_memory() {
    for (n, c, h, w, k, stride) in [(3, 5, 9, 7, 3, 1), (2, 40, 6, 5, 5, 2), (1, 3, 4, 11, 7, 1)] {
        let between = |inputs: &[Tensor<4>]| {
            let first = depthwise_conv2d(inputs[0].clone(), inputs[1].clone(), 1);
            let first = normalised(first, &inputs[2], &inputs[3], Activation::HardSwish);
            let second = depthwise_conv2d(first.swap_dims(2, 3), inputs[1].clone(), stride);
            normalised(second.swap_dims(2, 3), &inputs[2], &inputs[3], Activation::Relu)
        };
        agrees("a chain", between, &[[n, c, h, w], [c, 1, k, k], [c, 1, 1, 1], [c, 1, 1, 1]]);
    }
}

/// Against elementary ops on the same device. The mean is far from zero: unshifted sums of squares would cancel.
#[test]
fn batch_norms_agree_with_elementary_ops() {
    let composed = |inputs: &[Tensor<4>], activation: Activation| {
        let mean = |tensor: Tensor<4>| tensor.mean_dim(0).mean_dim(2).mean_dim(3);
        let centred = inputs[0].clone() - mean(inputs[0].clone());
        let variance = mean(centred.clone() * centred.clone());
        let wide = |tensor: &Tensor<4>| tensor.clone().swap_dims(0, 1);
        activation.apply(centred / (variance + 1e-5).sqrt() * wide(&inputs[1]) * 8.0 + wide(&inputs[2]))
    };
    for (name, device) in devices() {
        for (n, c, h, w) in [(3, 5, 7, 9), (2, 1, 1, 2), (5, 20, 3, 1)] {
            for activation in ACTIVATIONS {
                let sizes = [[n, c, h, w], [c, 1, 1, 1], [c, 1, 1, 1]];
                let far = |inputs: &[Tensor<4>]| [inputs[0].clone() * 3.0 + 20.0, inputs[1].clone(), inputs[2].clone()];
                let own = |inputs: &[Tensor<4>]| {
                    let [input, gamma, beta] = far(inputs);
                    normalised(input, &gamma, &beta, activation)
                };
                let found = run(&own, &sizes, &device);
                let expected = run(&|inputs| composed(&far(inputs), activation), &sizes, &device);
                for (tensor, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    // Single precision around a mean of 20 leaves an error of 1e-6 in values of order one.
                    let distance = distance(found, expected, 1e-2);
                    assert!(distance < 1e-3, "{name}, {activation}, {sizes:?}: tensor {tensor} is off by {distance:e}");
                }
            }
        }
    }
}

#[test]
fn statistics_of_a_batch_agree() {
    let statistics = |device: &Device| {
        let (input, one) = (noise([5, 3, 41, 39], 1, device), Tensor::<1>::ones([3], device));
        let norm = batch_norm_train(input, one.clone(), one, 1e-5, Activation::Identity);
        [norm.mean, norm.variance].map(|tensor| numbers(tensor.into_data()))
    };
    let expected = statistics(&Device::flex());
    for (name, device) in devices() {
        for (found, expected) in statistics(&device).iter().zip(&expected) {
            let distance = distance(found, expected, 0.0);
            assert!(distance < 1e-5, "{name}: off by {distance:e}");
        }
    }
}
