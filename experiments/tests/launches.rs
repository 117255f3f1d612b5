//! How many kernels a GPU launches. Alone in its file, since launches are those of the process.
#![cfg(feature = "gpu")]

use burn::tensor::{Device, Distribution, Tensor};
use experiments::bench::launches::Launches;
use experiments::bench::workload::{Work, Workload};
use experiments::machine::device;
use ofa_model::kernels::{batch_norm_train, depthwise_conv2d};
use ofa_model::{Activation, SearchSpace};
use ofa_train::Precision;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every test holds this from its beginning to its end.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gpus() -> Vec<(&'static str, Device)> {
    let others = ["flex", "libtorch", "libtorch-cuda"];
    let names = device::available().into_iter().filter(|name| !others.contains(name));
    names.map(|name| (name, device::by_name(name).unwrap())).collect()
}

/// Launches of the second call: in the first, kernels are chosen.
fn launches(device: &Device, work: impl Fn()) -> Launches {
    let and_wait = || {
        work();
        device.sync().unwrap();
    };
    and_wait();
    Launches::during(and_wait).0
}

fn noise<const D: usize>(sizes: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(sizes, Distribution::Normal(0.0, 1.0), &device.clone().autodiff()).require_grad()
}

#[test]
fn batch_norm_takes_one_kernel_each_way_or_two() {
    let _alone = alone();
    for (name, device) in gpus() {
        for (side, expected) in [(9, 1), (40, 2)] {
            let (x, gamma, beta) = (noise([8, 6, side, side], &device), noise([6], &device), noise([6], &device));
            let forward = || batch_norm_train(x.clone(), gamma.clone(), beta.clone(), 1e-5, Activation::HardSwish);
            let found = launches(&device, || _ = forward());
            assert_eq!(found.total(), expected, "{name}: {found}");
            let found = launches(&device, || _ = forward().output.sum().backward());
            assert_eq!(found.of("BatchNorm"), 2 * expected, "{name}: {found}");
        }
    }
}

#[test]
fn the_weights_of_a_depthwise_convolution_take_two_kernels_at_most() {
    let _alone = alone();
    for (name, device) in gpus() {
        for (side, expected) in [(5, 1), (60, 2)] {
            let (x, weight) = (noise([4, 6, side, side], &device), noise([6, 1, 5, 5], &device));
            let found = launches(&device, || _ = depthwise_conv2d(x.clone(), weight.clone(), 1).sum().backward());
            assert_eq!(found.of("DepthwiseWeight"), expected, "{name}: {found}");
        }
    }
}

/// Launches of a step after two others.
fn of_a_step(work: Work, device: &Device) -> Launches {
    let space = SearchSpace { resolutions: vec![24], ..SearchSpace::small_mobilenet_v3(3, 10) };
    let archs = match work {
        Work::ShrinkStep => vec![space.smallest(), space.largest()],
        _ => vec![space.largest()],
    };
    Workload { work, space, archs, batch: 8, precision: Precision::F32 }.launches(device, 2).unwrap()
}

/// The clock chooses kernels, and some take more launches than others: bounds leave room for that. Composed of burn's own
/// ops, the steps took 1,274 and 2,596 launches.
#[test]
fn a_training_step_launches_few_kernels() {
    let _alone = alone();
    for (name, device) in gpus() {
        for (work, most) in [(Work::TrainStep, 800), (Work::ShrinkStep, 1_700)] {
            let found = of_a_step(work, &device);
            println!("{name}, {work}: {} launches\n{found}", found.total());
            assert!(found.total() < most, "{name}, {work}: {} launches\n{found}", found.total());
        }
    }
}
