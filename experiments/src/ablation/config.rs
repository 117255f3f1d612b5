//! The configuration of an ablation: one TOML file.

use super::ladder::BudgetConfig;
use super::reported::{Reported, corners};
use super::selection::{Selection, check_factors};
use crate::config::{ExperimentConfig, twice};
use anyhow::{Context, Result, bail, ensure};
use ofa_model::{Arch, SearchSpace};
use ofa_train::{Sampler, ShrinkSchedule};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// Error message for a name that cannot name a directory.
pub(super) const NAMES: &str = "a name may contain only letters, digits, `-` and `_`, since it names a directory";

/// The complete configuration of an ablation. It is frozen when the run directory is created: the rule must be fixed
/// before the first result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AblationConfig {
    /// The question asked, in one sentence.
    pub question: String,
    /// What was tried before this configuration was written, and where it is recorded; it may have guided the choices
    /// below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<String>,
    /// Reporting seeds: each arm is trained once per seed. A seed sets the data split, the initial weights, image order
    /// and augmentation, and the sampled subnets, identically in all arms. If empty, learning rates are selected and
    /// nothing is reported.
    pub seeds: Vec<u64>,
    /// How each arm's learning rate is selected.
    pub selection: Selection,
    /// The subnets to compare.
    pub reported: Reported,
    /// How the verdict follows from the numbers.
    pub rule: Rule,
    /// The arms to compare.
    pub arms: Vec<Arm>,
    /// The ladder of budgets, from little compute to much. If empty, each arm trains once, for as long as its schedule
    /// says.
    #[serde(default, rename = "budget", skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetConfig>,
    /// What the arms share: images, space, optimizer. Each cell overrides its schedule, seed, start and teacher.
    pub base: ExperimentConfig,
}

/// One way to train the supernet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Name; also the name of its directory.
    pub name: String,
    /// One-line description for the report.
    pub description: String,
    /// Reporting seeds of this arm, if not all; each must be a seed of the ablation or of one of its budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// Factors on its learning rates to select from, instead of those of the selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factors: Option<Vec<f64>>,
    /// Earlier arm whose weights, for the same seed, initialise this one; random weights if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Earlier arm whose largest network, for the same seed, is the teacher in the stages that distil.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// Training stages.
    pub schedule: ShrinkSchedule,
}

/// The rule that turns the gap between two arms, averaged over reported corners and seeds, into a verdict. Exactly one
/// of `criteria` and `margin` must be given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The arm claimed to be better.
    pub treatment: String,
    /// The arm it is compared with.
    pub control: String,
    /// Further pairs of treatment and control that the same rule judges, at the budgets that train both. Their arms may
    /// be added later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_judged: Vec<[String; 2]>,
    /// Thresholds of the rule that uses Student's interval over seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criteria: Option<Criteria>,
    /// Rule of the first record: `reproduced` requires at least this gap, as a share of the images, and a bootstrap
    /// interval above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Coverage of all intervals, between 0.5 and 1.
    pub confidence: f64,
    /// Number of bootstrap samples, at least 100.
    pub bootstrap: usize,
    /// Further contrasts to report: treatment and control.
    #[serde(default)]
    pub contrasts: Vec<[String; 2]>,
}

/// Thresholds of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criteria {
    /// Smallest share of the control's errors that the treatment must eliminate for `reproduced`.
    pub error_reduction: f64,
    /// Arms are `equivalent` if the 90 % interval of their gap lies within this share of the images on either side of
    /// 0.
    pub equivalence: f64,
}

impl Default for Criteria {
    /// The smallest relative error reduction in the paper's table 1 (arXiv:1908.09791v1: 67.3 to 68.7 %), and 0.3
    /// points.
    fn default() -> Self {
        Self { error_reduction: 0.043, equivalence: 0.003 }
    }
}

