//! One training step: from a batch and some subnets to gradients and statistics.

mod numbers;

pub use numbers::{StepNumbers, UnreadNumbers};

use self::numbers::PassNumbers;
use crate::distill::{distance_to_teacher, smoothed};
use crate::{Dropout, Loss, Precision, SoftTargets, Targets, gradients};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Bool, Int, Tensor};
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
    /// Losses and counts, not yet read from the device.
    pub numbers: UnreadNumbers,
}

/// Sums the gradients of `archs` on one batch (paper, section 3.3: the loss of every sampled subnet has full weight).
///
/// The supernet must be on an autodiff device, the batch on the plain one. Pure: changes nothing.
///
/// # Shapes
///
/// - `batch.images`: `[batch, channels, height, width]`
/// - `batch.labels`: `[batch]`; one that is no class counts as none
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
    let mut numbers = UnreadNumbers::from(StepNumbers { subnets, images: batch.size(), ..StepNumbers::default() });
    let rounded = rules.precision.rounded(module);
    let network = rounded.as_ref().unwrap_or(module);
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
            let logits = rules.precision.pass(network, images, forward);
            let (loss, pass) = lesson.loss(logits, subnet, share);
            numbers.add(pass);
            let gradients = GradientsParams::from_grads(loss.backward(), network);
            let gradients = if rounded.is_some() { gradients::widened(gradients, module) } else { gradients };
            accumulator.accumulate(module, gradients);
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

    /// Loss of the `subnet`-th subnet of a step, times its share of the batch, and what it consists of. With in-place
    /// distillation, the first subnet becomes the teacher of the others.
    fn loss(&mut self, logits: Tensor<2>, subnet: usize, share: f64) -> (Tensor<1>, PassNumbers) {
        let correct = hits(logits.clone().inner(), self.labels.clone()).int().sum();
        let targets = self.targets();
        let (loss, parts) = match self.own {
            Some(own) => (own.loss(logits.clone(), &targets), None),
            None => {
                let (loss, parts) = of_labels_and_teacher(logits.clone(), targets);
                (loss, Some(parts))
            }
        };
        if let Teaching::InPlace(soft) = self.teaching
            && subnet == 0
        {
            self.teaching = Teaching::Logits(logits.inner(), soft);
        }
        let loss = loss * share;
        let pass = PassNumbers { share, parts, loss: loss.clone().inner(), correct };
        (loss, pass)
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

/// The built-in loss, and its parts on the plain device: the cross-entropies against the labels and against the teacher,
/// if there is one.
fn of_labels_and_teacher(logits: Tensor<2>, targets: Targets) -> (Tensor<1>, (Tensor<1>, Option<Tensor<1>>)) {
    let labels = cross_entropy(logits.clone(), targets.probabilities);
    let label_loss = labels.clone().inner();
    let Some((teacher, soft)) = targets.teacher else { return (labels, (label_loss, None)) };
    let distance = distance_to_teacher(logits, teacher, soft.temperature);
    let teacher_loss = distance.clone().inner();
    (labels * soft.label_weight + distance * soft.weight, (label_loss, Some(teacher_loss)))
}

/// Whether the maximum of each row of logits `[batch, classes]` is at the label; `[batch]`.
pub(crate) fn hits(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1, Bool> {
    let [batch, _] = logits.dims();
    logits.argmax(1).reshape([batch]).equal(labels)
}

#[cfg(test)]
mod tests;
