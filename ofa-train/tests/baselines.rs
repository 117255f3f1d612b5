//! The searches that once-for-all networks are compared with: on tables that decide accuracies, where the best network
//! is known, and on images, where a search that is stopped goes on bit for bit.

mod common;

use burn::tensor::Device;
use common::{BATCH, SEED};
use ofa_data::{AugmentConfig, FashionMnist, Loader, LoaderConfig, Splits, View};
use ofa_model::{ChoiceCosts, ChoiceGroups, Mixture, SearchSpace};
use ofa_train::baselines::*;
use ofa_train::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// A task in which a table decides accuracies. The cross-entropy of a mixture falls with the mean accuracy of its networks.
struct Table {
    costs: ChoiceCosts,
    /// Accuracy that each choice adds where it is in use.
    adds: Vec<Vec<f64>>,
    macs: f64,
}

const BATCHES: u64 = 20;

impl Table {
    fn new(space: &SearchSpace, seed: u64) -> Self {
        let groups = ChoiceGroups::new(space, 28).unwrap();
        // Thousandths of MMACs, as milliseconds of a fast device: less than one.
        let costs = ChoiceCosts::macs(space, &groups).scaled(2e-7, 0.0);
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut adds = groups.filled(0.0);
        for group in &mut adds {
            // What costs more tends to be better.
            group.iter_mut().enumerate().for_each(|(i, add)| *add = 0.01 * i as f64 + rng.random_range(0.0..0.02));
        }
        Self { costs, adds, macs: 0.0 }
    }

    fn accuracy_of(&self, choices: &[usize]) -> f64 {
        let used = self.costs.groups().in_use(choices);
        let adds = self.adds.iter().zip(choices).zip(used).filter(|(_, used)| *used);
        0.5 + adds.map(|((adds, &choice), _)| adds[choice]).sum::<f64>()
    }

    fn target(&self, share: f64) -> SearchTarget {
        let [low, high] = self.costs.range();
        SearchTarget { limit: low + share * (high - low), unit: "ms".into() }
    }

    /// All networks, those that differ only in blocks that do not exist once each.
    fn networks(&self) -> Vec<Vec<usize>> {
        let all = combinations(&self.costs.groups().sizes());
        let is_plain = |choices: &Vec<usize>| {
            let used = self.costs.groups().in_use(choices);
            choices.iter().zip(used).all(|(&choice, used)| used || choice == 0)
        };
        all.into_iter().filter(is_plain).collect()
    }

    fn best(&self, target: &SearchTarget) -> Vec<usize> {
        let within = self.networks().into_iter().filter(|network| self.costs.of(network) <= target.limit);
        within.max_by(|a, b| self.accuracy_of(a).total_cmp(&self.accuracy_of(b))).unwrap()
    }

    /// Whether `found` is within the target and differs from the best network in at most one choice, not counting
    /// blocks that only one of them has.
    fn is_best_or_beside(&self, found: &Found, target: &SearchTarget) -> bool {
        let (found, best) = (self.costs.groups().choices(&found.arch).unwrap(), self.best(target));
        let both = self.costs.groups().in_use(&found).into_iter().zip(self.costs.groups().in_use(&best));
        let differ = found.iter().zip(&best).zip(both).filter(|((a, b), both)| a != b && *both == (true, true));
        differ.count() <= 1 && self.costs.of(&found) <= target.limit
    }
}

/// All lists of indices below `sizes`.
fn combinations(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![vec![]], |lists, &size| {
        let longer = |list: &Vec<usize>| (0..size).map(|i| [list.as_slice(), &[i]].concat()).collect::<Vec<_>>();
        lists.iter().flat_map(longer).collect()
    })
}

impl SearchTask for Table {
    fn costs(&self) -> &ChoiceCosts {
        &self.costs
    }

    fn batches(&self) -> u64 {
        BATCHES
    }

    fn held_out_batches(&self) -> u64 {
        BATCHES / 2
    }

    fn batch_size(&self) -> usize {
        64
    }

    fn restart(&mut self, _: u64, _: f32) {}

    fn learn(&mut self, _: &Mixture, _: u64, _: f64) -> Result<StepNumbers, TrainError> {
        self.macs += 1.0;
        Ok(StepNumbers { subnets: 1, images: 64, loss: 1.0, ..StepNumbers::default() })
    }