impl AblationConfig {
    /// Reads and validates a configuration file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, has an unknown or missing key, or an impossible value; the message names the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Parses and validates a configuration.
    ///
    /// # Errors
    ///
    /// If a key is unknown or missing, or a value is impossible.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.validate()?;
        Ok(config)
    }

    /// The configuration as TOML, with every key that is set.
    ///
    /// # Errors
    ///
    /// If a path in the configuration is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).context("cannot write the configuration as TOML")
    }

    /// Looks up an arm by name.
    pub fn arm(&self, name: &str) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.name == name)
    }

    /// The reporting seeds of an arm.
    pub fn seeds_of<'a>(&'a self, arm: &'a Arm) -> &'a [u64] {
        arm.seeds.as_deref().unwrap_or(&self.seeds)
    }

    /// The pairs of treatment and control that the rule judges, the primary pair first. Pairs with an arm that does not
    /// exist are skipped.
    pub fn judged(&self) -> impl Iterator<Item = [&str; 2]> {
        let primary = [self.rule.treatment.as_str(), &self.rule.control];
        let others = self.rule.also_judged.iter().map(|pair| pair.each_ref().map(String::as_str));
        std::iter::once(primary).chain(others).filter(|pair| pair.iter().all(|name| self.arm(name).is_some()))
    }

    /// The arms that the rule judges, each once, in configuration order.
    pub fn judged_arms(&self) -> Vec<&Arm> {
        let judged: Vec<&str> = self.judged().flatten().collect();
        self.arms.iter().filter(|arm| judged.contains(&arm.name.as_str())).collect()
    }

    /// The arm and all earlier arms whose weights go into it, in configuration order: together they are its full cost.
    pub fn with_ancestors(&self, arm: &Arm) -> Vec<&Arm> {
        let mut needed = vec![arm.name.as_str()];
        for earlier in self.arms.iter().rev() {
            if needed.contains(&earlier.name.as_str()) {
                needed.extend(earlier.start.iter().chain(&earlier.teacher).map(String::as_str));
            }
        }
        self.arms.iter().filter(|arm| needed.contains(&arm.name.as_str())).collect()
    }

    /// Rejects values that the types allow but that make no sense.
    ///
    /// # Errors
    ///
    /// If a value is impossible; the message names the key and the value.
    pub fn validate(&self) -> Result<()> {
        self.base.validate().context("base")?;
        ensure!(
            !self.seeds.is_empty() || self.selection.chooses(),
            "seeds is empty and there is only one factor: nothing would be trained; add seeds or factors"
        );
        if let Some(twice) = twice(&self.seeds) {
            bail!("seed {twice} is listed twice");
        }
        self.selection.validate(&self.seeds).context("selection")?;
        self.reported.validate().context("reported")?;
        if let Some(twice) = twice(&self.arms.iter().map(|arm| &arm.name).collect::<Vec<_>>()) {
            bail!("there are two arms `{twice}`");
        }
        for (i, arm) in self.arms.iter().enumerate() {
            arm.validate(&self.arms[..i], self).with_context(|| format!("arm `{}`", arm.name))?;
        }
        self.rule.validate(self).context("rule")?;
        if let Some(twice) = twice(&self.budgets.iter().map(|budget| &budget.name).collect::<Vec<_>>()) {
            bail!("there are two budgets `{twice}`");
        }
        for budget in &self.budgets {
            budget.validate(self).with_context(|| format!("budget `{}`", budget.name))?;
        }
        Ok(())
    }
}

