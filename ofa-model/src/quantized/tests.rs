use super::*;
use crate::SupernetConfig;
use crate::testing::Draw;
use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, TensorData};

/// Settings for small tests.
fn settings(images: usize) -> Quantization {
    Quantization { images, ..Quantization::default() }
}

/// Numbers between -1 and 1 by a formula, which `int8_samples` has as well.
fn pattern(shape: [usize; 4]) -> Tensor<4> {
    let numbers: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(numbers, shape), &Device::flex())
}

/// The smallest subnet of a supernet with random weights.
fn calibrated(space: &SearchSpace, images: &Tensor<4>) -> Subnet {
    let supernet = SupernetConfig::new(space.clone()).unwrap().with_seed(2).init(&Device::flex());
    supernet.subnet(&space.smallest()).calibrate([images])
}

/// Spaces with every kind of step: curves, gates, sums, pooling, ReLU and ReLU6.
fn spaces() -> [SearchSpace; 3] {
    let at = |space: SearchSpace, size| SearchSpace { resolutions: vec![size], ..space };
    [
        SearchSpace::small_mobilenet_v3(3, 10),
        at(SearchSpace::proxyless_nas(0.5, 10), 33),
        at(SearchSpace::resnet50d(10), 35),
    ]
}

#[test]
fn integers_say_what_real_numbers_say() {
    for space in spaces() {
        let side = space.smallest().resolution;
        let images = Draw::new(3).normal([16, 3, side, side], 0.3, 1.0);
        let subnet = calibrated(&space, &images);
        let real = subnet.infer(images.clone());
        for (activations, most) in [(ActivationFormat::Asymmetric, 0.8), (ActivationFormat::Symmetric, 1.0)] {
            let settings = Quantization { activations, ..settings(16) };
            let quantised = subnet.quantize([&images], &settings).unwrap();
            let apart = (quantised.infer(images.clone()) - real.clone()).abs().mean().into_scalar::<f32>();
            let spread = real.clone().var(0).mean().into_scalar::<f32>().sqrt();
            // Random weights pass errors on from layer to layer; unrelated logits would be more than a spread apart.
            assert!(apart > 0.0 && apart < most * spread, "{} {activations:?}: {apart} of {spread}", space.name);
        }
    }
}

#[test]
fn training_sees_the_logits_of_the_integers() {
    for space in spaces() {
        let side = space.smallest().resolution;
        let images = Draw::new(3).normal([16, 3, side, side], 0.3, 1.0);
        let subnet = calibrated(&space, &images);
        let expected = subnet.quantize([&images], &settings(16)).unwrap().infer(images.clone());
        let found = subnet.clone().straight_through([&images], &settings(16)).unwrap().infer(images.clone());
        let spread = expected.clone().var(0).mean().into_scalar::<f32>().sqrt();
        let apart = |logits: Tensor<2>| (logits - expected.clone()).abs().mean().into_scalar::<f32>() / spread;
        // Steps of the sums, and a step here and there where numbers lie between two.
        let (found, real) = (apart(found), apart(subnet.infer(images)));
        assert!(found < 0.2 * real, "{}: {found} apart, {real} without rounding", space.name);
    }
}

#[test]
fn gradients_point_where_those_of_real_numbers_do() {
    for mut space in spaces() {
        // Through many layers of random weights, rounding grows until gradients have little in common.
        space.stages.truncate(3);
        let side = space.smallest().resolution;
        let images = Draw::new(3).normal([16, 3, side, side], 0.3, 1.0);
        let subnet = calibrated(&space, &images);
        let settings = Quantization { weight_bits: 8, ..settings(16) };
        let rounded = subnet.clone().straight_through([&images], &settings).unwrap().train();
        let direction = Tensor::from_inner(Draw::new(5).normal([16, 10], 0.0, 1.0));
        let images = Tensor::from_inner(images);
        let gradients = |logits: Tensor<2>| (logits * direction.clone()).sum().backward();
        let real = subnet.train();
        let expected = gradients(real.forward(images.clone(), &mut Statistics::Running));
        let expected = GradientsParams::from_grads(expected, &real);
        let found = gradients(rounded.forward_with(images, &mut Statistics::Running, |features| features));
        let found = GradientsParams::from_grads(found, &rounded);
        let mut compared = Compared { found, expected, sums: [0.0; 3], parameters: 0 };
        real.visit(&mut compared);
        let [dot, a, b] = compared.sums;
        let cosine = dot / (a * b).sqrt();
        assert!(cosine > 0.7, "{}: {cosine} over {} parameters", space.name, compared.parameters);
    }
}

