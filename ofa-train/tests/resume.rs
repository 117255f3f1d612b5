//! A training run that is interrupted and resumed ends with the same weights as an uninterrupted one, bit for bit.

mod common;

use burn::module::{Module, ModuleMapper, Param};
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device, Tensor};
use common::{BATCH, Bench, IMAGES, SEED, StopAfter, bits, timeless};
use ofa_data::evaluation_batches;
use ofa_model::{SearchSpace, Supernet, SupernetConfig};
use ofa_train::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;

#[test]
fn interrupted_in_every_phase_and_resumed() {
    let bench = Bench::new();
    let unbroken = bench.train(None, &mut ()).unwrap();
    let again = bench.train(None, &mut ()).unwrap();
    assert_eq!(bits(&unbroken.supernet), bits(&again.supernet), "the same seed gives the same weights");

    let root = tempfile::tempdir().unwrap();
    let mut interruptions = 0;
    let resumed = loop {
        // One step at a time: stops within and at the end of every epoch of every phase.
        match bench.train(Some(root.path()), &mut StopAfter { steps: 1, damaged: 0 }) {
            Ok(outcome) => break outcome,
            Err(TrainError::Interrupted { .. }) => interruptions += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(interruptions < 100, "no progress");
    };
    assert_eq!(interruptions, 2 * bench.schedule.epochs() - 1, "after every step but the last");
    assert_eq!(bits(&resumed.supernet), bits(&unbroken.supernet));
    assert_eq!(timeless(&resumed), timeless(&unbroken));
}

/// Enables every stateful feature and stops after every third step, alternately within and at the end of epochs.
#[test]
fn every_kind_of_schedule_resumes_with_all_that_the_recipe_offers() {
    for &kind in ScheduleKind::ALL {
        let mut bench = Bench::new();
        let phase =
            |subnets_per_step| PhaseRecipe { epochs: 1, learning_rate: 0.05, warmup_epochs: 0.5, subnets_per_step };
        let recipe = ScheduleRecipe {
            reference_batch_size: 16,
            full: phase(1),
            kernel: phase(1),
            depth_first: phase(2),
            depth_last: phase(2),
            expand_first: phase(2),
            expand_last: phase(2),
            distillation_weight: 1.0,
        };
        bench.schedule = kind.schedule(&bench.space, &recipe).scale_to(8);
        for phase in &mut bench.schedule.phases {
            if let Distillation::Teacher(teacher) = &mut phase.distillation {
                teacher.statistics = TeacherStatistics::Calibrated;
            }
        }
        bench.recipe = Recipe {
            dropout: 0.2,
            clip_norm: Some(1.0),
            average_decay: Some(0.5),
            micro_batch: Some(10),
            ..Recipe::default()
        };
        bench.watch_epochs = Some(1);
        let unbroken = bench.train(None, &mut ()).unwrap();
        let root = tempfile::tempdir().unwrap();
        let resumed = loop {
            match bench.train(Some(root.path()), &mut StopAfter { steps: 3, damaged: 0 }) {
                Ok(outcome) => break outcome,
                Err(TrainError::Interrupted { .. }) => {}
                Err(error) => panic!("{kind}: {error}"),
            }
        };
        assert_eq!(bits(&resumed.supernet), bits(&unbroken.supernet), "{kind}");
        assert_eq!(timeless(&resumed), timeless(&unbroken), "{kind}");
        assert_eq!(unbroken.watched.len(), 2 * bench.schedule.epochs(), "{kind}");
        assert!(root.path().join("best/weights.bpk").exists(), "{kind}");
    }
}

#[test]
fn what_the_recipe_offers_changes_what_is_learnt() {
    let mut bench = Bench::new();
    bench.schedule.phases.truncate(2);
    let changes = [
        Recipe::default(),
        Recipe { dropout: 0.2, ..Recipe::default() },
        Recipe { clip_norm: Some(0.1), ..Recipe::default() },
        Recipe { average_decay: Some(0.5), ..Recipe::default() },
        Recipe { micro_batch: Some(8), ..Recipe::default() },
        Recipe { precision: Precision::Bf16, ..Recipe::default() },
    ];
    let weights: std::collections::HashSet<_> = changes
        .into_iter()
        .map(|recipe| {
            bench.recipe = recipe;
            bits(&bench.train(None, &mut ()).unwrap().supernet)
        })
        .collect();
    assert_eq!(weights.len(), changes.len());
}

#[test]
fn a_teacher_from_elsewhere_teaches_and_is_not_in_checkpoints() {
    let mut bench = Bench::new();
    bench.schedule.phases = vec![bench.schedule.phases.remove(1)];
    assert!(matches!(bench.train(None, &mut ()), Err(TrainError::InvalidSchedule { .. })));
    // The teacher may even be of another space.
    let space = SearchSpace { resolutions: vec![8, 12, 16], ..SearchSpace::mobilenet_v3(0.5, 10) };
    let space = SearchSpace { image_channels: 1, ..space };
    let teacher = |seed| SupernetConfig::new(space.clone()).unwrap().with_seed(seed).init(&Device::flex());
    let mut train = |seed| {
        bench.teacher = Some(teacher(seed));
        let unbroken = bench.train(None, &mut ()).unwrap();
        let root = tempfile::tempdir().unwrap();
        assert!(bench.train(Some(root.path()), &mut StopAfter { steps: 1, damaged: 0 }).is_err());
        let resumed = bench.train(Some(root.path()), &mut ()).unwrap();
        assert_eq!(bits(&resumed.supernet), bits(&unbroken.supernet));
        assert!(unbroken.epochs[0].teacher_loss > 0.0);
        let saved = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path());
        assert!(saved.into_iter().all(|path| !path.join("teacher.bpk").exists()));
        bits(&unbroken.supernet)
    };
    assert_ne!(train(1), train(2));
}