impl Arm {
    fn validate(&self, earlier: &[Self], whole: &AblationConfig) -> Result<()> {
        ensure!(names_a_directory(&self.name), "{NAMES}");
        check_factors(self.factors.as_deref().unwrap_or(&[1.0]))?;
        let all = whole.budgets.iter().flat_map(|budget| budget.seeds.iter().flatten()).chain(&whole.seeds);
        let all: Vec<&u64> = all.collect();
        if let Some(seed) = self.seeds.iter().flatten().find(|seed| !all.contains(seed)) {
            bail!("seed {seed} is not a reporting seed of the ablation or of a budget");
        }
        for (key, other) in [("start", &self.start), ("teacher", &self.teacher)] {
            if let Some(other) = other {
                ensure!(earlier.iter().any(|arm| arm.name == *other), "{key}: no earlier arm is named `{other}`");
            }
        }
        if let Some(name) = twice(&self.schedule.stages.iter().map(|stage| &stage.name).collect::<Vec<_>>()) {
            bail!("two stages are called `{name}`: costs are recorded per stage name, so rename one");
        }
        Ok(self.schedule.validate(&whole.base.space, self.teacher.is_some())?)
    }

    /// Whether the last stage trains this subnet of `space`; only those are reported.
    pub fn trains(&self, arch: &Arch, space: &SearchSpace) -> bool {
        self.schedule.stages.last().is_some_and(|stage| match &stage.sampler {
            Sampler::Fixed(archs) => archs.iter().any(|fixed| fixed.at_resolution(arch.resolution) == *arch),
            _ => stage.opened.of(space).check(arch).is_ok(),
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (self.criteria, self.margin) {
            (Some(criteria), _) => self.by_seeds(criteria, f),
            (None, margin) => self.by_bootstrap(margin.unwrap_or(0.0), f),
        }
    }
}

impl Rule {
    fn by_seeds(&self, criteria: Criteria, f: &mut fmt::Formatter) -> fmt::Result {
        let confidence = 100.0 * self.confidence;
        write!(
            f,
            "Gap: test top-1 of `{}` minus that of `{}`, averaged over the reported corners, with Student's \
             {confidence} % interval over seeds; p-values are adjusted for the number of verdicts (Holm). \
             `reproduced`: the interval is above 0, the adjusted p is below {:.2}, and the gap is at least {:.1} % of \
             the control's errors. `direction only`: the same, but with a smaller gap. `reversed`: the interval is \
             below 0 and the adjusted p is below {:.2}. `equivalent`: none of these, and the 90 % interval lies \
             within {:.1} points on either side of 0. `undecided`: everything else.",
            self.treatment,
            self.control,
            1.0 - self.confidence,
            100.0 * criteria.error_reduction,
            1.0 - self.confidence,
            100.0 * criteria.equivalence
        )
    }

    fn by_bootstrap(&self, margin: f64, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "Gap: test top-1 of `{}` minus that of `{}`, averaged over the reported corners and all seeds, with the \
             {} % percentile interval of {} bootstrap samples over seeds and test images. `reproduced`: the interval \
             is above 0 and the gap is at least {:.2} points. `direction only`: the interval is above 0, but the gap \
             is smaller. `not reproduced at this scale`: everything else.",
            self.treatment,
            self.control,
            100.0 * self.confidence,
            self.bootstrap,
            100.0 * margin
        )
    }

    fn validate(&self, config: &AblationConfig) -> Result<()> {
        let primary = [&self.treatment, &self.control];
        if let Some(name) =
            primary.into_iter().chain(self.contrasts.iter().flatten()).find(|name| config.arm(name).is_none())
        {
            bail!("there is no arm `{name}`");
        }
        ensure!(self.treatment != self.control, "treatment and control are the same arm");
        let space = &config.base.space;
        let arms: Vec<&Arm> = primary.into_iter().filter_map(|name| config.arm(name)).collect();
        ensure!(
            corners(space).iter().any(|arch| arms.iter().all(|arm| arm.trains(arch, space))),
            "`{}` and `{}` train no subnet in common that could be reported: they open different parts of `{}`",
            self.treatment,
            self.control,
            space.name
        );
        ensure!(
            self.criteria.is_some() != self.margin.is_some(),
            "give criteria (Student's interval over seeds) or margin (the rule of the first record), but not both"
        );
        let Criteria { error_reduction, equivalence } = self.criteria.unwrap_or_default();
        let shares = [
            ("margin", self.margin.unwrap_or(0.0)),
            ("error_reduction", error_reduction),
            ("equivalence", equivalence),
        ];
        if let Some((key, value)) = shares.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            bail!("{key} is {value}, but a share must be at least 0 and less than 1");
        }
        ensure!(
            self.confidence > 0.5 && self.confidence < 1.0,
            "confidence is {}, but must be above 0.5 and below 1, such as 0.95",
            self.confidence
        );
        ensure!(self.bootstrap >= 100, "bootstrap is {}, but at least 100 samples are needed", self.bootstrap);
        Ok(())
    }
}

