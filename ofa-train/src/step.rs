//! One training step: a batch and some subnets to gradients and numbers.

use crate::distill::{cross_entropy, distance_to_teacher, smoothed};
use crate::{Dropout, SoftTargets};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Int, Tensor};
use ofa_data::ImageBatch;
use ofa_model::{Arch, Statistics, Supernet};
use std::ops::Range;

/// How the subnets of a step learn.
#[derive(Clone, Debug, Default)]
pub struct StepRules {
    /// Weight that the labels lose to all classes (label smoothing).
    pub label_smoothing: f64,
    /// What they learn from besides labels.
    pub teaching: Teaching,
    /// Which features are dropped, if any.
    pub dropout: Option<Dropout>,
    /// Images that go through a subnet at once; all if `None`.
    pub micro_batch: Option<usize>,
}

/// A teacher's opinion of a batch.
#[derive(Clone, Debug, Default)]
#[allow(clippy::large_enum_variant, reason = "there is one a step")]
pub enum Teaching {
    /// None.
    #[default]
    None,
    /// Logits `[batch, classes]` on the plain device, for example of [`teacher_logits`](crate::teacher_logits) or kept from
    /// an earlier time.
    Logits(Tensor<2>, SoftTargets),
    /// Those of the first subnet of the step, which itself learns from labels alone.
    InPlace(SoftTargets),
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
    /// Sum of the mean cross-entropies against the labels, unweighted.
    pub label_loss: f64,
    /// Sum of the mean cross-entropies against the teacher (times the squared temperature), unweighted; 0 without one.
    pub teacher_loss: f64,
    /// Sum of what was minimised.
    pub loss: f64,
    /// Correctly classified images, summed over subnets.
    pub correct: usize,
}

/// Sums the gradients of `archs` on one batch (paper, section 3.3: the loss of every sampled subnet counts fully).
///
/// The supernet is on an autodiff device, the batch on the plain one. Pure: nothing changes.
///
/// # Panics
///
/// If `archs` is empty or holds an arch outside the supernet's space.
pub fn shrink_step(supernet: &Supernet, batch: &ImageBatch, archs: &[Arch], rules: &StepRules) -> StepOutput {
    assert!(!archs.is_empty(), "a step needs at least one arch");
    step(supernet, archs.len(), supernet.space().classes, batch, rules, |subnet, images, features| {
        supernet.forward_with(images, &archs[subnet], &mut Statistics::Batch, features)
    })
}

/// What is done to the features before the classifier.
pub(crate) type Features<'a> = &'a dyn Fn(Tensor<2>) -> Tensor<2>;

/// Gradients of any network whose forward pass is given, for `subnets` subnets on the same batch, summed.
pub(crate) fn step<M: Module>(
    module: &M,
    subnets: usize,
    classes: usize,
    batch: &ImageBatch,
    rules: &StepRules,
    forward: impl Fn(usize, Tensor<4>, Features) -> Tensor<2>,
) -> StepOutput {
    let targets = Targets::new(batch, classes, rules);
    let images = Tensor::from_inner(batch.images.clone());
    let mut accumulator = GradientsAccumulator::new();
    let mut numbers = StepNumbers { subnets, images: batch.size(), ..StepNumbers::default() };
    for (part, range) in parts(batch.size(), rules.micro_batch).into_iter().enumerate() {
        let share = range.len() as f64 / batch.size() as f64;
        let mut targets = targets.of(range.clone());
        for subnet in 0..subnets {
            let drop = |features| match &rules.dropout {
                Some(dropout) => dropout.apply(features, part * subnets + subnet),
                None => features,
            };
            let logits = forward(subnet, images.clone().slice([range.clone()]), &drop);
            let loss = targets.loss(logits, subnet, share, &mut numbers) * share;
            numbers.loss += number(&loss);
            accumulator.accumulate(module, GradientsParams::from_grads(loss.backward(), module));
        }
    }
    StepOutput { gradients: accumulator.grads(), numbers }
}

