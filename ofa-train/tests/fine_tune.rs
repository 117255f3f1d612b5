//! Fine-tuning changes a single subnet, follows the recipe and reports failures.

mod common;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use common::{BATCH, Bench, bits};
use ofa_data::ImageBatch;
use ofa_model::{FixedNetwork, Quantization, SearchSpace, Subnet, Supernet, SupernetConfig};
use ofa_train::*;
use std::collections::HashSet;

const CONFIG: FineTune = FineTune { epochs: 1, learning_rate: 0.05, distillation_weight: 1.0 };

fn supernet(bench: &Bench) -> Supernet {
    SupernetConfig::new(bench.space.clone()).unwrap().init(&Device::flex())
}

/// Fine-tunes the smallest subnet, taught by the full network of its supernet.
fn tune(bench: &Bench, config: &FineTune, recipe: &Recipe, seed: u64) -> Result<Subnet, TrainError> {
    let supernet = supernet(bench);
    let (subnet, loader) = (supernet.subnet(&bench.space.smallest()), bench.loader(&OneRank));
    fine_tune(subnet, Some(&supernet), config, recipe, &loader, seed, &Device::flex())
}

#[test]
fn fine_tuning_changes_a_subnet_and_leaves_the_supernet() {
    let bench = Bench::new();
    let device = Device::flex();
    let supernet = supernet(&bench);
    let before = bits(&supernet);
    let subnet = supernet.subnet(&bench.space.smallest());
    let (config, recipe, loader) = (FineTune { epochs: 2, ..CONFIG }, Recipe::default(), bench.loader(&OneRank));
    let tuned = fine_tune(subnet.clone(), Some(&supernet), &config, &recipe, &loader, 1, &device).unwrap();
    let images = Tensor::ones([2, 1, 8, 8], &device);
    let moved = (tuned.infer(images.clone()) - subnet.infer(images)).abs().max().into_scalar::<f32>();
    assert!(moved > 1e-4, "{moved}");
    assert_eq!(bits(&supernet), before);
}

#[test]
fn a_subnet_is_trained_as_it_computes_in_integers() {
    let bench = Bench::new();
    let (device, supernet, loader) = (Device::flex(), supernet(&bench), bench.loader(&OneRank));
    let images: Vec<Tensor<4>> = loader.epoch(0, 0, |_| 8, &device).map(|batch| batch.unwrap().images).collect();
    let subnet = supernet.subnet(&bench.space.smallest()).calibrate(&images);
    let settings = Quantization { images: BATCH, ..Quantization::default() };
    let loss = |subnet: &Subnet| -> f32 {
        let network = subnet.clone().straight_through(&images, &settings).unwrap();
        let batches = loader.epoch(0, 0, |_| 8, &device).map(Result::unwrap);
        let of = |batch: ImageBatch| {
            let right = log_softmax(network.infer(batch.images), 1).gather(1, batch.labels.unsqueeze_dim(1));
            -right.mean().into_scalar::<f32>()
        };
        batches.map(of).sum()
    };
    // Statistics stay, so a network without trained weights takes small steps only.
    let config = FineTune { epochs: 8, learning_rate: 2e-4, ..CONFIG };
    let tune =
        |network| fine_tune(network, None::<&Supernet>, &config, &Recipe::default(), &loader, 1, &device).unwrap();
    let tuned = tune(subnet.clone().straight_through(&images, &settings).unwrap()).into_subnet();
    let (before, after) = (loss(&subnet), loss(&tuned));
    assert!(after < before, "{after} after, {before} before");
}

#[test]
fn dropout_clipping_and_micro_batches_are_those_of_the_recipe() {
    let bench = Bench::new();
    let weights = |recipe: Recipe, seed| weights_sha256(&tune(&bench, &CONFIG, &recipe, seed).unwrap());
    let plain = weights(Recipe::default(), 1);
    assert_eq!(plain, weights(Recipe::default(), 2), "without dropout, the seed has no effect");
    let dropout = Recipe { dropout: 0.2, ..Recipe::default() };
    let others = [
        weights(dropout, 1),
        weights(dropout, 2),
        weights(Recipe { clip_norm: Some(0.1), ..Recipe::default() }, 1),
        weights(Recipe { micro_batch: Some(8), ..Recipe::default() }, 1),
    ];
    assert_eq!(others.into_iter().chain([plain]).collect::<HashSet<_>>().len(), 5);
}

#[test]
fn a_loss_that_explodes_is_an_error_that_names_the_step() {
    let config = FineTune { learning_rate: 1e39, ..CONFIG };
    let error = tune(&Bench::new(), &config, &Recipe::default(), 1).err().unwrap();
    assert!(matches!(error, TrainError::NonFiniteFineTuning { epoch: 1, step: 2, .. }), "{error}");
    assert!(error.to_string().contains("fine_tune.learning_rate"), "{error}");
}

#[test]
fn weights_that_the_last_step_breaks_are_an_error() {
    let bench = Bench { images: BATCH, ..Bench::new() };
    let config = FineTune { learning_rate: 1e39, ..CONFIG };
    let error = tune(&bench, &config, &Recipe::default(), 1).err().unwrap();
    assert!(error.to_string().contains("weights are not finite"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bench = Bench::new();
    let config = FineTune { learning_rate: -1.0, ..CONFIG };
    let error = tune(&bench, &config, &Recipe::default(), 1).err().unwrap();
    assert!(matches!(error, TrainError::InvalidRecipe { .. }), "{error}");
    let recipe = Recipe { dropout: 1.0, ..Recipe::default() };
    let error = tune(&bench, &CONFIG, &recipe, 1).err().unwrap();
    assert!(matches!(error, TrainError::InvalidRecipe { .. }), "{error}");

    let supernet = supernet(&bench);
    let (subnet, loader, device) = (supernet.subnet(&bench.space.smallest()), bench.loader(&OneRank), Device::flex());
    let teacher = SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10)).unwrap().init(&device);
    let error = fine_tune(subnet, Some(&teacher), &CONFIG, &Recipe::default(), &loader, 1, &device).err().unwrap();
    assert!(matches!(error, TrainError::UnfitTeacher { .. }), "{error}");
}

#[test]
fn labels_that_are_no_class_are_refused_before_the_first_step() {
    let mut bench = Bench::new();
    bench.space.classes = 5;
    let expected = "a training image has label 9, but the network has 5 classes, from 0 on; give its space more";
    assert_eq!(tune(&bench, &CONFIG, &Recipe::default(), 1).err().unwrap().to_string(), expected);
    assert_eq!(bench.train(None, &mut ()).err().unwrap().to_string(), expected);
}
