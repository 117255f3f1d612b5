//! Tests of the values and gradients of steps.

use super::*;
use crate::{StepKey, teacher_logits};
use burn::tensor::{Device, Distribution, Tolerance};
use ofa_model::{SearchSpace, Supernet, SupernetConfig};

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
    let run = |archs: &[Arch]| step_gradients(&supernet, &batch, archs, &rules);
    let (both, first, second) = (run(&archs), run(&archs[..1]), run(&archs[1..]));
    assert!((both.numbers.read().loss - first.numbers.read().loss - second.numbers.read().loss).abs() < 1e-6);
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
            teacher_logits(&teacher, batch.images.clone(), Precision::F32),
            SoftTargets { weight: 0.5, temperature: 2.0, label_weight: 0.7 },
        ),
        ..StepRules::default()
    };
    let output = step_gradients(&supernet, &batch, std::slice::from_ref(&arch), &rules);
    // Along its own gradient g, the loss changes by |g|^2 per unit, to first order.
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
        step_gradients(&moved, &batch, std::slice::from_ref(&arch), &rules).numbers.read().loss
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
    let loss = |batch: &ImageBatch| {
        step_gradients(&supernet, batch, std::slice::from_ref(&arch), &rules).numbers.read().label_loss
    };
    let flipped = ImageBatch { labels: batch.labels.clone().flip([0]), ..batch.clone() };
    let expected = 0.3 * loss(&batch) + 0.7 * loss(&flipped);
    let mixed = ImageBatch { mixup: Some(0.3), ..batch };
    assert!((loss(&mixed) - expected).abs() < 1e-5, "{} against {expected}", loss(&mixed));
}

#[test]
fn hits_are_found_by_row() {
    let device = Device::flex();
    let logits = Tensor::from_floats([[0.0, 2.0], [3.0, 1.0], [0.5, 0.1]], &device);
    let found = hits(logits, Tensor::from_ints([1, 0, 1], &device)).into_data();
    assert_eq!(found.iter::<bool>().collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn smoothing_zero_and_no_teacher_is_plain_cross_entropy() {
    let (supernet, batch) = fixture();
    let arch = supernet.space().smallest();
    let rules = StepRules::default();
    let output = step_gradients(&supernet, &batch, std::slice::from_ref(&arch), &rules);
    let logits = supernet.valid().forward(batch.images.clone(), &arch, &mut Statistics::Batch);
    let expected = burn::tensor::loss::cross_entropy_with_logits(logits, batch.labels.one_hot::<2>(10).float());
    let found = Tensor::<1>::from_floats([output.numbers.read().loss as f32], &Device::flex());
    found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
}

#[test]
fn parts_of_a_batch_have_the_gradient_of_their_mean() {
    let (supernet, batch) = fixture();
    let archs = [supernet.space().smallest(), supernet.space().largest().at_resolution(20)];
    let rules = StepRules { label_smoothing: 0.1, micro_batch: Some(4), ..StepRules::default() };
    let whole = step_gradients(&supernet, &batch, &archs, &rules);
    // Six images: parts of four and two.
    let part = |range: Range<usize>| {
        let images = batch.images.clone().slice([range.clone()]);
        let part = ImageBatch::new(images, batch.labels.clone().slice([range]));
        step_gradients(&supernet, &part, &archs, &StepRules { micro_batch: None, ..rules.clone() })
    };
    let (first, second) = (part(0..4), part(4..6));
    let mean = |a: f64, b: f64| (4.0 * a + 2.0 * b) / 6.0;
    assert!((whole.numbers.read().loss - mean(first.numbers.read().loss, second.numbers.read().loss)).abs() < 1e-5);
    assert!((whole.numbers.read().label_loss - whole.numbers.read().loss).abs() < 1e-5);
    assert_eq!(whole.numbers.read().correct, first.numbers.read().correct + second.numbers.read().correct);
    assert_eq!((whole.numbers.read().images, whole.numbers.read().subnets), (6, 2));
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
        step_gradients(&supernet, &batch, archs, &StepRules { teaching, ..StepRules::default() })
    };
    let both = run(&[largest.clone(), smallest.clone()], Teaching::InPlace(soft));
    let teacher = run(std::slice::from_ref(&largest), Teaching::None);
    let logits = teacher_logits(&supernet.valid(), batch.images.clone(), Precision::F32);
    let taught = run(&[smallest], Teaching::Logits(logits, soft));
    assert!((both.numbers.read().teacher_loss - taught.numbers.read().teacher_loss).abs() < 1e-5);
    assert!(
        (both.numbers.read().loss - teacher.numbers.read().label_loss - taught.numbers.read().teacher_loss).abs()
            < 1e-5
    );
    let expected = gradient(&supernet, &teacher);
    let expected: Vec<f32> = expected.iter().zip(gradient(&supernet, &taught)).map(|(a, b)| a + b).collect();
    let most = expected.iter().fold(0f32, |m, g| m.max(g.abs()));
    for (a, b) in gradient(&supernet, &both).iter().zip(expected) {
        assert!((a - b).abs() <= 1e-5 * most, "{a} {b}: the teacher gets no gradient from its students");
    }
}

#[test]
fn dropout_changes_what_is_learnt_and_repeats_itself() {
    let (supernet, batch) = fixture();
    let arch = supernet.space().smallest();
    let loss = |probability, step| {
        let dropout = Some(Dropout { probability, seed: 1, key: StepKey { phase: 0, step } });
        let rules = StepRules { dropout, ..StepRules::default() };
        step_gradients(&supernet, &batch, std::slice::from_ref(&arch), &rules).numbers.read().loss
    };
    assert_eq!(loss(0.5, 3), loss(0.5, 3));
    assert_ne!(loss(0.5, 3), loss(0.5, 4));
    let plain =
        step_gradients(&supernet, &batch, std::slice::from_ref(&arch), &StepRules::default()).numbers.read().loss;
    assert_eq!(loss(0.0, 3), plain);
}

#[test]
fn in_16_bits_the_gradient_keeps_its_direction_and_weights_their_format() {
    let (supernet, batch) = fixture();
    let archs = [supernet.space().smallest(), supernet.space().largest().at_resolution(20)];
    let dropout = Some(Dropout { probability: 0.1, seed: 1, key: StepKey { phase: 0, step: 0 } });
    let run = |precision| {
        let teaching = Teaching::Logits(
            teacher_logits(&supernet.valid(), batch.images.clone(), precision),
            SoftTargets::default(),
        );
        step_gradients(&supernet, &batch, &archs, &StepRules { precision, teaching, dropout, ..StepRules::default() })
    };
    let (exact, rounded) = (run(Precision::F32), run(Precision::Bf16));
    assert_ne!(exact.numbers.read().loss, rounded.numbers.read().loss, "16 bits must make a difference");
    assert!(
        (exact.numbers.read().loss / rounded.numbers.read().loss - 1.0).abs() < 0.02,
        "{:?} {:?}",
        exact.numbers.read(),
        rounded.numbers
    );
    // `gradient` reads `f32` and panics if a gradient has another format.
    let (a, b) = (gradient(&supernet, &exact), gradient(&supernet, &rounded));
    let product = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    let cosine = product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt();
    assert!(cosine > 0.98, "cosine {cosine}");
    assert_eq!(exact.gradients.len(), rounded.gradients.len());
}