    fn judge(&mut self, mixture: &Mixture, _: u64) -> Result<Judged, TrainError> {
        // Accuracy is a polynomial of the weights: each block counts as often as a depth reaches it.
        let of = |group: usize| mixture.gates[group].choices.iter().zip(&mixture.gates[group].weights);
        let sum = |group: usize| of(group).map(|(&choice, weight)| weight * self.adds[group][choice]).sum::<f64>();
        let slopes =
            |group: usize, share: f64| of(group).map(|(&choice, _)| -3.0 * share * self.adds[group][choice]).collect();
        let mut gradients: Vec<Vec<f64>> = vec![Vec::new(); mixture.gates.len()];
        let mut accuracy = 0.5;
        for stage in self.costs.groups().stages() {
            accuracy += sum(stage.first);
            gradients[stage.first] = slopes(stage.first, 1.0);
            for (b, block) in stage.blocks().enumerate() {
                let reaches = |&choice: &usize| stage.depths[choice] > b;
                let reached =
                    of(stage.first).filter(|(choice, _)| reaches(choice)).map(|(_, weight)| weight).sum::<f64>();
                accuracy += reached * sum(block);
                gradients[block] = slopes(block, reached);
                let depths = of(stage.first).zip(&mut gradients[stage.first]);
                depths.filter(|((choice, _), _)| reaches(choice)).for_each(|(_, slope)| *slope -= 3.0 * sum(block));
            }
        }
        let loss = 3.0 * (1.0 - accuracy);
        Ok(Judged { loss, gradients })
    }

    fn accuracy(&mut self, choices: &[usize]) -> Result<f64, TrainError> {
        Ok(self.accuracy_of(choices))
    }

    fn accuracy_alone(&mut self, choices: &[usize], _: &WeightRates, sample: u64) -> Result<f64, TrainError> {
        self.macs += 1.0;
        // A brief training is a noisy measurement.
        let noise = ChaCha8Rng::seed_from_u64(sample).random_range(-0.002..0.002);
        Ok(self.accuracy_of(choices) + noise)
    }

    fn macs(&self) -> f64 {
        self.macs
    }

    fn files(&self) -> Result<BTreeMap<&'static str, Vec<u8>>, TrainError> {
        Ok(BTreeMap::from([("macs", self.macs.to_string().into_bytes())]))
    }

    fn restore(&mut self, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), TrainError> {
        self.macs = String::from_utf8(files.remove("macs").unwrap()).unwrap().parse().unwrap();
        Ok(())
    }
}

/// 400 networks in two stages.
fn few_networks() -> SearchSpace {
    let mut space = SearchSpace::small_mobilenet_v3(1, 10);
    space.stages.truncate(2);
    for stage in &mut space.stages {
        (stage.depths, stage.kernel_sizes) = (vec![1, 2], vec![3, 5]);
        stage.expand_ratios.remove(1);
    }
    space
}

const RATES: WeightRates = WeightRates { epochs: 60, learning_rate: 0.1, batch_size: 64, weight_decay: 0.0 };

fn proxyless_nas() -> ProxylessNas {
    ProxylessNas {
        warmup_epochs: 1,
        weights: RATES,
        choices: AdamConfig { learning_rate: 0.03, ..ProxylessNas::published().choices },
        weight_steps: 1,
        latency: LatencyLoss::AddAbove { lambda: 0.5 },
        ..ProxylessNas::published()
    }
}

fn fbnet() -> FbNet {
    FbNet { weights: RATES, warmup_epochs: 5, betas: vec![1.0, 1.5, 2.0, 2.5, 3.0], drawn: 100, ..FbNet::published() }
}

fn mnas_net() -> MnasNet {
    // A smaller controller, so that the test takes seconds.
    let controller = ControllerConfig { hidden: 16, ..ControllerConfig::ppo() };
    let policy = Policy::Controller(ControllerConfig {
        optimizer: AdamConfig { learning_rate: 3e-3, ..controller.optimizer },
        ..controller
    });
    MnasNet { policy, samples: 600, exponents: [0.0, -1.0], finalists: 5, ..MnasNet::published() }
}

/// Runs a search on tables of ten seeds and counts how often it finds the best network or one beside it.
fn times_found(method: &impl SearchMethod) -> usize {
    let found = |seed: &u64| {
        let mut table = Table::new(&few_networks(), *seed);
        let target = table.target(0.4);
        let run = SearchRun { target: &target, seed: *seed, checkpoints: None };
        let found = find(method, &mut table, &run, &mut ()).unwrap();
        assert!(found.cost <= target.limit && found.macs > 0.0);
        table.is_best_or_beside(&found, &target)
    };
    (1..=10).filter(found).count()
}

#[test]
fn proxyless_nas_finds_the_best_network_of_a_table_or_one_beside_it() {
    let times = times_found(&proxyless_nas());
    assert!(times >= 9, "{times} of 10");
}

#[test]
fn fbnet_finds_the_best_network_of_a_table_or_one_beside_it() {
    let times = times_found(&fbnet());
    assert!(times >= 9, "{times} of 10");
}

#[test]
fn mnas_net_finds_the_best_network_of_a_table_or_one_beside_it() {
    let times = times_found(&mnas_net());
    assert!(times >= 9, "{times} of 10");
}

