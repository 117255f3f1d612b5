//! One training step: from a batch and some subnets to gradients and statistics.

use crate::distill::{distance_to_teacher, smoothed};
use crate::{Dropout, Loss, Precision, SoftTargets, Targets};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Int, Tensor};
use ofa_data::ImageBatch;
use ofa_model::kernels::cross_entropy;
use ofa_model::{Arch, ElasticNetwork, FixedNetwork, Statistics, in_pool};
use std::ops::Range;

/// How the subnets of a step learn.
#[derive(Clone, Default)]
pub struct StepRules<'a> {
    /// Probability mass that label smoothing moves from the label to all classes evenly.
    pub label_smoothing: f64,
    /// What they learn from besides labels.
    pub teaching: Teaching,
    /// Dropout of the features before the classifier, if any.
    pub dropout: Option<Dropout>,
    /// Maximum number of images that go through a subnet at once; `None` for the whole batch.
    pub micro_batch: Option<usize>,
    /// Number format of the passes.
    pub precision: Precision,
    /// Loss of each subnet. If `None`, cross-entropy against the smoothed labels, plus that against the teacher, weighted
    /// by [`SoftTargets`].
    pub loss: Option<&'a dyn Loss>,
}

/// Teacher logits for a batch, and how they count.
#[derive(Clone, Debug, Default)]
#[allow(clippy::large_enum_variant, reason = "one per step")]
pub enum Teaching {
    /// No teacher.
    #[default]
    None,
    /// Logits `[batch, classes]` on the plain device, e.g. computed by [`teacher_logits`](crate::teacher_logits) or
    /// stored earlier.
    Logits(Tensor<2>, SoftTargets),
    /// Logits of the first subnet of the step, which itself learns from labels only.
    InPlace(SoftTargets),
}

/// Result of a step.
pub struct StepOutput {
    /// Sum of the subnets' gradients.
    pub gradients: GradientsParams,
    /// Losses and counts.
    pub numbers: StepNumbers,
}

/// Losses and counts of a step, summed over its subnets; divide by `subnets` for the mean per subnet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepNumbers {
    /// Number of trained subnets.
    pub subnets: usize,
    /// Number of images in the batch.
    pub images: usize,
    /// Sum of the mean cross-entropies against the smoothed labels, unweighted; 0 with a loss of your own.
    pub label_loss: f64,
    /// Sum of the mean cross-entropies against the teacher (times the squared temperature), unweighted; 0 without a
    /// teacher or with a loss of your own.
    pub teacher_loss: f64,
    /// Sum of the minimised losses.
    pub loss: f64,
    /// Correctly classified images, summed over subnets.
    pub correct: usize,
}

/// Sums the gradients of `archs` on one batch (paper, section 3.3: the loss of every sampled subnet has full weight).
///
/// The supernet must be on an autodiff device, the batch on the plain one. Pure: changes nothing.
///
/// # Shapes
///
/// - `batch.images`: `[batch, channels, height, width]`
/// - `batch.labels`: `[batch]`
///
/// # Panics
///
/// If `archs` is empty or holds an arch outside the supernet's space.
pub fn step_gradients(
    supernet: &impl ElasticNetwork,
    batch: &ImageBatch,
    archs: &[Arch],
    rules: &StepRules,
) -> StepOutput {
    assert!(!archs.is_empty(), "a step needs at least one arch");
    let classes = supernet.space().classes;
    in_pool(|| {
        step(supernet, archs.len(), classes, batch, rules, |supernet, subnet, images, features| {
            supernet.view(&archs[subnet]).forward_with(images, &mut Statistics::Batch, features)
        })
    })
}

/// Transforms the features before the classifier (dropout).
pub(crate) type Features<'a> = &'a dyn Fn(Tensor<2>) -> Tensor<2>;

/// Gradients of any network, given its forward pass, summed over `subnets` subnets on the same batch.
pub(crate) fn step<M: Module>(
    module: &M,
    subnets: usize,
    classes: usize,
    batch: &ImageBatch,
    rules: &StepRules,
    forward: impl Fn(&M, usize, Tensor<4>, Features) -> Tensor<2>,
) -> StepOutput {
    let lesson = Lesson::new(batch, classes, rules);
    let images = Tensor::from_inner(batch.images.clone());
    let mut accumulator = GradientsAccumulator::new();
    let mut numbers = StepNumbers { subnets, images: batch.size(), ..StepNumbers::default() };
    for (part, range) in parts(batch.size(), rules.micro_batch).into_iter().enumerate() {
        let share = range.len() as f64 / batch.size() as f64;
        let mut lesson = lesson.of(range.clone());
        for subnet in 0..subnets {
            let drop = |features| match &rules.dropout {
                Some(dropout) => dropout.apply(features, part * subnets + subnet),
                None => features,
            };
            let images = images.clone().slice([range.clone()]);
            let forward = |module: &M, images| forward(module, subnet, images, &drop);
            let logits = rules.precision.pass(module, images, forward);
            let loss = lesson.loss(logits, subnet, share, &mut numbers) * share;
            numbers.loss += number(&loss);
            accumulator.accumulate(module, GradientsParams::from_grads(loss.backward(), module));
        }
    }
    StepOutput { gradients: accumulator.grads(), numbers }
}

