//! The configuration of the comparison: one TOML file, frozen with the first cell.

use crate::ablation::config::check_factors;
use crate::config::{ExperimentConfig, twice};
use anyhow::{Context, Result, bail, ensure};
use ofa_model::{Arch, read_text};
use ofa_train::baselines::{FbNet, MnasNet, Policy, ProxylessNas, WeightRates};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that decides what is trained and how it is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignConfig {
    /// The question asked, in one sentence.
    pub question: String,
    /// Latency targets, as shares of the way from the cheapest network by the table (0) to the most expensive (1).
    pub targets: Vec<f64>,
    /// Seeds of every cell.
    pub seeds: Vec<u64>,
    /// Index of the target at which more seeds and all budgets are run, and rates chosen; the others have `seeds` and
    /// budget 1.
    pub repeated_target: usize,
    /// The further seeds there.
    #[serde(default)]
    pub more_seeds: Vec<u64>,
    /// Seed of the trials that choose a rate; none of the others.
    pub trial_seed: u64,
    /// The latency table that is the input of every method, for the space of `base`. If absent, it is measured in the
    /// directory before the first cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_table: Option<PathBuf>,
    /// The one recipe by which every found network is trained alone.
    pub final_training: WeightRates,
    /// How the comparison is judged.
    pub rule: DesignRule,
    /// The once-for-all network.
    pub ofa: OfaDesign,
    /// What it is compared with.
    pub methods: Vec<Method>,
    /// Images, space, recipe, batch, tables and, as its schedule, the training of the once-for-all network.
    pub base: ExperimentConfig,
}

/// When a method is called as good, and the ratios as published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignRule {
    /// A budget is enough if the mean validation accuracy of its networks is at most this far below that of OFA's at the
    /// same target, as a share (0.003 are 0.3 points).
    pub tolerance: f64,
    /// Number of scenarios at which ratios are judged.
    pub scenarios: u32,
    /// A ratio is `as published` if it is at least the published one divided by this factor.
    pub within_factor: f64,
}

/// How a once-for-all network answers a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfaDesign {
    /// Directory with a `seed-N` per seed, each with a `supernet` and the `cell.json` of what its training cost: the
    /// cells of an arm of `ablate_shrinking` that begins with random weights. If absent, the schedule of `base` is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supernets: Option<PathBuf>,
    /// Queries of the evolutionary search to the accuracy predictor per target.
    pub queries: u64,
    /// Factors on the learning rates of the schedule, of which one is chosen; as [`Method::factors`]. Must be empty with
    /// `supernets`, whose trials are the `select-F` cells beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<f64>,
}

/// A method that designs each network anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Name, also of its directory.
    pub name: String,
    /// Budgets as multiples of the configured lengths, ascending; 1 must be among them. Search and training both scale.
    pub budgets: Vec<f64>,
    /// Factors on the rate by which it learns choices. With each of them it is run once, at `repeated_target` with
    /// `trial_seed`; the one whose network is best on validation images is used, and all are charged. Empty for 1, untried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<f64>,
    /// Indices of the targets it is run at; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<usize>>,
    /// Seeds at every target and budget, in place of those of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// Training images that the search uses, and the same share of the held-out ones; all if absent. The found network is
    /// always trained on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// How many times dearer than OFA the article says it is at 40 scenarios; absent for controls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<f64>,
    /// Samples of the published search, to which that of ours is extrapolated linearly; absent if it is not shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_samples: Option<u64>,
    /// What it does.
    pub designer: Designer,
}

/// How a network is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Designer {
    /// [`ProxylessNas`]
    ProxylessNas(ProxylessNas),
    /// [`FbNet`]
    FbNet(FbNet),
    /// [`MnasNet`], or random search by training
    MnasNet(MnasNet),
    /// No search: a random network whose latency is at most the target and at least this share of it.
    RandomInBand(f64),
    /// No search: this network for every target, trained once.
    Fixed(String),
}

