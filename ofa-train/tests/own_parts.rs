//! A network, a loss and an optimizer that are not ours train, resume, teach and are evaluated like ours.

mod common;

use burn::module::{Module, Param};
use burn::optim::AdamConfig;
use burn::tensor::{Device, Tensor, TensorData, activation};
use common::{Bench, SEED, StopAfter};
use ofa_model::{Arch, ElasticNetwork, FixedNetwork, Ratio, SearchSpace, Statistics};
use ofa_train::*;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A perceptron of elastic width; itself the network of one width.
#[derive(Module, Debug)]
struct Perceptron {
    hidden: Param<Tensor<2>>,
    classifier: Param<Tensor<2>>,
    #[module(skip)]
    space: SearchSpace,
    #[module(skip)]
    arch: Arch,
}

fn perceptron() -> Perceptron {
    let mut space = SearchSpace::small_mobilenet_v3(1, 10);
    space.resolutions = vec![8];
    space.stages.truncate(1);
    let stage = &mut space.stages[0];
    (stage.channels, stage.depths) = (32, vec![1]);
    stage.widths = vec![Ratio::try_from(0.5).unwrap(), Ratio::ONE];
    space.validate().unwrap();
    let device = Device::flex().autodiff();
    // A formula and not `Tensor::random`: its generator is shared with the tests that run beside this one.
    let weight = |shape: [usize; 2]| {
        let values = (0..shape[0] * shape[1]).map(|i| (i * 37 % 101) as f32 / 500.0 - 0.1).collect();
        Tensor::from_data(TensorData::new(values, shape), &device)
    };
    let (hidden, classifier) = (Param::from_tensor(weight([64, 32])), Param::from_tensor(weight([32, 10])));
    Perceptron { hidden, classifier, arch: space.largest(), space }
}

impl ElasticNetwork for Perceptron {
    type Subnet = Self;

    fn space(&self) -> &SearchSpace {
        &self.space
    }

    fn view(&self, arch: &Arch) -> Self {
        let width = self.space.stages[0].channels_at(arch.stages[0].width);
        Self {
            hidden: self.hidden.clone().map(|weight| weight.slice([0..64, 0..width])),
            classifier: self.classifier.clone().map(|weight| weight.slice_dim(0, 0..width)),
            space: self.space.clone(),
            arch: arch.clone(),
        }
    }
}

impl FixedNetwork for Perceptron {
    fn space(&self) -> &SearchSpace {
        &self.space
    }

    fn arch(&self) -> &Arch {
        &self.arch
    }

    fn forward_with(
        &self,
        images: Tensor<4>,
        _: &mut Statistics,
        change: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let features = activation::relu(images.flatten::<2>(1, 3).matmul(self.hidden.val()));
        change(features).matmul(self.classifier.val())
    }
}

/// The bench with a phase that becomes the teacher of a second one.
fn bench() -> Bench {
    let mut bench = Bench::new();
    let recipe = PhaseRecipe { epochs: 2, learning_rate: 0.01, warmup_epochs: 0.0, subnets_per_step: 2 };
    let first = Phase { becomes_teacher: true, ..Phase::new("first", &recipe, Opened::All) };
    let second = Phase { distillation: Distillation::teacher(1.0), ..Phase::new("second", &recipe, Opened::All) };
    bench.schedule.phases = vec![first, second];
    bench.recipe.average_decay = Some(0.5);
    bench
}

fn evaluator(bench: &Bench) -> Evaluator {
    let images = bench.splits.validation.subset(40, SEED);
    Evaluator::new(images.clone(), images, 20, &bench.splits.normalisation(), &Device::flex())
}

fn trained(
    root: Option<&Path>,
    loss: &dyn Loss,
    observer: &mut dyn TrainObserver,
) -> Result<TrainOutcome<Perceptron>, TrainError> {
    let (bench, device) = (bench(), Device::flex());
    let (loader, network) = (bench.loader(&OneRank), perceptron());
    let checkpoints = root.map(|root| CheckpointDir::new(root, 2));
    let run = TrainRun {
        loss: Some(loss),
        optimizer: Some(&|| AdamConfig::new().init()),
        seed: SEED,
        watched: &[network.space.smallest()],
        checkpoints: checkpoints.as_ref(),
        ..TrainRun::new(&bench.schedule, &bench.recipe, &loader, &device)
    };
    train(network, &run, &mut evaluator(&bench), observer)
}

fn brier(logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
    let teacher = targets.teacher.clone().map(|(logits, _)| activation::softmax(logits, 1));
    let wanted = teacher.unwrap_or_else(|| targets.probabilities.clone());
    (activation::softmax(logits, 1) - wanted).square().mean()
}

#[test]
fn parts_that_are_not_ours_train_and_resume_with_the_same_bits() {
    let (calls, taught) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let counted = |logits: Tensor<2>, targets: &Targets| {
        calls.fetch_add(1, Ordering::Relaxed);
        taught.fetch_add(usize::from(targets.teacher.is_some()), Ordering::Relaxed);
        brier(logits, targets)
    };
    let whole = trained(None, &counted, &mut ()).unwrap();
    // Two phases of two epochs of two steps of two subnets; the second phase has a teacher.
    assert_eq!((calls.into_inner(), taught.into_inner()), (16, 8));
    assert_eq!((whole.epochs.len(), whole.watched.len()), (4, 2));
    assert!(whole.epochs.iter().all(|epoch| epoch.loss > 0.0 && epoch.label_loss == 0.0));
    let weights = weights_sha256(&whole.supernet);
    assert_ne!(weights, weights_sha256(&perceptron()));

    let root = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let stopped = trained(Some(root.path()), &brier, &mut StopAfter { steps: 3, damaged: 0 });
        assert!(matches!(stopped, Err(TrainError::Interrupted { .. })));
    }
    let resumed = trained(Some(root.path()), &brier, &mut ()).unwrap();
    assert_eq!(weights_sha256(&resumed.supernet), weights);
    let saved = CheckpointDir::new(root.path(), 2).supernet(perceptron()).unwrap().unwrap();
    assert_eq!(weights_sha256(&saved.supernet), weights);
}

#[test]
fn a_network_that_is_not_ours_is_evaluated_and_fine_tuned() {
    let (bench, network) = (bench(), perceptron().valid());
    let mut evaluator = evaluator(&bench);
    let smallest = network.space.smallest();
    let scores = evaluator.scores(&network, &smallest).unwrap();
    assert_eq!(scores.top1(), evaluator.top1(&network, &smallest).unwrap());
    let subnet = evaluator.calibrated(&network, &smallest).unwrap();
    assert_eq!(subnet.hidden.dims(), [64, 16]);
    let config = FineTune { epochs: 1, learning_rate: 0.05, distillation_weight: 1.0 };
    let (loader, recipe) = (bench.loader(&OneRank), Recipe::default());
    let tuned = fine_tune(subnet.clone(), Some(&network), &config, &recipe, &loader, 1, &Device::flex()).unwrap();
    assert_ne!(weights_sha256(&tuned), weights_sha256(&subnet));
}
