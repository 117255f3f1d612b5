//! Channel rounding, activations and kernel transforms.

use crate::golden::*;
use burn::store::{ModuleSnapshot, bridge};
use burn::tensor::{Device, Tensor};
use ofa_model::kernels::hard_sigmoid;
use ofa_model::{Activation, MbConvShape, SearchSpace, UnitLayers, make_divisible};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Tables of the original's rounding rules.
#[derive(Deserialize)]
struct GoldenUnits {
    /// Values and their rounded results.
    make_divisible_8: Vec<(f64, usize)>,
    /// Channels and the bottleneck channels of their squeeze-and-excitation.
    se_mid: Vec<(usize, usize)>,
    /// Channels by width multiplier.
    channel_tables: BTreeMap<String, GoldenChannels>,
}

#[derive(Deserialize)]
struct GoldenChannels {
    /// Channels of the stem, the first block and the stages.
    stage: Vec<usize>,
    final_expand: usize,
    last: usize,
}

#[test]
fn channels_are_rounded_as_in_the_original() {
    let units: GoldenUnits = golden_json("units.json");
    for (value, expected) in units.make_divisible_8 {
        assert_eq!(make_divisible(value, 8), expected, "{value}");
    }
    for (channels, expected) in units.se_mid {
        let stem = SearchSpace::mobilenet_v3(1.0, 1000).stem_units(224);
        let UnitLayers::MbConv(shape) = stem[1].layers else { panic!("{stem:?}") };
        let shape = MbConvShape { mid_channels: channels, ..shape };
        assert_eq!(shape.squeeze_channels(), expected, "{channels}");
    }
    for (width, channels) in units.channel_tables {
        let space = SearchSpace::mobilenet_v3(width.parse().unwrap(), 1000);
        let found: Vec<usize> = space.stem.iter().chain(&space.stages).map(|stage| stage.channels).collect();
        assert_eq!(found, channels.stage, "width {width}");
        assert_eq!(space.head.expand_channels, Some(channels.final_expand), "width {width}");
        assert_eq!(space.head.mix_channels, Some(channels.last), "width {width}");
    }
}

#[test]
fn activations_are_those_of_the_original() {
    let units = golden_tensors("units.safetensors");
    let x = Tensor::<1>::from_data(units["act.x"].clone(), &Device::flex());
    let check = |found: Tensor<1>, name: &str| {
        let difference = max_difference(&numbers(&found.into_data()), &numbers(&units[name]));
        assert!(difference <= 1e-6, "{name}: {difference:e}");
    };
    check(Activation::HardSwish.apply(x.clone()), "act.hswish");
    check(hard_sigmoid(x), "act.hsigmoid");
}

#[test]
fn smaller_kernels_are_transformed_as_in_the_original() {
    let supernet = Golden::read("mbv3_w1.0").supernet("mbv3_w1.0", 1000);
    let units = golden_tensors("units.safetensors");
    for kernel_size in [3, 5, 7] {
        let mut arch = supernet.space().smallest();
        arch.stages[0].blocks[0].kernel_size = kernel_size;
        let mut tensors = supernet.subnet(&arch).collect(None, None, false).into_iter();
        let kernel = tensors.find(|tensor| tensor.name == "blocks.2.MbConv.depthwise.weight").unwrap();
        let found = numbers(&bridge::into_data(kernel).unwrap());
        let expected = numbers(&units[&format!("sepconv.block1.in48.ks{kernel_size}")]);
        let difference = max_difference(&found, &expected);
        assert!(difference <= 1e-6, "kernel size {kernel_size}: {difference:e}");
    }
}