pub(super) fn names_a_directory(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ablation() -> AblationConfig {
        AblationConfig::shrinking("smoke").unwrap()
    }

    #[test]
    fn presets_survive_a_round_trip() {
        for name in AblationConfig::SHRINKING {
            let config = AblationConfig::shrinking(name).unwrap();
            assert_eq!(AblationConfig::parse(&config.to_toml().unwrap()).unwrap(), config, "{name}");
        }
        assert!(AblationConfig::shrinking("fast").unwrap_err().to_string().contains("`fast`"));
    }

    #[test]
    fn a_configuration_without_a_rule_is_refused() {
        let text = ablation().to_toml().unwrap();
        let message = format!("{:#}", AblationConfig::parse(&text.replace("[rule]", "[rules]")).unwrap_err());
        assert!(message.contains("rule"), "{message}");
    }

    #[test]
    fn impossible_values_are_named() {
        type Change = fn(&mut AblationConfig);
        let break_it: [(&str, Change); 13] = [
            ("nothing would be trained", |c| c.seeds.clear()),
            ("seed 1 is listed twice", |c| c.seeds = vec![1, 2, 1]),
            ("seed 2 is a reporting seed", |c| c.selection.seed = 2),
            ("factor -1 must be positive", |c| c.selection.factors = vec![-1.0]),
            ("two arms `full`", |c| c.arms.push(c.arms[0].clone())),
            ("no earlier arm is named `none`", |c| c.arms[0].start = Some("none".into())),
            ("no arm `all`", |c| c.rule.control = "all".into()),
            ("the same arm", |c| c.rule.control = c.rule.treatment.clone()),
            ("error_reduction is 2", |c| c.rule.criteria.as_mut().unwrap().error_reduction = 2.0),
            ("give criteria", |c| c.rule.margin = Some(0.014)),
            ("seed 9 is not a reporting seed", |c| c.arms[0].seeds = Some(vec![1, 9])),
            ("two stages are called `kernel`", |c| c.arms[1].schedule.stages[1].name = "kernel".into()),
            ("train no subnet in common", |c| {
                c.arms[2].schedule.stages[0].opened = ofa_train::Opened::Largest(ofa_train::ChoiceCounts::ONE);
                c.arms[1].schedule.stages.last_mut().unwrap().opened =
                    ofa_train::Opened::Smallest(ofa_train::ChoiceCounts::ONE);
            }),
        ];
        for (expected, change) in break_it {
            let mut config = ablation();
            change(&mut config);
            let message = format!("{:#}", config.validate().unwrap_err());
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn an_arm_of_another_space_is_refused() {
        let mut config = ablation();
        let other = ofa_model::SearchSpace::mobilenet_v3(1.0, 10);
        config.arms[0].schedule.stages[0].opened = ofa_train::Opened::Space(Box::new(other));
        let message = format!("{:#}", config.validate().unwrap_err());
        assert!(message.contains("arm `full`"), "{message}");
    }

    #[test]
    fn an_arm_is_paid_for_with_all_that_goes_into_it() {
        let config = AblationConfig::shrinking("default").unwrap();
        let names = |arm: &str| -> Vec<String> {
            config.with_ancestors(config.arm(arm).unwrap()).iter().map(|arm| arm.name.clone()).collect()
        };
        assert_eq!(names("progressive"), ["full", "progressive"]);
        assert_eq!(names("none"), ["none"]);
    }
}