#[test]
fn the_controller_beats_random_search_at_equal_samples() {
    let controller = MnasNet { samples: 500, finalists: 1, ..mnas_net() };
    let random = MnasNet { policy: Policy::Uniform, ..controller.clone() };
    let wins = (1..=10).filter(|&seed| {
        let accuracy = |method: &MnasNet| {
            let mut table = Table::new(&SearchSpace::small_mobilenet_v3(1, 10), seed);
            let target = table.target(0.4);
            let found = find(method, &mut table, &SearchRun { target: &target, seed, checkpoints: None }, &mut ());
            let found = found.unwrap();
            assert!(found.cost <= target.limit && found.records.len() == 500);
            table.accuracy_of(&table.costs.groups().choices(&found.arch).unwrap())
        };
        accuracy(&controller) > accuracy(&random)
    });
    let wins = wins.count();
    assert!(wins >= 9, "{wins} of 10");
}

#[test]
fn what_makes_no_sense_is_refused_before_the_first_step() {
    fn message(method: &impl SearchMethod, limit: f64) -> String {
        let mut table = Table::new(&few_networks(), 1);
        let target = SearchTarget { limit, unit: "ms".into() };
        let error = find(method, &mut table, &SearchRun { target: &target, seed: 1, checkpoints: None }, &mut ());
        assert_eq!(table.macs, 0.0);
        error.unwrap_err().to_string()
    }
    let table = Table::new(&few_networks(), 1);
    let [least, most] = table.costs.range();
    let low = message(&proxyless_nas(), least * 0.9);
    let arch = few_networks().smallest().at_resolution(28);
    assert!(
        low.starts_with("ProxylessNAS: the target of ") && low.contains(&format!("cheapest network, {arch}")),
        "{low}"
    );
    let high = message(&fbnet(), most);
    assert!(high.contains("excludes nothing: the largest network, r28-k5e6.k5e6-k5e6.k5e6, takes"), "{high}");
    assert!(message(&mnas_net(), f64::NAN).contains("NaN ms, which is no number"));
    let middle = 0.5 * (least + most);
    assert!(message(&ProxylessNas { weight_steps: 0, ..proxyless_nas() }, middle).contains("0 steps of the weights"));
    assert!(message(&FbNet { betas: vec![], ..fbnet() }, middle).contains("0 values of beta"));
    assert!(message(&FbNet { temperatures: [5.0, 0.0], ..fbnet() }, middle).contains("a temperature is 0"));
    let random = MnasNet { policy: Policy::Uniform, samples: 0, ..mnas_net() };
    assert!(message(&random, middle).starts_with("random search: it has 0 samples"));
    assert!(
        message(&MnasNet { exponents: [0.1, 0.0], ..mnas_net() }, middle).contains("exponent of its reward is 0.1")
    );
}

/// Stops after each step.
struct EachStep {
    resumed: usize,
}

impl TrainObserver for EachStep {
    fn resumed(&mut self, _: &str, _: usize, step: usize, _: &[DamagedCheckpoint]) {
        self.resumed = step;
    }

    fn should_stop(&self) -> bool {
        true
    }
}

/// Images, loaders and costs of a search that takes seconds.
struct Images {
    space: SearchSpace,
    costs: ChoiceCosts,
    splits: Splits,
    loaders: [Loader; 2],
    recipe: Recipe,
}

impl Images {
    fn new() -> Self {
        let mut space = few_networks();
        space.resolutions = vec![8];
        let costs = ChoiceCosts::macs(&space, &ChoiceGroups::new(&space, 8).unwrap());
        let splits = FashionMnist::embedded(SEED).unwrap();
        let loader = |set: &ofa_data::ImageSet| {
            let view = View::Train(AugmentConfig::small_images());
            let config = LoaderConfig { batch_size: BATCH, seed: SEED, view, drop_last: true, prefetch: 2 };
            Loader::new(set.subset(2 * BATCH, SEED), config, splits.normalisation()).unwrap()
        };
        let loaders = [loader(&splits.train), loader(&splits.validation)];
        // With everything that may be random.
        let recipe = Recipe { dropout: 0.1, clip_norm: Some(1.0), ..Recipe::default() };
        Self { space, costs, splits, loaders, recipe }
    }

    fn evaluator(&self) -> Evaluator {
        let images = self.splits.validation.subset(40, SEED);
        Evaluator::new(images.clone(), images, 20, &self.splits.normalisation(), &Device::flex())
    }