/// Ranges of at most `most` images.
fn parts(images: usize, most: Option<usize>) -> Vec<Range<usize>> {
    let most = most.unwrap_or(images).max(1);
    (0..images).step_by(most).map(|start| start..(start + most).min(images)).collect()
}

/// What some images should be classified as, for all subnets of a step.
struct Targets {
    labels: Tensor<1, Int>,
    smoothed: Tensor<2>,
    teaching: Teaching,
}

impl Targets {
    fn new(batch: &ImageBatch, classes: usize, rules: &StepRules) -> Self {
        let smoothed = smoothed(batch.labels.clone(), classes, rules.label_smoothing);
        let smoothed = match batch.mixup {
            Some(share) => smoothed.clone() * share + smoothed.flip([0]) * (1.0 - share),
            None => smoothed,
        };
        Self { labels: batch.labels.clone(), smoothed, teaching: rules.teaching.clone() }
    }

    /// Those of a part of the images.
    fn of(&self, range: Range<usize>) -> Self {
        let teaching = match &self.teaching {
            Teaching::Logits(logits, soft) => Teaching::Logits(logits.clone().slice([range.clone()]), *soft),
            other => other.clone(),
        };
        let (labels, smoothed) = (self.labels.clone(), self.smoothed.clone());
        Self { labels: labels.slice([range.clone()]), smoothed: smoothed.slice([range]), teaching }
    }