/// Splits the batch into ranges of at most `most` images.
fn parts(images: usize, most: Option<usize>) -> Vec<Range<usize>> {
    let most = most.unwrap_or(images).max(1);
    (0..images).step_by(most).map(|start| start..(start + most).min(images)).collect()
}

/// What all subnets of a step learn from on some images.
struct Lesson<'a> {
    labels: Tensor<1, Int>,
    smoothed: Tensor<2>,
    teaching: Teaching,
    own: Option<&'a dyn Loss>,
}

impl<'a> Lesson<'a> {
    fn new(batch: &ImageBatch, classes: usize, rules: &StepRules<'a>) -> Self {
        let smoothed = smoothed(batch.labels.clone(), classes, rules.label_smoothing);
        let smoothed = match batch.mixup {
            Some(share) => smoothed.clone() * share + smoothed.flip([0]) * (1.0 - share),
            None => smoothed,
        };
        Self { labels: batch.labels.clone(), smoothed, teaching: rules.teaching.clone(), own: rules.loss }
    }

    /// The same for a range of the images.
    fn of(&self, range: Range<usize>) -> Self {
        let teaching = match &self.teaching {
            Teaching::Logits(logits, soft) => Teaching::Logits(logits.clone().slice([range.clone()]), *soft),
            other => other.clone(),
        };
        let (labels, smoothed) = (self.labels.clone(), self.smoothed.clone());
        Self { labels: labels.slice([range.clone()]), smoothed: smoothed.slice([range]), teaching, own: self.own }
    }

    /// Loss of the `subnet`-th subnet of a step. With in-place distillation, the first becomes the teacher of the
    /// others.
    fn loss(&mut self, logits: Tensor<2>, subnet: usize, share: f64, numbers: &mut StepNumbers) -> Tensor<1> {
        numbers.correct += correct(logits.clone().inner(), self.labels.clone());
        let targets = self.targets();
        let loss = match self.own {
            Some(own) => own.loss(logits.clone(), &targets),
            None => of_labels_and_teacher(logits.clone(), targets, share, numbers),
        };
        if let Teaching::InPlace(soft) = self.teaching
            && subnet == 0
        {
            self.teaching = Teaching::Logits(logits.inner(), soft);
        }
        loss
    }

    fn targets(&self) -> Targets {
        let teacher = match &self.teaching {
            Teaching::Logits(teacher, soft) => Some((Tensor::from_inner(teacher.clone()), *soft)),
            Teaching::InPlace(_) | Teaching::None => None,
        };
        let labels = Tensor::from_inner(self.labels.clone());
        Targets { labels, probabilities: Tensor::from_inner(self.smoothed.clone()), teacher }
    }
}

/// The built-in loss; its parts are added to `numbers`.
fn of_labels_and_teacher(logits: Tensor<2>, targets: Targets, share: f64, numbers: &mut StepNumbers) -> Tensor<1> {
    let labels = cross_entropy(logits.clone(), targets.probabilities);
    numbers.label_loss += share * number(&labels);
    let Some((teacher, soft)) = targets.teacher else { return labels };
    let distance = distance_to_teacher(logits, teacher, soft.temperature);
    numbers.teacher_loss += share * number(&distance);
    labels * soft.label_weight + distance * soft.weight
}

/// Number of rows of logits `[batch, classes]` whose maximum is at the label.
fn correct(logits: Tensor<2>, labels: Tensor<1, Int>) -> usize {
    hits(logits, labels).into_iter().filter(|hit| *hit).count()
}

/// Whether the maximum of each row of logits `[batch, classes]` is at the label.
pub(crate) fn hits(logits: Tensor<2>, labels: Tensor<1, Int>) -> Vec<bool> {
    let [batch, _] = logits.dims();
    logits.argmax(1).reshape([batch]).equal(labels).to_data().iter::<bool>().collect()
}

fn number(loss: &Tensor<1>) -> f64 {
    loss.clone().into_scalar::<f32>().into()
}

#[cfg(test)]
mod tests;
