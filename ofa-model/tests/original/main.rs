//! Parity with the PyTorch original: the same weights give the same numbers. `../golden/README.md` says what made them.

mod formula;

use burn::store::{ModuleSnapshot, bridge};
use burn::tensor::{Device, Tensor, TensorData};
use ofa_model::kernels::hard_sigmoid;
use ofa_model::{
    Activation, Arch, BlockShape, OriginalArch, SearchSpace, Statistics, Subnet, Supernet, SupernetConfig,
    make_divisible, read_state_dict, write_state_dict,
};
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the original says of one supernet and its subnets.
#[derive(Deserialize)]
struct Golden {
    weight_seed: u64,
    supernet_parameters: u64,
    tensors: Vec<GoldenTensor>,
    subnets: Vec<GoldenSubnet>,
    #[serde(default)]
    calibrations: Vec<GoldenCalibration>,
    #[serde(default)]
    sorted: Vec<GoldenSort>,
}

#[derive(Deserialize)]
struct GoldenTensor {
    key: String,
    shape: Vec<usize>,
    /// Sums of x, |x|, x * x and x_i * (i + 1) / n.
    sums: [f64; 4],
}

#[derive(Deserialize)]
struct GoldenSubnet {
    name: String,
    arch: OriginalArch,
    parameters: u64,
    /// MACs of one image by resolution.
    macs: BTreeMap<usize, u64>,
}

#[derive(Deserialize)]
struct GoldenCalibration {
    file: String,
    arch: OriginalArch,
    /// Name, images and size of every batch.
    batches: Vec<(String, usize, usize)>,
    input: (String, usize, usize),
    /// Key, number of leading channels that changed, and channels, in the order of the layers.
    changed: Vec<(String, usize, usize)>,
}

#[derive(Deserialize)]
struct GoldenSort {
    stage: usize,
    arch: BTreeMap<String, OriginalArch>,
}

fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden_json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(golden_file(name)).unwrap()).unwrap()
}

fn golden_tensors(name: &str) -> BTreeMap<String, TensorData> {
    read_state_dict(&golden_file(name)).unwrap().into_iter().collect()
}

fn numbers(data: &TensorData) -> Vec<f32> {
    data.try_to_vec().unwrap()
}

fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let difference = |(x, y): (&f32, &f32)| if x.is_finite() { (x - y).abs() } else { f32::INFINITY };
    a.iter().zip(b).map(difference).fold(0.0, f32::max)
}

/// Standard deviation of logits: the scale on which their differences are to be read.
fn spread(logits: &[f32]) -> f32 {
    let mean = logits.iter().sum::<f32>() / logits.len() as f32;
    (logits.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / logits.len() as f32).sqrt()
}

/// The entries of the original's state dict with the classifier for `classes`.
fn state_dict(kind: &str, golden: &Golden, classes: usize) -> Vec<(String, TensorData)> {
    let mut statistics = golden_tensors(&format!("bn_stats_{kind}.safetensors"));
    let value = |tensor: &GoldenTensor| {
        let GoldenTensor { key, shape, .. } = tensor;
        let data = statistics.remove(key).unwrap_or_else(|| {
            let mut shape = shape.clone();
            if key.starts_with("classifier") {
                shape[0] = classes;
            }
            TensorData::new(formula::parameter(key, &shape, golden.weight_seed), shape)
        });
        (key.clone(), data)
    };
    golden.tensors.iter().map(value).collect()
}

fn supernet(kind: &str, golden: &Golden, mut space: SearchSpace) -> Supernet {
    // The original is not tied to a list of resolutions; some golden outputs are those of small images.
    space.resolutions.insert(0, 96);
    let tensors = state_dict(kind, golden, space.classes);
    let config = SupernetConfig::new(space).unwrap();
    let (supernet, report) = config.init(&Device::flex()).import_original(tensors).unwrap();
    assert!(report.is_complete(), "{report}");
    supernet
}

fn logits(tensor: Tensor<2>) -> Vec<f32> {
    numbers(&tensor.into_data())
}

