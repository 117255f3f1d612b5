//! Finds a network for a target, trains it alone, and measures it.

use super::config::{DesignConfig, Designer, Method};
use super::meter::Meter;
use super::record::{Designed, Spent};
use super::setting::Setting;
use crate::run::ranks::Quiet;
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Tensor;
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, ChoiceCosts, ElasticNetwork, Subnet};
use ofa_search::timing::{Pacemaker, on_device, smallest_units, time_interleaved};
use ofa_train::baselines::{
    CandidateTask, Found, SearchGround, SearchMethod, SearchRecord, SearchRun, SearchTarget, find, trained_alone,
};
use ofa_train::{Recipe, TrainRun, train};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(super) const SEARCHED: &str = "search.json";
pub(super) const SEARCH: &str = "search";
pub(super) const TRAINING: &str = "training";
/// Draws of a random network within a band before it is given up.
const DRAWS: usize = 100_000;
/// Forward passes that a training step costs.
const PASSES: f64 = 3.0;

/// A network that a search ended with, kept until the cell is complete.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Searched {
    arch: String,
    spent: Spent,
    records: Vec<SearchRecord>,
}

/// What the design of one network works with.
pub(super) struct Desk<'a> {
    pub(super) design: &'a DesignConfig,
    pub(super) setting: &'a Setting,
    pub(super) dir: &'a RunDir,
    pub(super) stop: &'a Arc<AtomicBool>,
}

impl Desk<'_> {
    /// Designs a network for the target with this index, with `method` at a budget and with a factor on its rate.
    pub(super) fn design(&self, method: &Method, target: usize, [budget, factor]: [f64; 2]) -> Result<Designed> {
        let limit = self.setting.target(self.design, target);
        let searched = self.searched(&method.at(budget, factor), method.images, &limit)?;
        let arch: Arch = searched.arch.parse()?;
        let mut rates = self.design.final_training;
        rates.epochs = ((rates.epochs as f64 * budget).round() as usize).max(1);
        let recipe = Recipe { weight_decay: rates.weight_decay, ..self.setting.config.training.recipe };
        let Setting { config, images, device, space, .. } = self.setting;
        let loader = images.train_loader(config, &ofa_train::OneRank)?;
        let (macs, steps) = (space.cost(&arch).macs as f64, loader.batches_per_epoch() * rates.epochs);
        let trained = || {
            let subnet = Subnet::init(space.clone(), &arch, config.seed, &device.clone().autodiff())?;
            let (schedule, checkpoints) =
                (trained_alone(space, &arch, &rates), config.training.checkpoints(self.dir.path(TRAINING)));
            let run = TrainRun {
                seed: config.seed,
                checkpoints: Some(&checkpoints),
                ..TrainRun::new(&schedule, &recipe, &loader, device)
            };
            let mut validation = images.validation(config, device);
            Ok(train(subnet, &run, &mut validation, &mut Quiet(self.stop.clone()))?.supernet)
        };
        let macs = PASSES * macs * (steps * loader.images_per_step()) as f64;
        let (subnet, training) = Meter::start(self.dir, TRAINING)?.count(trained, |_| macs)?;
        let measured = measure(self.setting, &subnet.valid(), &arch)?;
        Ok(Designed {
            target,
            trained: "alone".into(),
            limit_ms: limit.limit,
            search: searched.spent,
            training,
            ..measured
        })
    }

    fn searched(&self, designer: &Designer, images: Option<usize>, target: &SearchTarget) -> Result<Searched> {
        if let Ok(text) = std::fs::read_to_string(self.dir.path(SEARCHED)) {
            return serde_json::from_str(&text).with_context(|| self.dir.path(SEARCHED).display().to_string());
        }
        let seed = self.setting.config.seed;
        let none = |arch: String| Searched { arch, spent: Spent::default(), records: Vec::new() };
        let searched = match designer {
            Designer::ProxylessNas(method) => self.find(method, images, target)?,
            Designer::FbNet(method) => self.find(method, images, target)?,
            Designer::MnasNet(method) => self.find(method, images, target)?,
            Designer::RandomInBand(share) => none(random_in_band(self.setting, target, *share, seed)?.to_string()),
            Designer::Fixed(arch) => none(arch.clone()),
        };
        self.dir.write_json(SEARCHED, &searched)?;
        self.dir.write_csv("search.csv", &searched.records)?;
        Ok(searched)
    }

    fn find(&self, method: &impl SearchMethod, images: Option<usize>, target: &SearchTarget) -> Result<Searched> {
        let [train, held_out] = self.setting.loaders(images)?;
        let Setting { config, images, device, space, costs, .. } = self.setting;
        let mut validation = images.validation(config, device);
        let (recipe, seed) = (&config.training.recipe, config.seed);
        let ground = SearchGround { space, costs, recipe, images: &train, held_out: &held_out, seed, device };
        let mut task = CandidateTask::new(ground, &mut validation)?;
        let checkpoints = config.training.checkpoints(self.dir.path(SEARCH));
        let run = SearchRun { target, seed, checkpoints: Some(&checkpoints) };
        let find = || Ok(find(method, &mut task, &run, &mut Quiet(self.stop.clone()))?);
        let (found, spent): (Found, Spent) = Meter::start(self.dir, SEARCH)?.count(find, |found| found.macs)?;
        // The search's own clock also counts sittings that were killed.
        let seconds = found.seconds.max(spent.seconds);
        Ok(Searched { arch: found.arch.to_string(), spent: Spent { seconds, ..spent }, records: found.records })
    }
}