/// Compares the gradients of parameters of the same names.
struct Compared {
    found: GradientsParams,
    expected: GradientsParams,
    /// Sums of products and of squares.
    sums: [f64; 3],
    parameters: usize,
}

impl ModuleVisitor for Compared {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let numbers = |gradients: &GradientsParams| -> Option<Vec<f32>> {
            gradients.get::<D>(parameter.id).map(|gradient| gradient.into_data().try_to_vec().unwrap())
        };
        let (found, expected) = (numbers(&self.found), numbers(&self.expected));
        assert_eq!(found.is_some(), expected.is_some());
        for (found, expected) in found.into_iter().flatten().zip(expected.into_iter().flatten()) {
            let (a, b) = (f64::from(found), f64::from(expected));
            self.sums = [self.sums[0] + a * b, self.sums[1] + a * a, self.sums[2] + b * b];
        }
        self.parameters += 1;
    }
}

/// Logits of onnxruntime 1.32.0 for the exported model: `check_int8.py` prints them.
#[test]
fn logits_are_those_of_onnxruntime() {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let images = pattern([4, 1, 20, 20]);
    let subnet = calibrated(&space, &images);
    let logits = subnet.quantize([&images], &settings(4)).unwrap().infer(images);
    let found = logits.into_data().try_to_vec::<f32>().unwrap();
    for (found, expected) in found.iter().zip(ONNXRUNTIME) {
        assert!((found - expected).abs() < 1e-6, "{found} against {expected}");
    }
}

const ONNXRUNTIME: [f32; 40] = [
    -0.0357682, 0.0794015, -0.0413668, -0.0217431, 0.0358339, 0.0388248, 0.0521480, -0.0213377, 0.1477261, 0.0161127,
    -0.0782045, 0.0897611, -0.0341878, -0.0345146, 0.0282115, -0.0191783, 0.0853966, -0.0413005, 0.0842288, 0.0722922,
    -0.0722657, 0.1344456, -0.0896470, 0.0052643, 0.0300749, -0.0391307, 0.1444325, -0.1190974, 0.0928614, 0.0037814,
    0.0100431, 0.0597887, 0.0414332, -0.0614451, 0.0731292, -0.1433973, 0.1255139, -0.0249014, 0.1208715, 0.0500716,
];

#[test]
fn every_result_is_an_integer_within_its_limits() {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let images = pattern([4, 1, 20, 20]);
    let subnet = calibrated(&space, &images);
    let quantised = subnet.quantize([&images], &settings(4)).unwrap();
    // Also beyond the calibrated range.
    quantised.forward_with(images * 3.0, &mut Statistics::Running, |features| {
        let [low, high] = quantised.grid(quantised.steps().len() - 1).unwrap().levels();
        for value in features.to_data().iter::<f32>() {
            assert!(value.fract() == 0.0 && (low..=high).contains(&value), "{value}");
        }
        features
    });
}

#[test]
fn what_cannot_be_quantised_is_said() {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let supernet = SupernetConfig::new(space.clone()).unwrap().init(&Device::flex());
    let subnet = supernet.subnet(&space.smallest());
    let images = pattern([4, 1, 20, 20]);
    let message =
        |images: &Tensor<4>, settings: Quantization| subnet.quantize([images], &settings).unwrap_err().to_string();
    for (found, expected) in [
        (message(&images, settings(5)), "there are 4 images, but ranges are to be calibrated on 5"),
        (message(&images, settings(0)), "at least one image"),
        (message(&(images.clone() / 0.0), settings(4)), "the image is not finite"),
        (message(&images, Quantization { weight_bits: 4, ..settings(4) }), "weights of 4 bits: expected 7 or 8"),
        (
            message(&images, Quantization { range: RangeRule::Percentile(10.0), ..settings(4) }),
            "a range of 10 percent of the values: expected 50 to 100",
        ),
    ] {
        assert!(found.contains(expected) && found.starts_with(['c', 'q']), "{found}");
    }
}
