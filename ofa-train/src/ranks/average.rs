//! Averaging of steps over ranks: the result has the gradients and statistics of one process with the whole batch.

use super::Ranks;
use crate::step::{StepNumbers, StepOutput};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData, Transaction};
use ofa_data::transfer::{read_back, upload};

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
    ///
    /// The device is waited for once, and receives one tensor.
    pub fn over_ranks<M: Module>(self, module: &M, ranks: &dyn Ranks) -> Self {
        let devices = module.devices();
        let (Some(device), false) = (devices.first(), ranks.size() == 1) else { return self };
        let Self { gradients, numbers } = self;
        let own_images = numbers.images() as f64;
        let mut registered = Registered { gradients, ..Registered::default() };
        module.visit(&mut registered);
        let Registered { parameters, tensors, .. } = registered;
        let mut read = read_back(numbers.register(tensors)).into_iter();
        let own: Vec<Option<TensorData>> =
            parameters.iter().map(|(_, present)| present.then(|| read.next()).flatten()).collect();
        let numbers = summed(&numbers.of(&mut read), ranks);

        let weight = (own_images / numbers.images as f64) as f32;
        let mut values = Vec::new();
        for (gradient, (length, _)) in own.iter().zip(&parameters) {
            match gradient {
                Some(gradient) => values.extend(gradient.iter::<f32>().map(|value| value * weight)),
                None => values.resize(values.len() + length, 0.0),
            }
        }
        let gradients = values.len();
        values.extend(parameters.iter().map(|(_, present)| f32::from(u8::from(*present))));
        ranks.sum_f32(&mut values);
        let present = values.split_off(gradients);
        // Optimizers work on the plain device.
        let values = upload(TensorData::new(values, [gradients]), &device.clone().inner());
        let mut unpacked = Unpacked { values, read: 0, present: &present, gradients: GradientsParams::new() };
        module.visit(&mut unpacked);
        Self { gradients: unpacked.gradients, numbers: numbers.into() }
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

/// Collects the gradients that are to be read.
#[derive(Default)]
struct Registered {
    gradients: GradientsParams,
    /// Length of each parameter, and whether it has a gradient.
    parameters: Vec<(usize, bool)>,
    tensors: Transaction,
}

impl ModuleVisitor for Registered {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if !parameter.is_require_grad() {
            return;
        }
        let gradient = self.gradients.remove::<D>(parameter.id);
        self.parameters.push((parameter.shape().num_elements(), gradient.is_some()));
        if let Some(gradient) = gradient {
            self.tensors = std::mem::take(&mut self.tensors).register(gradient);
        }
    }
}

/// Restores gradients from one flat tensor.
struct Unpacked<'a> {
    values: Tensor<1>,
    /// Values that earlier parameters took.
    read: usize,
    present: &'a [f32],
    gradients: GradientsParams,
}

impl ModuleVisitor for Unpacked<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if !parameter.is_require_grad() {
            return;
        }
        let (shape, first) = (parameter.shape(), self.read);
        let length = shape.num_elements();
        self.read += length;
        let (present, others) = self.present.split_first().expect("both visits see the same parameters");
        self.present = others;
        if *present > 0.0 {
            let gradient: Tensor<D> = self.values.clone().narrow(0, first, length).reshape(shape);
            self.gradients.register::<D>(parameter.id, gradient);
        }
    }
}
