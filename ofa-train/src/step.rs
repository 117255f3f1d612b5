//! One training step: a batch and some subnets to gradients and numbers.

use crate::distill::{losses, smoothed, soft_targets};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Int, Tensor};
use ofa_data::ImageBatch;
use ofa_model::{Arch, Statistics, Supernet};

/// What the subnets of a step learn from.
pub struct StepTargets<'a> {
    /// Weight that the labels lose to all classes (label smoothing).
    pub label_smoothing: f64,
    /// The teacher and the weight of its opinion.
    pub teacher: Option<(&'a Supernet, f64)>,
}

/// What a step yields.
pub struct StepOutput {
    /// Sum of the subnets' gradients.
    pub gradients: GradientsParams,
    /// What happened, in numbers.
    pub numbers: StepNumbers,
}

/// Sums over the subnets of a step; divide by `subnets` for a mean subnet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepNumbers {
    /// Subnets trained.
    pub subnets: usize,
    /// Images in the batch.
    pub images: usize,
    /// Sum of the mean cross-entropies against the labels.
    pub label_loss: f64,
    /// Sum of the mean cross-entropies against the teacher, unweighted; 0 without a teacher.
    pub teacher_loss: f64,
    /// Sum of what was minimised.
    pub loss: f64,
    /// Correctly classified images, summed over subnets.
    pub correct: usize,
}

/// Sums the gradients of `archs` on one batch (paper, section 3.3: the loss of every sampled subnet counts fully).
///
/// The supernet is on an autodiff device, batch and teacher on the plain one. The teacher is the largest subnet of its
/// supernet, run at the batch's resolution with the batch's own statistics, as in the original. Pure: nothing changes.
///
/// # Panics
///
/// If `archs` is empty or holds an arch outside the supernet's space.
pub fn shrink_step(supernet: &Supernet, batch: &ImageBatch, archs: &[Arch], targets: &StepTargets) -> StepOutput {
    assert!(!archs.is_empty(), "a step needs at least one arch");
    let images = Tensor::from_inner(batch.images.clone());
    let targets = Targets::new(batch, supernet.space().classes, targets);
    step(supernet, archs.len(), &targets, |i| supernet.forward(images.clone(), &archs[i], &mut Statistics::Batch))
}

/// Gradients of any network whose forward pass is given, `passes` times on the same batch, summed.
pub(crate) fn step<M: Module>(
    module: &M,
    passes: usize,
    targets: &Targets,
    forward: impl Fn(usize) -> Tensor<2>,
) -> StepOutput {
    let mut accumulator = GradientsAccumulator::new();
    let mut numbers = StepNumbers { subnets: passes, images: targets.labels.dims()[0], ..StepNumbers::default() };
    for pass in 0..passes {
        let logits = forward(pass);
        numbers.correct += correct(logits.clone().inner(), targets.labels.clone());
        let losses = losses(logits, targets.smoothed.clone(), targets.teacher.as_ref().map(|(soft, _)| soft.clone()));
        numbers.label_loss += number(&losses.labels);
        let loss = match (losses.teacher, &targets.teacher) {
            (Some(teacher), Some((_, weight))) => {
                numbers.teacher_loss += number(&teacher);
                losses.labels + teacher * *weight
            }
            _ => losses.labels,
        };
        numbers.loss += number(&loss);
        accumulator.accumulate(module, GradientsParams::from_grads(loss.backward(), module));
    }
    StepOutput { gradients: accumulator.grads(), numbers }
}

/// A batch's targets, computed once for all subnets of a step.
pub(crate) struct Targets {
    labels: Tensor<1, Int>,
    smoothed: Tensor<2>,
    teacher: Option<(Tensor<2>, f64)>,
}

impl Targets {
    pub(crate) fn new(batch: &ImageBatch, classes: usize, targets: &StepTargets) -> Self {
        let [_, _, resolution, _] = batch.images.dims();
        let teacher = targets.teacher.map(|(teacher, weight)| {
            let largest = teacher.space().largest().at_resolution(resolution);
            let logits = teacher.forward(batch.images.clone(), &largest, &mut Statistics::Batch);
            (Tensor::from_inner(soft_targets(logits)), weight)
        });
        let smoothed = smoothed(batch.labels.clone(), classes, targets.label_smoothing);
        let smoothed = match batch.mixup {
            Some(share) => smoothed.clone() * share + smoothed.flip([0]) * (1.0 - share),
            None => smoothed,
        };
        Self { labels: batch.labels.clone(), smoothed: Tensor::from_inner(smoothed), teacher }
    }
}

/// Number of rows of logits `[batch, classes]` whose greatest entry is at the label.
pub(crate) fn correct(logits: Tensor<2>, labels: Tensor<1, Int>) -> usize {
    let [batch, _] = logits.dims();
    let hits = logits.argmax(1).reshape([batch]).equal(labels).int().sum();
    hits.into_scalar::<i64>() as usize
}