/// A random network whose latency is between `share` of the target and the target.
fn random_in_band(setting: &Setting, target: &SearchTarget, share: f64, seed: u64) -> Result<Arch> {
    let rng = &mut stream(seed, Purpose::FreshSearch, &[]);
    let band = share * target.limit..=target.limit;
    let found =
        (0..DRAWS).map(|_| setting.space.sample(rng)).find(|arch| band.contains(&latency(&setting.costs, arch)));
    found.with_context(|| {
        format!(
            "none of {DRAWS} random networks takes between {:.4} and {:.4} ms: lower random_in_band",
            band.start(),
            band.end()
        )
    })
}

/// Latency of `arch` by the table.
pub(super) fn latency(costs: &ChoiceCosts, arch: &Arch) -> f64 {
    let choices = costs.groups().choices(arch).expect("an arch of the space at its one resolution");
    costs.of(&choices)
}

/// Calibrates and measures a network on validation and test images, and times it as a whole. What it cost is left open.
pub(super) fn measure(
    setting: &Setting,
    network: &impl ElasticNetwork<Subnet = Subnet>,
    arch: &Arch,
) -> Result<Designed> {
    let Setting { config, images, device, costs, table, .. } = setting;
    let validation_top1 = images.validation(config, device).top1(network, arch)?;
    let mut test = images.test(config, device);
    let subnet = test.calibrated(network, arch)?;
    let test_top1 = test.subnet_top1(&subnet)?;
    let settings = &config.tables.latency;
    let pixels = Tensor::ones([settings.batch, config.space.image_channels, arch.resolution, arch.resolution], device);
    let run = on_device(device, move || subnet.infer(pixels.clone()));
    let pace = |usual_ms| Pacemaker::at(smallest_units(&config.space, device, table.header().batch), usual_ms);
    let mut pacemaker = table.header().pace_ms.map(pace);
    let timings = time_interleaved(settings, &mut [run], pacemaker.as_mut())?;
    ensure!(timings.len() == 1, "one network was timed {} times", timings.len());
    Ok(Designed {
        target: 0,
        trained: String::new(),
        limit_ms: 0.0,
        arch: arch.to_string(),
        table_ms: latency(costs, arch),
        measured_ms: timings[0].at_usual_pace.median_ms,
        validation_top1,
        test_top1,
        search: Spent::default(),
        training: Spent::default(),
    })
}
