//! Every other backend that is compiled in computes what flex does: `.ci/backends wgpu`.
#![cfg(all(feature = "flex", any(feature = "tch", feature = "wgpu", feature = "cuda")))]

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use experiments::device;
use ofa_data::ImageBatch;
use ofa_model::{Arch, SearchSpace, Statistics, Supernet, SupernetConfig};
use ofa_train::{Recipe, StepTargets, shrink_step};

const LEARNING_RATE: f64 = 0.05;

/// The backends to be judged; a GPU that is compiled in but not there ends the test.
fn devices() -> Vec<(&'static str, Device)> {
    let others = device::available().into_iter().filter(|name| *name != "flex" && *name != "libtorch-cuda");
    others.map(|name| (name, device::by_name(name).unwrap())).collect()
}

/// Small spaces that have every kind of layer.
fn spaces() -> [SearchSpace; 2] {
    let mut bottlenecks = SearchSpace { resolutions: vec![33], ..SearchSpace::resnet50d(10) };
    bottlenecks.stages.iter_mut().for_each(|stage| stage.channels /= 8);
    [SearchSpace { resolutions: vec![20], ..SearchSpace::small_mobilenet_v3(3, 10) }, bottlenecks]
}

fn batch(size: usize, device: &Device) -> ImageBatch {
    let pixel = |i: usize| ((i * 7919 + i / 13 * 104_729) % 1009) as f32 / 504.5 - 1.0;
    let shape = [8, 3, size, size];
    let pixels = (0..shape.iter().product()).map(pixel).collect();
    let images = Tensor::from_data(TensorData::new(pixels, shape), device);
    ImageBatch::new(images, Tensor::from_ints([3, 1, 4, 1, 5, 9, 2, 6], device))
}

fn supernet(space: &SearchSpace, device: &Device) -> Supernet {
    SupernetConfig::new(space.clone()).unwrap().with_seed(1).init(device)
}

fn archs(space: &SearchSpace) -> [Arch; 2] {
    [space.smallest(), space.largest()]
}

fn numbers(data: &TensorData) -> Vec<f32> {
    data.clone().convert::<f32>().try_into_vec().unwrap()
}

/// Largest difference relative to the largest expected number.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1e-6f32, |largest, x| largest.max(x.abs()));
    let difference = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY };
    found.iter().zip(expected).map(difference).fold(0.0, f32::max) / largest
}

#[test]
fn forward_passes_agree() {
    for space in spaces() {
        let size = space.resolutions[0];
        let flex = Device::flex();
        for (name, device) in devices() {
            for arch in archs(&space) {
                let logits = |device: &Device, statistics: &mut Statistics| {
                    let logits = supernet(&space, device).forward(batch(size, device).images, &arch, statistics);
                    numbers(&logits.into_data())
                };
                let training =
                    distance(&logits(&device, &mut Statistics::Batch), &logits(&flex, &mut Statistics::Batch));
                assert!(training < 1e-3, "{name}, {arch}: {training:e} with batch statistics");
                let inference =
                    distance(&logits(&device, &mut Statistics::Running), &logits(&flex, &mut Statistics::Running));
                assert!(inference < 1e-3, "{name}, {arch}: {inference:e} in inference");
            }
        }
    }
}

/// Weights by key before and after a step of progressive shrinking with a teacher.
fn step(space: &SearchSpace, device: &Device) -> [Vec<(String, TensorData)>; 2] {
    let before = supernet(space, &device.clone().autodiff());
    let teacher = SupernetConfig::new(space.clone()).unwrap().with_seed(2).init(device);
    let targets = StepTargets { label_smoothing: 0.1, teacher: Some((&teacher, 1.0)) };
    let output = shrink_step(&before, &batch(space.resolutions[0], device), &archs(space), &targets);
    let after = Recipe::default().optimizer().step(LEARNING_RATE, before.clone(), output.gradients);
    [before.valid().to_original(), after.valid().to_original()]
}

#[test]
fn a_training_step_agrees() {
    for space in spaces() {
        let flex = step(&space, &Device::flex());
        for (name, device) in devices() {
            let other = step(&space, &device);
            let (mut moved, mut farthest) = (0.0f32, (0.0f32, String::new()));
            for (((key, before), (_, after)), (_, found)) in flex[0].iter().zip(&flex[1]).zip(&other[1]) {
                if key.ends_with("num_batches_tracked") {
                    continue;
                }
                let (before, after, found) = (numbers(before), numbers(after), numbers(found));
                moved = moved.max(distance(&after, &before));
                let distance = distance(&found, &after);
                if distance > farthest.0 {
                    farthest = (distance, key.clone());
                }
            }
            assert!(moved > 1e-2, "the step must matter for this test: {moved:e}");
            assert!(farthest.0 < 1e-3, "{name}: {} is off by {:e}", farthest.1, farthest.0);
        }
    }
}