fn number(loss: &Tensor<1>) -> f64 {
    loss.clone().into_scalar::<f32>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, Tolerance};
    use ofa_model::{SearchSpace, SupernetConfig};

    fn fixture() -> (Supernet, ImageBatch) {
        let device = Device::flex();
        device.seed(3);
        let config = SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10)).unwrap().with_seed(1);
        let images = Tensor::random([6, 1, 20, 20], Distribution::Normal(0.0, 1.0), &device);
        let labels = Tensor::from_ints([1, 0, 9, 4, 4, 2], &device);
        (config.init(&device.autodiff()), ImageBatch::new(images, labels))
    }

    fn gradient(supernet: &Supernet, output: &StepOutput) -> Vec<f32> {
        struct Collect<'a>(&'a GradientsParams, Vec<f32>);
        impl burn::module::ModuleVisitor for Collect<'_> {
            fn visit_float<const D: usize>(&mut self, parameter: &burn::module::Param<Tensor<D>>) {
                let zeros = || vec![0.0; parameter.shape().num_elements()];
                let gradient = self.0.get::<D>(parameter.id);
                self.1.extend(gradient.map_or_else(zeros, |g| g.into_data().try_into_vec::<f32>().unwrap()));
            }
        }
        let mut collect = Collect(&output.gradients, Vec::new());
        supernet.visit(&mut collect);
        collect.1
    }

    #[test]
    fn gradients_and_losses_are_sums_over_subnets() {
        let (supernet, batch) = fixture();
        let space = supernet.space();
        let archs = [space.smallest(), space.largest().at_resolution(20)];
        let targets = StepTargets { label_smoothing: 0.1, teacher: None };
        let run = |archs: &[Arch]| shrink_step(&supernet, &batch, archs, &targets);
        let (both, first, second) = (run(&archs), run(&archs[..1]), run(&archs[1..]));
        assert!((both.numbers.loss - first.numbers.loss - second.numbers.loss).abs() < 1e-6);
        let sum: Vec<f32> =
            gradient(&supernet, &first).iter().zip(gradient(&supernet, &second)).map(|(a, b)| a + b).collect();
        let largest = sum.iter().fold(0f32, |m, g| m.max(g.abs()));
        for (a, b) in gradient(&supernet, &both).iter().zip(sum) {
            assert!((a - b).abs() <= 1e-6 * largest, "{a} {b}");
        }
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let (supernet, batch) = fixture();
        let arch = supernet.space().smallest();
        let teacher = SupernetConfig::new(supernet.space().clone()).unwrap().with_seed(2).init(&Device::flex());
        let targets = StepTargets { label_smoothing: 0.1, teacher: Some((&teacher, 0.5)) };
        let output = shrink_step(&supernet, &batch, std::slice::from_ref(&arch), &targets);
        // Along its own gradient g the loss changes by |g|^2 per unit, to first order.
        let g = gradient(&supernet, &output);
        let squared: f64 = g.iter().map(|v| f64::from(*v).powi(2)).sum();
        let moved = |scale: f32| {
            struct Move<'a>(&'a GradientsParams, f32);
            impl burn::module::ModuleMapper for Move<'_> {
                fn map_float<const D: usize>(
                    &mut self,
                    parameter: burn::module::Param<Tensor<D>>,
                ) -> burn::module::Param<Tensor<D>> {
                    match self.0.get::<D>(parameter.id) {
                        Some(gradient) => {
                            let step = Tensor::from_inner(gradient * self.1);
                            parameter.map(|value| (value + step).detach().require_grad())
                        }
                        None => parameter,
                    }
                }
            }
            let moved = supernet.clone().map(&mut Move(&output.gradients, scale));
            shrink_step(&moved, &batch, std::slice::from_ref(&arch), &targets).numbers.loss
        };
        let scale = 1e-3 / squared.sqrt();
        let slope = (moved(scale as f32) - moved(-scale as f32)) / (2.0 * scale);
        assert!((slope / squared - 1.0).abs() < 0.03, "{slope} against {squared}");
    }

    #[test]
    fn the_loss_of_a_mixed_batch_is_mixed() {
        let (supernet, batch) = fixture();
        let arch = supernet.space().smallest();
        let targets = StepTargets { label_smoothing: 0.1, teacher: None };
        let loss = |batch: &ImageBatch| {
            shrink_step(&supernet, batch, std::slice::from_ref(&arch), &targets).numbers.label_loss
        };
        let flipped = ImageBatch { labels: batch.labels.clone().flip([0]), ..batch.clone() };
        let expected = 0.3 * loss(&batch) + 0.7 * loss(&flipped);
        let mixed = ImageBatch { mixup: Some(0.3), ..batch };
        assert!((loss(&mixed) - expected).abs() < 1e-5, "{} against {expected}", loss(&mixed));
    }

    #[test]
    fn correct_counts_rows() {
        let device = Device::flex();
        let logits = Tensor::from_floats([[0.0, 2.0], [3.0, 1.0], [0.5, 0.1]], &device);
        assert_eq!(correct(logits, Tensor::from_ints([1, 0, 1], &device)), 2);
    }

    #[test]
    fn smoothing_zero_and_no_teacher_is_plain_cross_entropy() {
        let (supernet, batch) = fixture();
        let arch = supernet.space().smallest();
        let targets = StepTargets { label_smoothing: 0.0, teacher: None };
        let output = shrink_step(&supernet, &batch, std::slice::from_ref(&arch), &targets);
        let logits = supernet.valid().forward(batch.images.clone(), &arch, &mut Statistics::Batch);
        let expected = burn::tensor::loss::cross_entropy_with_logits(logits, batch.labels.one_hot::<2>(10).float());
        let found = Tensor::<1>::from_floats([output.numbers.loss as f32], &Device::flex());
        found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
}