#[test]
fn a_sampler_of_ones_own_takes_the_place_of_the_phases() {
    let mut bench = Bench::new();
    bench.schedule = ScheduleKind::RandomOnly.schedule(&bench.space, &ScheduleRecipe::iclr2020()).scale_to(4);
    let own = UniformSampler { seed: SEED };
    let by_phase = bench.train(None, &mut ()).unwrap();
    let by_own = bench.train_by(Some(&own), None, &mut ()).unwrap();
    assert_eq!(bits(&by_phase.supernet), bits(&by_own.supernet), "the same draws from another source");
    let fixed = FixedSampler { archs: vec![bench.space.smallest()] };
    let smallest = bench.train_by(Some(&fixed), None, &mut ()).unwrap();
    let macs = [8, 12].map(|resolution| bench.space.cost(&fixed.archs[0].at_resolution(resolution)).macs);
    for epoch in &smallest.epochs {
        assert!(
            macs.contains(&epoch.least_macs) && macs.contains(&epoch.most_macs),
            "only resolutions vary: {epoch:?}"
        );
    }
    assert_ne!(bits(&smallest.supernet), bits(&by_own.supernet));
}

#[test]
fn a_torn_checkpoint_is_passed_over_for_the_one_before() {
    let bench = Bench::new();
    let root = tempfile::tempdir().unwrap();
    let unbroken = bench.train(None, &mut ()).unwrap();
    assert!(bench.train(Some(root.path()), &mut StopAfter { steps: 5, damaged: 0 }).is_err());
    let mut checkpoints: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    checkpoints.sort();
    let weights = checkpoints.last().unwrap().join("weights.bpk");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();

    let mut observer = StopAfter { steps: usize::MAX, damaged: 0 };
    let resumed = bench.train(Some(root.path()), &mut observer).unwrap();
    assert_eq!(observer.damaged, 1);
    assert_eq!(bits(&resumed.supernet), bits(&unbroken.supernet));
}