impl Method {
    /// The designer with search and training scaled to a budget, and the rate of its choices multiplied by `factor`.
    pub(super) fn at(&self, budget: f64, factor: f64) -> Designer {
        let scaled = |epochs: usize| ((epochs as f64 * budget).round() as usize).max(1);
        let mut designer = self.designer.clone();
        match &mut designer {
            Designer::ProxylessNas(method) => {
                method.warmup_epochs = (method.warmup_epochs as f64 * budget).round() as usize;
                method.weights.epochs = scaled(method.weights.epochs);
                method.choices.learning_rate *= factor;
            }
            Designer::FbNet(method) => {
                method.warmup_epochs = (method.warmup_epochs as f64 * budget).round() as usize;
                method.weights.epochs = scaled(method.weights.epochs).max(method.warmup_epochs + 1);
                method.choices.learning_rate *= factor;
            }
            Designer::MnasNet(method) => {
                method.samples = scaled(method.samples as usize) as u64;
                if let Policy::Controller(controller) = &mut method.policy {
                    controller.optimizer.learning_rate *= factor;
                }
            }
            Designer::RandomInBand(_) | Designer::Fixed(_) => {}
        }
        designer
    }

    /// Whether its networks are for all targets together.
    pub(super) fn is_once(&self) -> bool {
        matches!(self.designer, Designer::Fixed(_))
    }

    /// Whether it has a rate that trials can choose.
    fn learns_choices(&self) -> bool {
        match &self.designer {
            Designer::ProxylessNas(_) | Designer::FbNet(_) => true,
            Designer::MnasNet(method) => matches!(method.policy, Policy::Controller(_)),
            Designer::RandomInBand(_) | Designer::Fixed(_) => false,
        }
    }
}

impl DesignConfig {
    /// Name of the cells of the once-for-all network.
    pub const OFA: &str = "ofa";

