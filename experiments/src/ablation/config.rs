//! What an ablation is, as one TOML file.

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

/// What a name must be made of.
pub(super) const NAMES: &str = "a name is made of letters, digits, `-` and `_`, it names a directory";

/// The complete configuration of an ablation. It is frozen with the run directory: a rule that is written after the
/// first result is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AblationConfig {
    /// What is asked, in a sentence.
    pub question: String,
    /// What was tried before this was written, and where its record is: it may have guided the choices below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<String>,
    /// Seeds of the report: each arm is trained once with each. A seed sets the split, the initial weights, the order
    /// and augmentation of the images and the sampled subnets, alike in all arms. Without any, learning rates are chosen
    /// and nothing is reported.
    pub seeds: Vec<u64>,
    /// How each arm's learning rate is chosen.
    pub selection: Selection,
    /// The subnets that are compared.
    pub reported: Reported,
    /// How the verdict follows from the numbers.
    pub rule: Rule,
    /// What is compared.
    pub arms: Vec<Arm>,
    /// How long the arms train, from little compute to much; absent if they train once, as long as their schedules say.
    #[serde(default, rename = "budget", skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetConfig>,
    /// What the arms have in common: images, space, optimizer. Its own schedule, seed, start and teacher give way to
    /// those of the cells.
    pub base: ExperimentConfig,
}

/// One way to train the supernet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Name, also of its directory.
    pub name: String,
    /// What it is, in words.
    pub description: String,
    /// Seeds of the report, in place of those of the ablation, some of which they must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// Factors on its learning rates to choose from, in place of those of the selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factors: Option<Vec<f64>>,
    /// The earlier arm whose weights of the same seed it begins with; random ones if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The earlier arm whose largest network of the same seed teaches it, where its schedule distils.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// The stages.
    pub schedule: ShrinkSchedule,
}

/// The verdict, by the mean gap over the reported corners and seeds between two arms. Exactly one of `criteria` and
/// `margin` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The arm that is claimed to be better.
    pub treatment: String,
    /// The arm it is compared with.
    pub control: String,
    /// Other pairs of treatment and control that the same rule judges, at the budgets that train both; they may be added
    /// to the arms later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_judged: Vec<[String; 2]>,
    /// What the verdict asks for, by Student's interval over seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criteria: Option<Criteria>,
    /// The rule of the first record: least gap, as a share of the images, beside a bootstrap interval above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Coverage of all intervals, between 0 and 1.
    pub confidence: f64,
    /// Bootstrap samples.
    pub bootstrap: usize,
    /// Other contrasts that are reported: treatment and control.
    #[serde(default)]
    pub contrasts: Vec<[String; 2]>,
}

/// What a verdict asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criteria {
    /// Least share of the control's errors that the treatment must spare for `reproduced`.
    pub error_reduction: f64,
    /// Arms are `equivalent` if the 90 % interval of their gap lies within this share of the images on either side of 0.
    pub equivalence: f64,
}

impl Default for Criteria {
    /// The least relative error reduction of the paper's table 1 (arXiv:1908.09791v1: 67.3 to 68.7 %), and 0.3 points.
    fn default() -> Self {
        Self { error_reduction: 0.043, equivalence: 0.003 }
    }
}