#[test]
fn the_weights_of_the_newest_checkpoint_are_read_without_the_training() {
    let bench = Bench::new();
    let root = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointDir::new(root.path(), 1);
    let blank = |space: &SearchSpace| SupernetConfig::new(space.clone()).unwrap().init(&Device::flex());
    assert!(checkpoints.supernet(blank(&bench.space)).unwrap().is_none());
    let outcome = bench.train(Some(root.path()), &mut ()).unwrap();
    let saved = checkpoints.supernet(blank(&bench.space)).unwrap().unwrap();
    assert_eq!(bits(&saved.supernet), bits(&outcome.supernet));
    assert!(saved.path.starts_with(root.path()) && saved.damaged.is_empty(), "{:?}", saved.path);
    let mut other = bench.space.clone();
    other.stages[0].channels = 24;
    let message = checkpoints.supernet(blank(&other)).unwrap_err().to_string();
    assert!(message.contains("weights.bpk"), "{message}");
}

#[test]
fn the_moving_average_of_a_checkpoint_goes_before_its_weights() {
    let mut bench = Bench::new();
    bench.recipe.average_decay = Some(0.5);
    let root = tempfile::tempdir().unwrap();
    assert!(bench.train(Some(root.path()), &mut StopAfter { steps: 5, damaged: 0 }).is_err());
    let blank = || SupernetConfig::new(bench.space.clone()).unwrap().init(&Device::flex());
    let saved = CheckpointDir::new(root.path(), 1).supernet(blank()).unwrap().unwrap();
    let [weights, average] = ["weights.bpk", "average.bpk"].map(|name| {
        let bytes = std::fs::read(saved.path.join(name)).unwrap();
        bits(&blank().try_load_record(ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)).unwrap()).unwrap())
    });
    assert_eq!(bits(&saved.supernet), average);
    assert_ne!(weights, average);
}

#[test]
fn scores_do_not_depend_on_the_size_of_batches() {
    let Bench { space, splits, .. } = Bench::new();
    let device = Device::flex();
    let supernet = SupernetConfig::new(space.clone()).unwrap().with_seed(SEED).init(&device);
    let (calibration, images) = (splits.train.subset(20, 1), splits.validation.subset(30, 1));
    let evaluator =
        |batch| Evaluator::new(calibration.clone(), images.clone(), batch, &splits.normalisation(), &device);
    let subnet = evaluator(20).calibrated(&supernet, &space.largest()).unwrap();
    let [many, one] = [7, 30].map(|batch| evaluator(batch).subnet_scores(&subnet).unwrap());
    assert_eq!((many.images(), many.top1(), many.top5()), (30, one.top1(), one.top5()));
    assert!((many.loss() - one.loss()).abs() < 1e-6, "{} and {}", many.loss(), one.loss());
    assert_eq!(many.top1(), evaluator(7).subnet_top1(&subnet).unwrap());
    // The confusion matrix counts as many images per label as the set has.
    let mut expected = [0u32; 10];
    for batch in evaluation_batches(&images, 8, 30, &splits.normalisation(), &device).unwrap() {
        batch.unwrap().labels.into_data().iter::<i64>().for_each(|label| expected[label as usize] += 1);
    }
    let found: [u64; 10] = std::array::from_fn(|label| many.confusion(label).iter().sum());
    assert_eq!(found, expected.map(u64::from));
    let mean = (0..10).filter_map(|label| Some(many.class_top1(label)? * f64::from(expected[label]) / 30.0));
    assert!((mean.sum::<f64>() - many.top1()).abs() < 1e-12);
}

#[test]
fn a_checkpoint_of_another_schedule_is_refused() {
    let mut bench = Bench::new();
    let root = tempfile::tempdir().unwrap();
    assert!(bench.train(Some(root.path()), &mut StopAfter { steps: 1, damaged: 0 }).is_err());
    bench.schedule.phases[0].learning_rate *= 2.0;
    let error = bench.train(Some(root.path()), &mut ()).err().unwrap();
    assert!(matches!(error, TrainError::OtherSchedule { .. }), "{error}");
    bench.schedule.phases[0].learning_rate /= 2.0;
    bench.recipe.weight_decay = 0.0;
    let error = bench.train(Some(root.path()), &mut ()).err().unwrap();
    assert!(matches!(error, TrainError::OtherSchedule { .. }), "{error}");
}

