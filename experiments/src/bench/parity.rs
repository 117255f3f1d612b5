//! Numerical differences between two devices: forward passes, a training step and calibration.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use ofa_data::ImageBatch;
use ofa_model::{Arch, SearchSpace, Statistics, Supernet, SupernetConfig};
use ofa_train::{Precision, Recipe, SoftTargets, StepRules, Teaching, step_gradients, teacher_logits};

const IMAGES: usize = 8;
const LEARNING_RATE: f64 = 0.05;

/// Largest differences between two devices, each relative to the largest element of its tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parity {
    /// Logits with batch statistics.
    pub training: f32,
    /// Logits with running statistics.
    pub inference: f32,
    /// Weight update of a progressive-shrinking step with two subnets and a teacher: gradients and optimizer.
    pub step: f32,
    /// Logits with batch-norm statistics calibrated on other images.
    pub calibrated: f32,
}

impl Parity {
    /// The largest of all.
    pub fn worst(&self) -> f32 {
        [self.training, self.inference, self.step, self.calibrated].into_iter().fold(0.0, f32::max)
    }

    /// Compares `device` with `reference` on the smallest and the largest network of `space`, with images of its
    /// first resolution.
    ///
    /// # Panics
    ///
    /// If the space is invalid.
    pub fn measure(space: &SearchSpace, device: &Device, reference: &Device) -> Self {
        let [found, expected] = [device, reference].map(|device| Numbers::of(space, device));
        let farthest = |of: fn(&Numbers) -> &[Vec<f32>]| {
            let pairs = of(&found).iter().zip(of(&expected));
            pairs.map(|(found, expected)| distance(found, expected, 0.0)).fold(0.0, f32::max)
        };
        // A tensor that the step hardly moves is compared on the scale of the others: its own gradient may be mere
        // rounding error.
        let moved = expected.steps.iter().flatten().fold(0.0f32, |most, x| most.max(x.abs()));
        let steps = found.steps.iter().zip(&expected.steps);
        Self {
            training: farthest(|numbers| &numbers.training),
            inference: farthest(|numbers| &numbers.inference),
            step: steps.map(|(found, expected)| distance(found, expected, 1e-2 * moved)).fold(0.0, f32::max),
            calibrated: farthest(|numbers| &numbers.calibrated),
        }
    }
}

/// Results of one device.
struct Numbers {
    training: Vec<Vec<f32>>,
    inference: Vec<Vec<f32>>,
    steps: Vec<Vec<f32>>,
    calibrated: Vec<Vec<f32>>,
}

impl Numbers {
    fn of(space: &SearchSpace, device: &Device) -> Self {
        let supernet = SupernetConfig::new(space.clone()).expect("a valid space").with_seed(1).init(device);
        let archs = [space.smallest(), space.largest()];
        let images = batch(space, 1, device).images;
        let others = [2, 3].map(|seed| batch(space, seed, device).images);
        let forward = |arch: &Arch, statistics: &mut Statistics| {
            numbers(supernet.forward(images.clone(), arch, statistics).into_data())
        };
        let calibrated = |arch: &Arch| {
            let logits = supernet.subnet(arch).calibrate(&others).infer(images.clone());
            numbers(logits.into_data())
        };
        Self {
            training: archs.iter().map(|arch| forward(arch, &mut Statistics::Batch)).collect(),
            inference: archs.iter().map(|arch| forward(arch, &mut Statistics::Running)).collect(),
            steps: step(space, device, Precision::F32),
            calibrated: archs.iter().map(calibrated).collect(),
        }
    }
}