impl AblationConfig {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, has an unknown or missing key, or an impossible value; the message names the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Parses and checks a configuration.
    ///
    /// # Errors
    ///
    /// If a key is unknown or missing, or a value impossible.
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
        toml::to_string_pretty(self).context("the configuration is not TOML")
    }

    /// The arm of this name.
    pub fn arm(&self, name: &str) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.name == name)
    }

    /// The seeds of the report that an arm is trained with.
    pub fn seeds_of<'a>(&'a self, arm: &'a Arm) -> &'a [u64] {
        arm.seeds.as_deref().unwrap_or(&self.seeds)
    }

    /// The pairs of treatment and control that the rule judges, as far as there are such arms: the primary one first.
    pub fn judged(&self) -> impl Iterator<Item = [&str; 2]> {
        let primary = [self.rule.treatment.as_str(), &self.rule.control];
        let others = self.rule.also_judged.iter().map(|pair| pair.each_ref().map(String::as_str));
        std::iter::once(primary).chain(others).filter(|pair| pair.iter().all(|name| self.arm(name).is_some()))
    }

    /// The arms that the rule judges, each once, in their order.
    pub fn judged_arms(&self) -> Vec<&Arm> {
        let judged: Vec<&str> = self.judged().flatten().collect();
        self.arms.iter().filter(|arm| judged.contains(&arm.name.as_str())).collect()
    }

    /// The arm itself and all earlier arms whose weights go into it, in their order: what has to be paid for it.
    pub fn with_ancestors(&self, arm: &Arm) -> Vec<&Arm> {
        let mut needed = vec![arm.name.as_str()];
        for earlier in self.arms.iter().rev() {
            if needed.contains(&earlier.name.as_str()) {
                needed.extend(earlier.start.iter().chain(&earlier.teacher).map(String::as_str));
            }
        }
        self.arms.iter().filter(|arm| needed.contains(&arm.name.as_str())).collect()
    }

    /// Checks values that the types allow but that make no sense.
    ///
    /// # Errors
    ///
    /// Names the key and the value.
    pub fn validate(&self) -> Result<()> {
        self.base.validate().context("base")?;
        ensure!(
            !self.seeds.is_empty() || self.selection.chooses(),
            "seeds is empty and there is one factor: nothing would be trained"
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
            bail!("seed {seed} is none of the report's");
        }
        for (key, other) in [("start", &self.start), ("teacher", &self.teacher)] {
            if let Some(other) = other {
                ensure!(earlier.iter().any(|arm| arm.name == *other), "{key}: there is no arm `{other}` before it");
            }
        }
        if let Some(name) = twice(&self.schedule.stages.iter().map(|stage| &stage.name).collect::<Vec<_>>()) {
            bail!("two stages are called `{name}`: costs are accounted for by name");
        }
        Ok(self.schedule.validate(&whole.base.space, self.teacher.is_some())?)
    }

    /// Whether the last stage trains this subnet of `space`: of others there is nothing to report.
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
            "Gap: test top-1 of `{}` minus that of `{}`, mean over the reported corners, with Student's {confidence} % \
             interval over seeds; p-values are adjusted for the number of budgets (Holm). `reproduced`: the interval is \
             above 0, the adjusted p below {:.2}, and the gap at least {:.1} % of the control's errors. `direction only`: \
             the same with a smaller gap. `reversed`: the interval is below 0 and the adjusted p below {:.2}. \
             `equivalent`: else, if the 90 % interval lies within {:.1} points on either side of 0. `undecided`: else.",
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
            "Gap: mean over the reported corners and all seeds of the test top-1 of `{}` minus that of `{}`, with the \
             {} % percentile interval of {} bootstrap samples over seeds and test images. `reproduced` if the interval \
             is above 0 and the gap at least {:.2} points; `direction only` if the interval is above 0; else `not \
             reproduced at this scale`.",
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
            "`{}` and `{}` train no subnet in common that is reported: they open other parts of `{}`",
            self.treatment,
            self.control,
            space.name
        );
        ensure!(
            self.criteria.is_some() != self.margin.is_some(),
            "give criteria (Student's interval over seeds) or margin (the rule of the first record)"
        );
        let Criteria { error_reduction, equivalence } = self.criteria.unwrap_or_default();
        let shares = [
            ("margin", self.margin.unwrap_or(0.0)),
            ("error_reduction", error_reduction),
            ("equivalence", equivalence),
        ];
        if let Some((key, value)) = shares.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            bail!("{key} is {value}, a share between 0 and 1");
        }
        ensure!(self.confidence > 0.5 && self.confidence < 1.0, "confidence is {}, such as 0.95", self.confidence);
        ensure!(self.bootstrap >= 100, "bootstrap is {}, at least 100 samples are needed", self.bootstrap);
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
            ("seed 2 is one of the report", |c| c.selection.seed = 2),
            ("factor -1 must be positive", |c| c.selection.factors = vec![-1.0]),
            ("two arms `full`", |c| c.arms.push(c.arms[0].clone())),
            ("no arm `none` before it", |c| c.arms[0].start = Some("none".into())),
            ("no arm `all`", |c| c.rule.control = "all".into()),
            ("the same arm", |c| c.rule.control = c.rule.treatment.clone()),
            ("error_reduction is 2", |c| c.rule.criteria.as_mut().unwrap().error_reduction = 2.0),
            ("give criteria", |c| c.rule.margin = Some(0.014)),
            ("seed 9 is none of the report's", |c| c.arms[0].seeds = Some(vec![1, 9])),
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
