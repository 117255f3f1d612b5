//! Logits of supernets and of subnets extracted from them.

use crate::noise::tolerance;
use crate::{formula, golden::*};
use burn::tensor::Device;
use ofa_model::{Arch, Statistics, SupernetConfig};

fn logits_are_those_of_the_original(kind: &str) {
    let golden = Golden::read(kind);
    let supernet = golden.supernet(kind, 1000);
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
            let forward = |images| supernet.forward(images, &arch, &mut Statistics::Running);
            let difference = max_difference(&logits(forward(images.clone())), &expected);
            let tolerance = tolerance(name, &images, forward);
            let extracted = max_difference(&logits(subnet.infer(images)), &expected);
            if !(difference <= tolerance && extracted <= tolerance) {
                let spread = spread(&expected);
                failures.push(format!(
                    "{name} at {resolution} px: {difference:e}, {extracted:e} over {tolerance:e}, spread {spread}"
                ));
            }
        }
    }
    assert!(expected.is_empty(), "golden outputs not compared: {:?}", expected.keys());
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn logits_of_mobilenet_v3_at_width_1() {
    logits_are_those_of_the_original("mbv3_w1.0");
}

#[test]
fn logits_of_mobilenet_v3_at_width_1_2() {
    logits_are_those_of_the_original("mbv3_w1.2");
}

#[test]
fn logits_of_proxyless_nas() {
    logits_are_those_of_the_original("proxyless_w1.3");
}

#[test]
fn logits_of_resnet50d() {
    logits_are_those_of_the_original("resnets");
}

#[test]
fn the_largest_networks_are_as_near_the_truth_as_the_original() {
    for kind in KINDS {
        let supernet = Golden::read(kind).supernet(kind, 1000);
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

#[test]
fn subnets_leave_and_return_as_static_nets_of_the_original() {
    for kind in KINDS {
        let golden = Golden::read(kind);
        let supernet = golden.supernet(kind, 1000);
        let arch = Arch::from_original(&golden.subnets[2].arch, supernet.space()).unwrap().at_resolution(96);
        let subnet = supernet.subnet(&arch);
        let other = SupernetConfig::new(supernet.space().clone()).unwrap().with_seed(9).init(&Device::flex());
        let (back, report) = other.subnet(&arch).import_original(subnet.to_original()).unwrap();
        assert!(report.is_complete(), "{kind}: {report}");
        let images = formula::images("input.96", 1, 96);
        assert_eq!(back.infer(images.clone()).into_data(), subnet.infer(images).into_data(), "{kind}");
    }
}