    /// Reads and validates a configuration file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has an unknown or missing key or an invalid value; the error names the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Parses and validates a configuration.
    ///
    /// # Errors
    ///
    /// If a key is unknown or missing, or a value is invalid.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.validate()?;
        Ok(config)
    }

    /// The configuration as TOML, with every key.
    ///
    /// # Errors
    ///
    /// If a path in it is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).context("the configuration cannot be written as TOML")
    }

    /// Seeds of the cells of a method at a target and budget.
    pub fn seeds_at(&self, method: &Method, target: usize, budget: f64) -> Vec<u64> {
        if let Some(own) = &method.seeds {
            return own.clone();
        }
        let more = if target == self.repeated_target && budget == 1.0 { self.more_seeds.as_slice() } else { &[] };
        [self.seeds.as_slice(), more].concat()
    }

    /// Targets that a method is run at with a budget.
    pub fn targets_at(&self, method: &Method, budget: f64) -> Vec<usize> {
        if method.is_once() {
            return vec![0];
        }
        let mut targets = method.targets.clone().unwrap_or_else(|| (0..self.targets.len()).collect());
        if budget != 1.0 {
            targets.retain(|&target| target == self.repeated_target);
        }
        targets
    }

    /// Targets at which its budgets are compared.
    pub fn compared_targets(&self, method: &Method) -> Vec<usize> {
        let at = |&budget: &f64| self.targets_at(method, budget);
        method.budgets.iter().map(at).min_by_key(Vec::len).unwrap_or_default()
    }

    /// Checks the values beyond their types.
    ///
    /// # Errors
    ///
    /// If a value is invalid; the error names the key and the value.
    pub fn validate(&self) -> Result<()> {
        self.base.validate()?;
        ensure!(!self.base.fine_tune.int8, "base.fine_tune.int8: networks are compared as real numbers here");
        ensure!(
            self.base.tables.latency_device.is_none(),
            "base.tables.latency_device is set, but whole networks are timed on `device` here: give the table of another \
             device as latency_table"
        );
        let targets = &self.targets;
        ensure!(!targets.is_empty() && !self.seeds.is_empty(), "targets and seeds must each have an entry");
        if let Some(target) = targets.iter().find(|target| !(0.0..1.0).contains(*target)) {
            bail!("targets has {target}, but must be at least 0 and below 1: at 1 the largest network is allowed");
        }
        let at = self.repeated_target;
        ensure!(at < targets.len(), "repeated_target is {at}, but there are {} targets", targets.len());
        if let Some(seed) = twice(&[self.seeds.as_slice(), &self.more_seeds].concat()) {
            bail!("seed {seed} occurs twice in seeds and more_seeds");
        }
        let reported = self.methods.iter().filter_map(|method| method.seeds.as_ref()).flatten();
        if self.seeds.iter().chain(&self.more_seeds).chain(reported).any(|seed| *seed == self.trial_seed) {
            bail!("trial_seed {} is a reported seed: rates would be chosen by results", self.trial_seed);
        }
        self.check_trials()?;
        let rule = &self.rule;
        ensure!(
            rule.tolerance >= 0.0 && rule.scenarios > 0 && rule.within_factor >= 1.0,
            "rule: tolerance is {}, scenarios is {} and within_factor is {}, but they must be at least 0, 1 and 1",
            rule.tolerance,
            rule.scenarios,
            rule.within_factor
        );
        if let Some(name) = twice(&self.methods.iter().map(|method| &method.name).collect::<Vec<_>>()) {
            bail!("two methods are called `{name}`");
        }
        self.methods
            .iter()
            .try_for_each(|method| self.check(method).with_context(|| format!("method `{}`", method.name)))
    }

    fn check_trials(&self) -> Result<()> {
        ensure!(
            self.ofa.supernets.is_none() || self.ofa.factors.is_empty(),
            "ofa.factors must be empty with ofa.supernets: their rates are chosen already"
        );
        let ofa = (!self.ofa.factors.is_empty()).then_some((Self::OFA, &self.ofa.factors));
        let methods = self.methods.iter().map(|method| (method.name.as_str(), &method.factors));
        let tried: Vec<(&str, &Vec<f64>)> = ofa.into_iter().chain(methods.filter(|(_, all)| !all.is_empty())).collect();
        for (name, factors) in &tried {
            check_factors(factors).with_context(|| format!("`{name}`"))?;
            let (first, number) = (tried[0].0, tried[0].1.len());
            ensure!(
                factors.len() == number,
                "`{name}` has {} factors and `{first}` {number}: everyone gets the same number of trials",
                factors.len()
            );
        }
        Ok(())
    }

    fn check(&self, method: &Method) -> Result<()> {
        let fine = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        ensure!(
            !method.name.is_empty() && method.name != Self::OFA && method.name.chars().all(fine),
            "{}, and `{}` is taken",
            crate::ablation::config::NAMES,
            Self::OFA
        );
        let budgets = &method.budgets;
        ensure!(
            budgets.contains(&1.0) && budgets.iter().all(|budget| *budget > 0.0) && budgets.is_sorted(),
            "budgets is {budgets:?}, but must be positive, ascending and contain 1"
        );
        let targets = self.targets_at(method, 1.0);
        ensure!(
            !targets.is_empty() && targets.iter().all(|&target| target < self.targets.len()),
            "targets is {targets:?}, but must be indices below {}",
            self.targets.len()
        );
        ensure!(
            targets.contains(&self.repeated_target)
                || method.is_once()
                || (budgets.len() == 1 && method.factors.is_empty()),
            "targets is {targets:?}, but several budgets and factors are run at repeated_target, {}",
            self.repeated_target
        );
        ensure!(
            method.factors.is_empty() || method.learns_choices(),
            "factors is {:?}, but it learns no choices",
            method.factors
        );
        if let Some(seeds) = method.seeds.as_ref().filter(|seeds| seeds.is_empty() || twice(seeds).is_some()) {
            bail!("seeds is {seeds:?}, but must have different seeds, at least one");
        }
        let batch = self.base.training.batch_size;
        if let Some(images) = method.images.filter(|images| *images < batch) {
            bail!("images is {images}, but must be at least one batch of {batch}");
        }
        match &method.designer {
            Designer::RandomInBand(share) => {
                ensure!((0.0..1.0).contains(share), "random_in_band is {share}, but must be at least 0 and below 1");
            }
            Designer::Fixed(arch) => self.base.space.check(&arch.parse::<Arch>()?)?,
            Designer::ProxylessNas(_) | Designer::FbNet(_) | Designer::MnasNet(_) => {}
        }
        Ok(())
    }
}