/// The weight update, one vector per tensor, of a progressive-shrinking step on the smallest and the largest network
/// with a teacher.
///
/// # Panics
///
/// If the space is invalid.
pub fn step(space: &SearchSpace, device: &Device, precision: Precision) -> Vec<Vec<f32>> {
    let supernet = |seed, device: &Device| -> Supernet {
        SupernetConfig::new(space.clone()).expect("a valid space").with_seed(seed).init(device)
    };
    let (before, teacher) = (supernet(1, &device.clone().autodiff()), supernet(2, device));
    let batch = batch(space, 1, device);
    let opinion = teacher_logits(&teacher, batch.images.clone(), precision);
    let teaching = Teaching::Logits(opinion, SoftTargets::default());
    let rules = StepRules { label_smoothing: 0.1, teaching, precision, ..StepRules::default() };
    let output = step_gradients(&before, &batch, &[space.smallest(), space.largest()], &rules);
    let after = Recipe::default().optimizer().step(LEARNING_RATE, before.clone(), output.gradients);
    // Copied at once: on wgpu, data that was read shares memory with a later tensor when its own is gone.
    let weights = |supernet: Supernet| -> Vec<Vec<f32>> {
        let tensors = supernet.valid().to_original().into_iter();
        tensors.filter(|(key, _)| !key.ends_with("num_batches_tracked")).map(|(_, data)| numbers(data)).collect()
    };
    let (before, after) = (weights(before), weights(after));
    let changes = before.into_iter().zip(after);
    changes.map(|(before, after)| after.iter().zip(&before).map(|(after, before)| after - before).collect()).collect()
}

/// Images and labels, identical on every device.
fn batch(space: &SearchSpace, seed: usize, device: &Device) -> ImageBatch {
    let size = space.resolutions[0];
    let shape = [IMAGES, space.image_channels, size, size];
    let pixel = |i: usize| ((i * 7919 * seed + i / 13 * 104_729) % 1009) as f32 / 504.5 - 1.0;
    let pixels = (0..shape.iter().product()).map(pixel).collect();
    let images = Tensor::from_data(TensorData::new(pixels, shape), device);
    let labels: Vec<i32> = (0..IMAGES).map(|image| (image * 7 % space.classes) as i32).collect();
    ImageBatch::new(images, Tensor::from_data(TensorData::new(labels, [IMAGES]), device))
}

/// The elements of a tensor, as `f32`.
///
/// # Panics
///
/// If they cannot be converted.
pub fn numbers(data: TensorData) -> Vec<f32> {
    data.convert::<f32>().try_into_vec().expect("numbers of the type they were converted to")
}

/// Largest absolute difference, divided by the largest magnitude in `expected` or by `least` if that is larger;
/// infinite if `found` has a non-finite element.
///
/// # Panics
///
/// If the lengths differ.
pub fn distance(found: &[f32], expected: &[f32], least: f32) -> f32 {
    assert_eq!(found.len(), expected.len(), "numbers to compare");
    let largest = expected.iter().fold(least.max(f32::MIN_POSITIVE), |largest, x| largest.max(x.abs()));
    let difference = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY };
    found.iter().zip(expected).map(difference).fold(0.0, f32::max) / largest
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    #[test]
    fn a_device_agrees_with_itself() {
        let space = SearchSpace { resolutions: vec![20], ..SearchSpace::small_mobilenet_v3(3, 10) };
        assert_eq!(Parity::measure(&space, &Device::flex(), &Device::flex()), Parity::default());
    }

    #[test]
    fn the_numbers_are_not_trivial() {
        let space = SearchSpace { resolutions: vec![20], ..SearchSpace::small_mobilenet_v3(3, 10) };
        let numbers = Numbers::of(&space, &Device::flex());
        assert!(distance(&numbers.training[0], &numbers.training[1], 0.0) > 0.1, "archs must differ");
        assert!(distance(&numbers.inference[0], &numbers.calibrated[0], 0.0) > 0.1, "calibration must matter");
        assert!(numbers.steps.iter().flatten().any(|change| change.abs() > 1e-3), "the step must matter");
    }

    #[test]
    fn differences_are_relative_to_the_largest_number() {
        assert_eq!(distance(&[1.0, 4.0], &[1.5, 4.0], 0.0), 0.125);
        assert_eq!(distance(&[1.0, 4.0], &[1.5, 4.0], 8.0), 0.0625);
        assert_eq!(distance(&[f32::NAN], &[1.0], 0.0), f32::INFINITY);
    }
}