    /// Runs a search; gives the network found and a digest of all weights.
    fn find(
        &self,
        method: &impl SearchMethod,
        checkpoints: Option<&CheckpointDir>,
        observer: &mut dyn TrainObserver,
    ) -> Result<(Found, String), TrainError> {
        let (device, mut evaluator) = (Device::flex(), self.evaluator());
        let ground = SearchGround {
            space: &self.space,
            costs: &self.costs,
            recipe: &self.recipe,
            images: &self.loaders[0],
            held_out: &self.loaders[1],
            seed: SEED,
            device: &device,
        };
        let mut task = CandidateTask::new(ground, &mut evaluator)?;
        let [low, high] = self.costs.range();
        let target = SearchTarget { limit: 0.5 * (low + high), unit: "MACs".into() };
        let found = find(method, &mut task, &SearchRun { target: &target, seed: SEED, checkpoints }, observer)?;
        Ok((Found { seconds: 0.0, ..found }, weights_sha256(task.network())))
    }
}

/// Stops a search after each step and resumes it in a new process, so to speak.
fn stopped_after_each_step(method: &impl SearchMethod) -> [(Found, String); 2] {
    let (images, root) = (Images::new(), tempfile::tempdir().unwrap());
    let unbroken = images.find(method, None, &mut ()).unwrap();
    let checkpoints = CheckpointDir::new(root.path(), 2);
    for stops in 0..100 {
        let mut observer = EachStep { resumed: 0 };
        match images.find(method, Some(&checkpoints), &mut observer) {
            Ok(found) => return [unbroken, found],
            Err(TrainError::SearchInterrupted { step, .. }) => {
                assert_eq!(step as usize, observer.resumed + 1, "{stops}")
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no progress")
}

const SHORT: WeightRates = WeightRates { epochs: 3, learning_rate: 0.05, batch_size: BATCH, weight_decay: 1e-4 };

#[test]
fn a_stopped_proxyless_nas_goes_on_bit_for_bit() {
    let method = ProxylessNas { weights: SHORT, ..proxyless_nas() };
    let [unbroken, resumed] = stopped_after_each_step(&method);
    assert_eq!(unbroken, resumed);
    assert_eq!(unbroken.0.records.len(), 4, "a record per epoch");
}

#[test]
fn a_stopped_fbnet_goes_on_bit_for_bit() {
    let method = FbNet { weights: SHORT, warmup_epochs: 1, betas: vec![0.1, 0.6], drawn: 2, ..fbnet() };
    let [unbroken, resumed] = stopped_after_each_step(&method);
    assert_eq!(unbroken, resumed);
    assert_eq!(unbroken.0.records.len(), 6, "a record per epoch of both rounds");
}

#[test]
fn a_stopped_mnas_net_goes_on_bit_for_bit() {
    let controller = ControllerConfig { batch: 2, ..ControllerConfig::ppo() };
    let once = WeightRates { epochs: 1, ..SHORT };
    let method = MnasNet {
        policy: Policy::Controller(controller),
        samples: 5,
        proxy: once,
        finalists: 2,
        final_training: WeightRates { epochs: 2, ..SHORT },
        ..mnas_net()
    };
    let [unbroken, resumed] = stopped_after_each_step(&method);
    assert_eq!(unbroken, resumed);
    // Five networks for an epoch of 32 images and two for two, and 80 images for each accuracy.
    let smallest = unbroken.0.records.iter().map(|record| record.cost).fold(f64::INFINITY, f64::min);
    let largest = unbroken.0.records.iter().map(|record| record.cost).fold(0.0, f64::max);
    let (passes, found) = (5.0 * (96.0 + 80.0), unbroken.0.macs);
    assert!(found > passes * smallest && found < (passes + 2.0 * (192.0 + 80.0)) * largest, "{found}");
}

#[test]
fn a_checkpoint_of_another_search_is_refused() {
    let (images, root) = (Images::new(), tempfile::tempdir().unwrap());
    let checkpoints = CheckpointDir::new(root.path(), 2);
    let method = ProxylessNas { weights: SHORT, ..proxyless_nas() };
    let stopped = images.find(&method, Some(&checkpoints), &mut EachStep { resumed: 0 }).unwrap_err().to_string();
    assert_eq!(stopped, "interrupted in the search by ProxylessNAS after step 1 of 8");
    let other = ProxylessNas { weight_steps: 2, ..method };
    let error = images.find(&other, Some(&checkpoints), &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::OtherSchedule { .. }), "{error}");
}

#[test]
fn divergence_ends_a_search_but_is_only_a_bad_sample_of_mnas_net() {
    let images = Images::new();
    let wild = WeightRates { epochs: 1, learning_rate: 1e30, ..SHORT };
    let method = ProxylessNas { warmup_epochs: 0, weights: wild, ..proxyless_nas() };
    let error = images.find(&method, None, &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::NonFiniteSearch { method: "ProxylessNAS", .. }), "{error}");
    let method = MnasNet { policy: Policy::Uniform, samples: 2, proxy: wild, finalists: 1, ..mnas_net() };
    let (found, _) = images.find(&method, None, &mut ()).unwrap();
    assert!(found.records.iter().all(|record| record.score == 0.0), "{:?}", found.records);
}
