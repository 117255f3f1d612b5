//! Averaging of steps over ranks: the result has the gradients and statistics of one process with the whole batch.

use super::Ranks;
use crate::step::{StepNumbers, StepOutput};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

impl StepOutput {
    /// Combines the outputs of all ranks, each from its part of the batch, into one. Losses are means over the images
    /// of all ranks, counts are sums, and gradients are those of the mean loss. Parts may differ in size.
    ///
    /// Gradients travel in one flat buffer, in the order in which `module` visits its parameters, together with the
    /// number of ranks that have each. A parameter without a gradient on any rank stays without one, so the optimizer
    /// leaves it alone; where only some ranks lack a gradient, it counts as zero there. Parameter ids are ignored,
    /// since they differ between processes. A single rank copies nothing.
    ///
    /// Loaders prefetch the next batches meanwhile. Communication cannot overlap with the backward pass, because burn
    /// returns no gradient before all are computed.
    pub fn over_ranks<M: Module>(self, module: &M, ranks: &dyn Ranks) -> Self {
        if ranks.size() == 1 {
            return self;
        }
        let images = self.numbers.images as f64;
        let numbers = summed(&self.numbers, ranks);
        let mut flat = Flat { gradients: self.gradients, weight: images / numbers.images as f64, ..Flat::default() };
        module.visit(&mut flat);
        let Flat { mut values, present, .. } = flat;
        let gradients = values.len();
        values.extend(present);
        ranks.sum_f32(&mut values);
        let present = values.split_off(gradients);
        let mut unpacked = Unpacked { values: &values, present: &present, gradients: GradientsParams::new() };
        module.visit(&mut unpacked);
        Self { gradients: unpacked.gradients, numbers }
    }
}

/// Averages losses weighted by images, and sums counts.
fn summed(numbers: &StepNumbers, ranks: &dyn Ranks) -> StepNumbers {
    let StepNumbers { subnets, images, label_loss, teacher_loss, loss, correct } = *numbers;
    let own = images as f64;
    let mut sums = [own, label_loss * own, teacher_loss * own, loss * own, correct as f64];
    ranks.sum_f64(&mut sums);
    let [images, label_loss, teacher_loss, loss, correct] = sums;
    StepNumbers {
        subnets,
        images: images as usize,
        label_loss: label_loss / images,
        teacher_loss: teacher_loss / images,
        loss: loss / images,
        correct: correct as usize,
    }
}

/// Collects weighted gradients into a flat buffer.
struct Flat {
    gradients: GradientsParams,
    weight: f64,
    values: Vec<f32>,
    /// 1 for a parameter with a gradient, 0 for one without.
    present: Vec<f32>,
}

impl Default for Flat {
    fn default() -> Self {
        Self { gradients: GradientsParams::new(), weight: 1.0, values: Vec::new(), present: Vec::new() }
    }
}

impl ModuleVisitor for Flat {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if !parameter.is_require_grad() {
            return;
        }
        let weight = self.weight as f32;
        match self.gradients.remove::<D>(parameter.id) {
            Some(gradient) => {
                self.values.extend(gradient.into_data().iter::<f32>().map(|value| value * weight));
                self.present.push(1.0);
            }
            None => {
                self.values.resize(self.values.len() + parameter.shape().num_elements(), 0.0);
                self.present.push(0.0);
            }
        }
    }
}

/// Restores gradients from the flat buffer.
struct Unpacked<'a> {
    values: &'a [f32],
    present: &'a [f32],
    gradients: GradientsParams,
}

impl ModuleVisitor for Unpacked<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if !parameter.is_require_grad() {
            return;
        }
        let shape = parameter.shape();
        let (own, rest) = self.values.split_at(shape.num_elements());
        let (present, others) = self.present.split_first().expect("both visits see the same parameters");
        (self.values, self.present) = (rest, others);
        if *present > 0.0 {
            // Optimizers work on the plain device.
            let device: Device = parameter.val().device().inner();
            let gradient = Tensor::<D>::from_data(TensorData::new(own.to_vec(), shape), &device);
            self.gradients.register::<D>(parameter.id, gradient);
        }
    }
}