fn weights_are_those_of_the_original(kind: &str, width: f64) {
    let golden: Golden = golden_json(&format!("{kind}.json"));
    let space = SearchSpace::mobilenet_v3(width, 1000);
    for ((key, data), tensor) in state_dict(kind, &golden, 1000).iter().zip(&golden.tensors) {
        let values = numbers(data);
        let mut sums = [0.0; 4];
        for (i, x) in values.iter().map(|&x| f64::from(x)).enumerate() {
            let terms = [x, x.abs(), x * x, x * (i + 1) as f64 / values.len() as f64];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        for (found, expected) in sums.iter().zip(tensor.sums) {
            assert!((found - expected).abs() <= 1e-9 * tensor.sums[1], "{key}: {sums:?}, {:?}", tensor.sums);
        }
    }
    let counted = golden.tensors.iter().filter(|tensor| !tensor.key.contains(".running_"));
    let parameters: usize = counted.map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    assert_eq!(parameters as u64, golden.supernet_parameters);
    for GoldenSubnet { name, arch, parameters, macs } in &golden.subnets {
        let converted = Arch::from_original(arch, &space).unwrap();
        for (&resolution, &macs) in macs {
            let cost = space.cost(&converted.at_resolution(resolution));
            assert_eq!((cost.macs, cost.parameters), (macs, *parameters), "{name} at {resolution} px");
        }
        let back = converted.to_original(&space);
        assert_eq!(back.d, arch.d);
        let live = |(there, back): (&usize, &usize)| *back == 0 || there == back;
        assert!(arch.ks.iter().zip(&back.ks).all(live), "{name}");
        assert_eq!(Arch::from_original(&back, &space).unwrap(), converted, "{name}");
    }
}

#[test]
fn weights_and_costs_at_width_1() {
    weights_are_those_of_the_original("mbv3_w1.0", 1.0);
}

#[test]
fn weights_and_costs_at_width_1_2() {
    weights_are_those_of_the_original("mbv3_w1.2", 1.2);
}

fn logits_are_those_of_the_original(kind: &str, width: f64) {
    let golden: Golden = golden_json(&format!("{kind}.json"));
    let supernet = supernet(kind, &golden, SearchSpace::mobilenet_v3(width, 1000));
    let mut expected = golden_tensors(&format!("logits_{kind}.safetensors"));
    let mut failures = Vec::new();
    for GoldenSubnet { name, arch, parameters, macs } in &golden.subnets {
        let arch = Arch::from_original(arch, supernet.space()).unwrap();
        let subnet = supernet.subnet(&arch);
        assert_eq!(subnet.num_trainable() as u64, *parameters, "{name}");
        for &resolution in macs.keys() {
            let expected = numbers(&expected.remove(&format!("{name}.r{resolution}")).unwrap());
            let images = formula::images(&format!("input.{resolution}"), 2, resolution);
            let arch = arch.at_resolution(resolution);
            let found = supernet.forward(images.clone(), &arch, &mut Statistics::Running);
            let difference = max_difference(&logits(found), &expected);
            let extracted = max_difference(&logits(subnet.infer(images)), &expected);
            let tolerance = tolerance(name, &expected);
            if !(difference <= tolerance && extracted <= tolerance) {
                failures.push(format!("{name} at {resolution} px: {difference:e}, {extracted:e} over {tolerance:e}"));
            }
        }
    }
    assert!(expected.is_empty(), "golden outputs left: {:?}", expected.keys());
    assert!(failures.is_empty(), "{failures:#?}");
}

/// How far two correct programs that sum in f32 may be apart.
///
/// The largest networks, of random weights, are badly conditioned: at 160 px and more, where their logits spread over
/// tens, moving every pixel by its last bit moves logits by up to 4e-4 of the spread, more than any difference seen
/// here. The other networks differ by less than 3e-6.
fn tolerance(subnet: &str, expected: &[f32]) -> f32 {
    match subnet {
        "max" => 5e-4 * if spread(expected) > 12.0 { spread(expected) } else { 1.0 },
        _ => 2e-5,
    }
}

#[test]
fn logits_at_width_1() {
    logits_are_those_of_the_original("mbv3_w1.0", 1.0);
}

#[test]
fn logits_at_width_1_2() {
    logits_are_those_of_the_original("mbv3_w1.2", 1.2);
}

#[test]
fn the_largest_networks_are_as_near_the_truth_as_the_original() {
    for (kind, width) in [("mbv3_w1.0", 1.0), ("mbv3_w1.2", 1.2)] {
        let golden: Golden = golden_json(&format!("{kind}.json"));
        let supernet = supernet(kind, &golden, SearchSpace::mobilenet_v3(width, 1000));
        let truth: Vec<f64> = golden_tensors("logits_f64.safetensors")[&format!("{kind}.max")].try_to_vec().unwrap();
        let error = |logits: &[f32]| {
            assert_eq!(logits.len(), truth.len());
            logits.iter().zip(&truth).map(|(&x, truth)| (f64::from(x) - truth).abs()).fold(0.0, f64::max)
        };
        let original = error(&numbers(&golden_tensors(&format!("logits_{kind}.safetensors"))["max.r128"]));
        let arch = supernet.space().largest().at_resolution(128);
        let ours = supernet.forward(formula::images("input.128", 2, 128), &arch, &mut Statistics::Running);
        let ours = error(&logits(ours));
        assert!(ours <= 3.0 * original, "{kind}: {ours:e}, the original {original:e}");
    }
}

/// Running means and variances of every batch norm, in the order of the layers.
fn statistics(subnet: &Subnet) -> Vec<Vec<f32>> {
    let tensors = subnet.collect(None, None, false).into_iter();
    let running = tensors.filter(|tensor| tensor.name.contains(".running_"));
    running.map(|tensor| numbers(&bridge::into_data(tensor).unwrap())).collect()
}

// Moving every pixel by its last bit moves these statistics by 1e-5 of their largest value and the logits by 2e-5: the
// distances seen here. The tolerances leave room for other orders of summation.
#[test]
fn calibration_gives_the_statistics_of_the_original() {
    let golden: Golden = golden_json("mbv3_w1.0.json");
    let supernet = supernet("mbv3_w1.0", &golden, SearchSpace::mobilenet_v3(1.0, 1000));
    assert_eq!(golden.calibrations.len(), 2);
    for GoldenCalibration { file, arch, batches, input, changed } in &golden.calibrations {
        let expected = golden_tensors(file);
        let batches: Vec<_> = batches.iter().map(|(name, count, size)| formula::images(name, *count, *size)).collect();
        let arch = Arch::from_original(arch, supernet.space()).unwrap();
        let subnet = supernet.subnet(&arch).calibrate(&batches);
        let found = statistics(&subnet);
        assert_eq!(found.len(), changed.len());
        for (found, (key, channels, _)) in found.iter().zip(changed) {
            let expected = numbers(&expected[key]);
            assert_eq!(expected.len(), *channels);
            let scale = expected.iter().fold(1.0f32, |scale, x| scale.max(x.abs()));
            let difference = max_difference(found, &expected) / scale;
            assert!(difference <= 4e-5, "{file} {key}: {difference:e}");
        }
        let (name, count, size) = input;
        let found = logits(subnet.infer(formula::images(name, *count, *size)));
        let difference = max_difference(&found, &numbers(&expected["logits"]));
        assert!(difference <= 1e-4, "{file}: {difference:e}");
    }
}

#[test]
fn sorted_channels_compute_what_the_original_does() {
    let golden: Golden = golden_json("mbv3_w1.0.json");
    let space = SearchSpace::mobilenet_v3(1.0, 100);
    assert_eq!(golden.sorted.len(), 3);
    let images = formula::images("input.128", 2, 128);
    for GoldenSort { stage, arch } in &golden.sorted {
        let expected = golden_tensors(&format!("reorg_mbv3_w1.0_stage{stage}.safetensors"));
        let supernet = supernet("mbv3_w1.0", &golden, space.clone());
        // Stage 0 follows a training at the largest ratio alone; each further stage has the next smaller one too.
        let mut trained = supernet.space().clone();
        for stage_space in &mut trained.stages {
            stage_space.expand_ratios.drain(..2 - stage);
        }
        let sorted = supernet.clone().sort_channels(&trained);
        for (when, supernet) in [("before", supernet), ("after", sorted)] {
            for (name, arch) in arch {
                let arch = Arch::from_original(arch, supernet.space()).unwrap().at_resolution(128);
                let found = logits(supernet.forward(images.clone(), &arch, &mut Statistics::Running));
                let expected = numbers(&expected[&format!("{when}.{name}")]);
                let difference = max_difference(&found, &expected);
                assert!(difference <= tolerance(name, &expected), "stage {stage} {when} {name}: {difference:e}");
            }
        }
    }
}

/// Tables of the original's rounding rules.
#[derive(Deserialize)]
struct GoldenUnits {
    /// Numbers and what they round to.
    make_divisible_8: Vec<(f64, usize)>,
    /// Channels and those of the bottleneck of their squeeze-and-excitation.
    se_mid: Vec<(usize, usize)>,
    /// Channels by width multiplier.
    channel_tables: BTreeMap<String, GoldenChannels>,
}

#[derive(Deserialize)]
struct GoldenChannels {
    /// Of the stem, the first block and the stages.
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
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let shape = BlockShape { mid_channels: channels, ..space.first_block_shape() };
        assert_eq!(shape.squeeze_channels(), expected, "{channels}");
    }
    for (width, channels) in units.channel_tables {
        let space = SearchSpace::mobilenet_v3(width.parse().unwrap(), 1000);
        let stages = space.stages.iter().map(|stage| stage.channels);
        let found: Vec<usize> = [space.stem.block_channels].into_iter().chain(stages).collect();
        assert_eq!(found, channels.stage[1..], "width {width}");
        assert_eq!(space.stem.channels, channels.stage[0], "width {width}");
        assert_eq!(space.head.expand_channels, channels.final_expand, "width {width}");
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
    let golden: Golden = golden_json("mbv3_w1.0.json");
    let supernet = supernet("mbv3_w1.0", &golden, SearchSpace::mobilenet_v3(1.0, 1000));
    let units = golden_tensors("units.safetensors");
    for kernel_size in [3, 5, 7] {
        let mut arch = supernet.space().smallest();
        arch.stages[0].blocks[0].kernel_size = kernel_size;
        let mut tensors = supernet.subnet(&arch).collect(None, None, false).into_iter();
        let kernel = tensors.find(|tensor| tensor.name == "blocks.1.depthwise.weight").unwrap();
        let found = numbers(&bridge::into_data(kernel).unwrap());
        let expected = numbers(&units[&format!("sepconv.block1.in48.ks{kernel_size}")]);
        let difference = max_difference(&found, &expected);
        assert!(difference <= 1e-6, "kernel size {kernel_size}: {difference:e}");
    }
}

#[test]
fn checkpoints_of_torch_are_read() {
    let golden: Golden = golden_json("mbv3_w1.0.json");
    let all = state_dict("mbv3_w1.0", &golden, 1000);
    for file in ["first_conv_nested.pth", "first_conv_flat.pth"] {
        let found = golden_tensors(file);
        assert_eq!(found.len(), 6);
        assert_eq!(found["first_conv.bn.num_batches_tracked"], TensorData::new(vec![0i64], [0; 0]));
        for (key, expected) in all.iter().filter(|(key, _)| key.starts_with("first_conv.")) {
            assert_eq!(&found[key], expected, "{key}");
        }
    }
}

#[test]
fn a_supernet_leaves_as_it_came() {
    let golden: Golden = golden_json("mbv3_w1.0.json");
    let state = state_dict("mbv3_w1.0", &golden, 1000);
    let supernet = supernet("mbv3_w1.0", &golden, SearchSpace::mobilenet_v3(1.0, 1000));
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("supernet.safetensors");
    write_state_dict(&path, &supernet.to_original()).unwrap();
    let found: BTreeMap<_, _> = read_state_dict(&path).unwrap().into_iter().collect();
    for (key, expected) in &state {
        assert_eq!(&found[key], expected, "{key}");
        if let Some(norm) = key.strip_suffix("running_var") {
            assert_eq!(found[&format!("{norm}num_batches_tracked")], TensorData::new(vec![0i64], [0; 0]));
        }
    }
    assert_eq!(found.len(), 475, "as many entries as the state dict of the original");
}

#[test]
fn what_is_no_checkpoint_is_refused_with_its_name_and_never_run() {
    let root = tempfile::tempdir().unwrap();
    let message = |name: &str, content: &[u8]| {
        let path = root.path().join(name);
        std::fs::write(&path, content).unwrap();
        let message = read_state_dict(&path).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
        message
    };
    message("text.pth", b"not a checkpoint");
    message("empty.pth", b"");
    message("header.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\xff");
    let whole = std::fs::read(golden_file("first_conv_flat.pth")).unwrap();
    message("truncated.pth", &whole[..whole.len() / 2]);
    // A pickle that asks for `os.mkdir(ran)` when it is loaded.
    let ran = root.path().join("ran");
    let pickle = format!("cos\nmkdir\n(S'{}'\ntR.", ran.display());
    message("code.pth", pickle.as_bytes());
    assert!(!ran.exists());
    let missing = read_state_dict(&root.path().join("missing.pth")).unwrap_err().to_string();
    assert!(missing.contains("missing.pth"), "{missing}");
}
