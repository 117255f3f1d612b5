//! A network without batch norm, so a batch's gradient is exactly the mean over its parts, and a distance between
//! weights.

#![allow(dead_code, reason = "not every test uses all of it")]

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::tensor::activation::relu;
use burn::tensor::loss::cross_entropy_with_logits;
use burn::tensor::{Device, Tensor};
use ofa_data::ImageBatch;
use ofa_train::{StepNumbers, StepOutput};

#[derive(Module, Debug)]
pub struct Plain {
    conv: Conv2d,
    unused: Linear,
    linear: Linear,
}

impl Plain {
    pub fn new(seed: u64, channels: usize, resolution: usize) -> Self {
        let device = Device::flex();
        device.seed(seed);
        let device = device.autodiff();
        Self {
            conv: Conv2dConfig::new([1, channels], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device),
            unused: LinearConfig::new(5, 5).init(&device),
            linear: LinearConfig::new(channels * resolution * resolution, 10).init(&device),
        }
    }

    pub fn step(&self, batch: &ImageBatch) -> StepOutput {
        let images = Tensor::from_inner(batch.images.clone());
        let logits = self.linear.forward(relu(self.conv.forward(images)).flatten::<2>(1, 3));
        let targets = Tensor::from_inner(batch.labels.clone().one_hot::<2>(10).float());
        let loss = cross_entropy_with_logits(logits, targets);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), self);
        let numbers = StepNumbers { subnets: 1, images: batch.size(), loss: value, ..StepNumbers::default() };
        StepOutput { gradients, numbers: numbers.into() }
    }
}

/// All parameter values, flattened.
pub fn weights<M: Module>(module: &M) -> Vec<f32> {
    struct Collect(Vec<f32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.extend(parameter.val().into_data().iter::<f32>());
        }
    }
    let mut collect = Collect(Vec::new());
    module.visit(&mut collect);
    collect.0
}

pub fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}