    /// The loss of the `subnet`-th subnet of a step; the first may become the teacher of the others.
    fn loss(&mut self, logits: Tensor<2>, subnet: usize, share: f64, numbers: &mut StepNumbers) -> Tensor<1> {
        numbers.correct += correct(logits.clone().inner(), self.labels.clone());
        let labels = cross_entropy(logits.clone(), Tensor::from_inner(self.smoothed.clone()));
        numbers.label_loss += share * number(&labels);
        match &self.teaching {
            Teaching::Logits(teacher, soft) => {
                let teacher = Tensor::from_inner(teacher.clone());
                let distance = distance_to_teacher(logits, teacher, soft.temperature);
                numbers.teacher_loss += share * number(&distance);
                labels * soft.label_weight + distance * soft.weight
            }
            Teaching::InPlace(soft) if subnet == 0 => {
                self.teaching = Teaching::Logits(logits.inner(), *soft);
                labels
            }
            Teaching::InPlace(_) | Teaching::None => labels,
        }
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
    use crate::{StepKey, teacher_logits};
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
        let rules = StepRules { label_smoothing: 0.1, ..StepRules::default() };
        let run = |archs: &[Arch]| shrink_step(&supernet, &batch, archs, &rules);
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
        let rules = StepRules {
            label_smoothing: 0.1,
            teaching: Teaching::Logits(
                teacher_logits(&teacher, batch.images.clone()),
                SoftTargets { weight: 0.5, temperature: 2.0, label_weight: 0.7 },
            ),
            ..StepRules::default()
        };
        let output = shrink_step(&supernet, &batch, std::slice::from_ref(&arch), &rules);
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
            shrink_step(&moved, &batch, std::slice::from_ref(&arch), &rules).numbers.loss
        };
        let scale = 1e-3 / squared.sqrt();
        let slope = (moved(scale as f32) - moved(-scale as f32)) / (2.0 * scale);
        assert!((slope / squared - 1.0).abs() < 0.03, "{slope} against {squared}");
    }

    #[test]
    fn the_loss_of_a_mixed_batch_is_mixed() {
        let (supernet, batch) = fixture();
        let arch = supernet.space().smallest();
        let rules = StepRules { label_smoothing: 0.1, ..StepRules::default() };
        let loss =
            |batch: &ImageBatch| shrink_step(&supernet, batch, std::slice::from_ref(&arch), &rules).numbers.label_loss;
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
        let rules = StepRules::default();
        let output = shrink_step(&supernet, &batch, std::slice::from_ref(&arch), &rules);
        let logits = supernet.valid().forward(batch.images.clone(), &arch, &mut Statistics::Batch);
        let expected = burn::tensor::loss::cross_entropy_with_logits(logits, batch.labels.one_hot::<2>(10).float());
        let found = Tensor::<1>::from_floats([output.numbers.loss as f32], &Device::flex());
        found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn parts_of_a_batch_have_the_gradient_of_their_mean() {
        let (supernet, batch) = fixture();
        let archs = [supernet.space().smallest(), supernet.space().largest().at_resolution(20)];
        let rules = StepRules { label_smoothing: 0.1, micro_batch: Some(4), ..StepRules::default() };
        let whole = shrink_step(&supernet, &batch, &archs, &rules);
        // Six images: four and two.
        let part = |range: Range<usize>| {
            let images = batch.images.clone().slice([range.clone()]);
            let part = ImageBatch::new(images, batch.labels.clone().slice([range]));
            shrink_step(&supernet, &part, &archs, &StepRules { micro_batch: None, ..rules.clone() })
        };
        let (first, second) = (part(0..4), part(4..6));
        let mean = |a: f64, b: f64| (4.0 * a + 2.0 * b) / 6.0;
        assert!((whole.numbers.loss - mean(first.numbers.loss, second.numbers.loss)).abs() < 1e-5);
        assert!((whole.numbers.label_loss - whole.numbers.loss).abs() < 1e-5);
        assert_eq!(whole.numbers.correct, first.numbers.correct + second.numbers.correct);
        assert_eq!((whole.numbers.images, whole.numbers.subnets), (6, 2));
        let (first, second) = (gradient(&supernet, &first), gradient(&supernet, &second));
        let found = gradient(&supernet, &whole);
        let largest = found.iter().fold(0f32, |m, g| m.max(g.abs()));
        for ((a, b), c) in first.iter().zip(second).zip(found) {
            assert!(((4.0 * a + 2.0 * b) / 6.0 - c).abs() <= 1e-5 * largest, "{a} {b} {c}");
        }
    }

    #[test]
    fn in_place_the_first_subnet_teaches_the_others() {
        let (supernet, batch) = fixture();
        let (largest, smallest) = (supernet.space().largest().at_resolution(20), supernet.space().smallest());
        let soft = SoftTargets { label_weight: 0.0, ..SoftTargets::default() };
        let run = |archs: &[Arch], teaching| {
            shrink_step(&supernet, &batch, archs, &StepRules { teaching, ..StepRules::default() })
        };
        let both = run(&[largest.clone(), smallest.clone()], Teaching::InPlace(soft));
        let teacher = run(std::slice::from_ref(&largest), Teaching::None);
        let logits = teacher_logits(&supernet.valid(), batch.images.clone());
        let taught = run(&[smallest], Teaching::Logits(logits, soft));
        assert!((both.numbers.teacher_loss - taught.numbers.teacher_loss).abs() < 1e-5);
        assert!((both.numbers.loss - teacher.numbers.label_loss - taught.numbers.teacher_loss).abs() < 1e-5);
        let expected = gradient(&supernet, &teacher);
        let expected: Vec<f32> = expected.iter().zip(gradient(&supernet, &taught)).map(|(a, b)| a + b).collect();
        let most = expected.iter().fold(0f32, |m, g| m.max(g.abs()));
        for (a, b) in gradient(&supernet, &both).iter().zip(expected) {
            assert!((a - b).abs() <= 1e-5 * most, "{a} {b}: the teacher gets no gradient from its pupils");
        }
    }

    #[test]
    fn dropout_changes_what_is_learnt_and_repeats_itself() {
        let (supernet, batch) = fixture();
        let arch = supernet.space().smallest();
        let loss = |probability, step| {
            let dropout = Some(Dropout { probability, seed: 1, key: StepKey { stage: 0, step } });
            let rules = StepRules { dropout, ..StepRules::default() };
            shrink_step(&supernet, &batch, std::slice::from_ref(&arch), &rules).numbers.loss
        };
        assert_eq!(loss(0.5, 3), loss(0.5, 3));
        assert_ne!(loss(0.5, 3), loss(0.5, 4));
        let plain = shrink_step(&supernet, &batch, std::slice::from_ref(&arch), &StepRules::default()).numbers.loss;
        assert_eq!(loss(0.0, 3), plain);
    }
}