#[test]
fn a_loss_that_explodes_stops_the_training_and_names_the_step() {
    let mut bench = Bench::new();
    for phase in &mut bench.schedule.phases {
        (phase.learning_rate, phase.warmup_epochs) = (1e30, 0.0);
    }
    let message = bench.train(None, &mut ()).err().unwrap().to_string();
    assert!(message.contains("phase `full`") && message.contains("learning rate"), "{message}");
}

#[test]
fn with_one_step_an_epoch_every_stop_is_honoured() {
    let bench = Bench { images: BATCH, ..Bench::new() };
    let unbroken = bench.train(None, &mut ()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut interruptions = 0;
    let resumed = loop {
        match bench.train(Some(root.path()), &mut StopAfter { steps: 1, damaged: 0 }) {
            Ok(outcome) => break outcome,
            Err(TrainError::Interrupted { step: 0, .. }) => interruptions += 1,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(interruptions, bench.schedule.epochs() - 1, "after every epoch but the last");
    assert_eq!(bits(&resumed.supernet), bits(&unbroken.supernet));
    assert_eq!(timeless(&resumed), timeless(&unbroken));
}

#[test]
fn a_checkpoint_of_another_seed_or_other_batches_is_refused() {
    let root = tempfile::tempdir().unwrap();
    assert!(Bench::new().train(Some(root.path()), &mut StopAfter { steps: 1, damaged: 0 }).is_err());
    let others = [
        (Bench { seed: SEED + 1, ..Bench::new() }, "written with seed = 3, but this run has 4"),
        (Bench { images: IMAGES + BATCH, ..Bench::new() }, "written with steps per epoch = 2, but this run has 3"),
        (
            Bench { images: IMAGES / 2, batch: BATCH / 2, ..Bench::new() },
            "written with images per step = 16, but this run has 8",
        ),
    ];
    for (other, expected) in others {
        let message = other.train(Some(root.path()), &mut ()).err().unwrap().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_checkpoint_that_says_nothing_of_seed_and_batches_is_gone_on_from() {
    let mut bench = Bench::new();
    bench.schedule.phases.truncate(1);
    let unbroken = bench.train(None, &mut ()).unwrap();
    let root = tempfile::tempdir().unwrap();
    assert!(bench.train(Some(root.path()), &mut StopAfter { steps: 1, damaged: 0 }).is_err());
    make_older(&std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path());
    let mut observer = StopAfter { steps: usize::MAX, damaged: 0 };
    let resumed = bench.train(Some(root.path()), &mut observer).unwrap();
    assert_eq!(observer.damaged, 0);
    assert_eq!(bits(&resumed.supernet), bits(&unbroken.supernet));
}

/// Removes from a checkpoint the fields that earlier versions did not write.
fn make_older(checkpoint: &Path) {
    let read = |name: &str| std::fs::read(checkpoint.join(name)).unwrap();
    let json = |name: &str| serde_json::from_slice::<Value>(&read(name)).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(checkpoint.join(name), bytes).unwrap();
    let (mut state, mut manifest) = (json("state.json"), json("manifest.json"));
    for key in ["seed", "batches_per_epoch", "images_per_step"] {
        assert!(state.as_object_mut().unwrap().remove(key).is_some(), "{key}");
    }
    let state = serde_json::to_vec(&state).unwrap();
    let digest: String = Sha256::digest(&state).iter().map(|byte| format!("{byte:02x}")).collect();
    manifest["sha256"]["state.json"] = digest.into();
    write("state.json", &state);
    write("manifest.json", &serde_json::to_vec(&manifest).unwrap());
}

/// Sets the parameters called `name` to `value` in a network of a checkpoint, whose manifest is then right again.
fn spoil(checkpoint: &Path, file: &str, blank: Supernet, name: &'static str, value: f32) {
    struct Spoil(Vec<String>, &'static str, f32);
    impl ModuleMapper for Spoil {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let is_it = self.0.last().is_some_and(|name| name == self.1);
            if is_it { parameter.map(|tensor| tensor.full_like(self.2)) } else { parameter }
        }
    }
    let path = checkpoint.join(file);
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(std::fs::read(&path).unwrap())).unwrap();
    let spoilt = blank.try_load_record(record).unwrap().map(&mut Spoil(Vec::new(), name, value));
    let bytes = spoilt.into_record().into_bytes().unwrap().to_vec();
    std::fs::write(&path, &bytes).unwrap();
    let manifest = checkpoint.join("manifest.json");
    let mut noted: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    noted["sha256"][file] = hex::encode(Sha256::digest(&bytes)).into();
    std::fs::write(manifest, serde_json::to_vec(&noted).unwrap()).unwrap();
}

#[test]
fn c5_a_checkpoint_with_what_no_training_leaves_is_refused_by_every_reader() {
    let mut bench = Bench::new();
    bench.recipe.average_decay = Some(0.5);
    let blank = || SupernetConfig::new(bench.space.clone()).unwrap().init(&Device::flex());
    for (file, name, value, problem) in [
        ("weights.bpk", "running_variance", -0.5, "number 0 is -0.5, a variance below zero"),
        ("teacher.bpk", "weight", f32::NAN, "number 0 is NaN, not finite"),
        ("average.bpk", "classifier_bias", f32::INFINITY, "number 0 is inf, not finite"),
    ] {
        let root = tempfile::tempdir().unwrap();
        assert!(bench.train(Some(root.path()), &mut StopAfter { steps: 5, damaged: 0 }).is_err());
        let checkpoints = CheckpointDir::new(root.path(), 2);
        let newest = checkpoints.newest_path().unwrap().unwrap();
        spoil(&newest, file, blank(), name, value);
        let message = bench.train(Some(root.path()), &mut ()).err().unwrap().to_string();
        let names_it = message.starts_with(&newest.join(file).display().to_string()) && message.contains(name);
        assert!(names_it && message.contains(problem), "{message}");
        assert!(message.contains("remove this checkpoint to go on from the one before it"), "{message}");
        // Outside training, what was being measured is read.
        let alone = checkpoints.supernet(blank());
        assert_eq!(alone.is_err(), file == "average.bpk");
        std::fs::remove_dir_all(newest).unwrap();
        bench.train(Some(root.path()), &mut ()).unwrap();
    }
}

#[test]
fn weights_that_a_step_breaks_are_an_error_and_not_saved() {
    let mut bench = Bench::new();
    bench.checkpoint_steps = Some(1);
    for phase in &mut bench.schedule.phases {
        (phase.learning_rate, phase.warmup_epochs) = (1e39, 0.0);
    }
    let root = tempfile::tempdir().unwrap();
    let error = bench.train(Some(root.path()), &mut ()).err().unwrap();
    let message = error.to_string();
    assert!(matches!(error, TrainError::NonFiniteLoss { loss, step: 1, .. } if loss.is_finite()), "{message}");
    assert!(message.contains("weights are not finite") && message.contains("training.start"), "{message}");
    let blank = SupernetConfig::new(bench.space.clone()).unwrap().init(&Device::flex());
    assert!(CheckpointDir::new(root.path(), 1).supernet(blank).unwrap().is_none());
}

#[test]
fn the_best_is_written_before_the_newest() {
    let mut bench = Bench::new();
    bench.watch_epochs = Some(1);
    let root = tempfile::tempdir().unwrap();
    // A file blocks the newest checkpoint, so training ends where a kill might have ended it.
    std::fs::write(root.path().join("stage00-epoch0001-step000000.unfinished"), "").unwrap();
    let error = bench.train(Some(root.path()), &mut ()).err().unwrap();
    assert!(matches!(error, TrainError::Directory(_)), "{error}");
    assert!(root.path().join("best/weights.bpk").exists());
}

#[test]
fn a_teacher_that_cannot_judge_the_images_is_refused_where_it_teaches() {
    let mut bench = Bench::new();
    let space = SearchSpace::small_mobilenet_v3(1, 7);
    bench.teacher = Some(SupernetConfig::new(space).unwrap().init(&Device::flex()));
    let full = bench.schedule.phases.remove(0);
    let error = bench.train(None, &mut ()).err().unwrap();
    assert!(matches!(error, TrainError::UnfitTeacher { .. }), "{error}");
    bench.schedule.phases = vec![full];
    bench.train(None, &mut ()).unwrap();
}
