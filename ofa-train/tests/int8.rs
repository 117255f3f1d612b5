//! Accuracies in 8-bit integers.

mod common;

use burn::tensor::Device;
use common::Bench;
use ofa_data::evaluation_batches;
use ofa_model::{Quantization, SupernetConfig};
use ofa_train::Evaluator;

#[test]
fn ranges_are_calibrated_on_the_first_calibration_images() {
    let (bench, device) = (Bench::new(), Device::flex());
    let (images, normalisation) = (bench.splits.validation.subset(40, 1), bench.splits.normalisation());
    let mut evaluator = Evaluator::new(images.clone(), images.clone(), 20, &normalisation, &device);
    let supernet = SupernetConfig::new(bench.space.clone()).unwrap().init(&device);
    let arch = bench.space.smallest();
    let subnet = evaluator.calibrated(&supernet, &arch).unwrap();
    let settings = Quantization { images: 30, ..Quantization::default() };
    let quantised = evaluator.quantized(&subnet, &settings).unwrap();

    let batch = evaluation_batches(&images, arch.resolution, 40, &normalisation, &device).unwrap().next();
    let all = batch.unwrap().unwrap().images;
    let logits = quantised.infer(all.clone()).into_data();
    assert_eq!(
        subnet.quantize([&all.clone().narrow(0, 0, 30)], &settings).unwrap().infer(all.clone()).into_data(),
        logits
    );
    let fewer = Quantization { images: 5, ..settings };
    assert_ne!(subnet.quantize([&all], &fewer).unwrap().infer(all).into_data(), logits);

    // A quantised network is measured like any other.
    let right = evaluator.subnet_right(&quantised).unwrap();
    let top1 = right.iter().filter(|right| **right).count() as f64 / 40.0;
    assert_eq!(evaluator.subnet_top1(&quantised).unwrap(), top1);
    let message = evaluator.quantized(&subnet, &Quantization { images: 41, ..settings }).unwrap_err().to_string();
    assert!(message.contains("there are 40 images"), "{message}");
}
