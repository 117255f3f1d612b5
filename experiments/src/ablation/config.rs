//! What an ablation is, as one TOML file.

use super::reported::{Reported, corners};
use super::selection::Selection;
use crate::config::{ExperimentConfig, twice};
use anyhow::{Context, Result, bail, ensure};
use ofa_model::{Arch, SearchSpace};
use ofa_train::{Sampler, ShrinkSchedule};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// The complete configuration of an ablation. It is frozen with the run directory: a rule that is written after the
/// first result is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AblationConfig {
    /// What is asked, in a sentence.
    pub question: String,
    /// Seeds of the report: each arm is trained once with each. A seed sets the split, the initial weights, the order
    /// and augmentation of the images and the sampled subnets, alike in all arms.
    pub seeds: Vec<u64>,
    /// How each arm's learning rate is chosen.
    pub selection: Selection,
    /// The subnets that are compared.
    pub reported: Reported,
    /// How the verdict follows from the numbers.
    pub rule: Rule,
    /// What is compared.
    pub arms: Vec<Arm>,
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
    /// The earlier arm whose weights of the same seed it begins with; random ones if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The earlier arm whose largest network of the same seed teaches it, where its schedule distils.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// The stages.
    pub schedule: ShrinkSchedule,
}

/// The verdict, by the mean gap over the reported corners and seeds between two arms, with a bootstrap interval over
/// seeds and test images: `reproduced` if the interval is above 0 and the gap at least `margin`, `direction only` if
/// the interval is above 0, else `not reproduced at this scale`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The arm that is claimed to be better.
    pub treatment: String,
    /// The arm it is compared with.
    pub control: String,
    /// Least gap, as a share of the images, that counts as the claim's.
    pub margin: f64,
    /// Coverage of all intervals, between 0 and 1.
    pub confidence: f64,
    /// Bootstrap samples.
    pub bootstrap: usize,
    /// Other contrasts that are reported: treatment and control.
    #[serde(default)]
    pub contrasts: Vec<[String; 2]>,
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
        ensure!(!self.seeds.is_empty(), "seeds is empty: an arm is trained once with each");
        if let Some(twice) = twice(&self.seeds) {
            bail!("seed {twice} is listed twice");
        }
        self.selection.validate(&self.seeds).context("selection")?;
        self.reported.validate().context("reported")?;
        if let Some(twice) = twice(&self.arms.iter().map(|arm| &arm.name).collect::<Vec<_>>()) {
            bail!("there are two arms `{twice}`");
        }
        for (i, arm) in self.arms.iter().enumerate() {
            arm.validate(&self.arms[..i], &self.base).with_context(|| format!("arm `{}`", arm.name))?;
        }
        self.rule.validate(self).context("rule")
    }
}

impl Arm {
    fn validate(&self, earlier: &[Self], base: &ExperimentConfig) -> Result<()> {
        ensure!(
            !self.name.is_empty() && self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)),
            "a name is made of letters, digits, `-` and `_`, it names a directory"
        );
        for (key, other) in [("start", &self.start), ("teacher", &self.teacher)] {
            if let Some(other) = other {
                ensure!(earlier.iter().any(|arm| arm.name == *other), "{key}: there is no arm `{other}` before it");
            }
        }
        if let Some(name) = twice(&self.schedule.stages.iter().map(|stage| &stage.name).collect::<Vec<_>>()) {
            bail!("two stages are called `{name}`: costs are accounted for by name");
        }
        Ok(self.schedule.validate(&base.space, self.teacher.is_some())?)
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
            100.0 * self.margin
        )
    }
}

impl Rule {
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
        ensure!(self.margin >= 0.0 && self.margin < 1.0, "margin is {}, a share of the images", self.margin);
        ensure!(self.confidence > 0.5 && self.confidence < 1.0, "confidence is {}, such as 0.95", self.confidence);
        ensure!(self.bootstrap >= 100, "bootstrap is {}, at least 100 samples are needed", self.bootstrap);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ablation() -> AblationConfig {
        AblationConfig::shrinking("smoke").unwrap()
    }

    #[test]
    fn presets_survive_a_round_trip() {
        for name in crate::ablation::Scale::NAMES {
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
        let break_it: [(&str, Change); 11] = [
            ("seeds is empty", |c| c.seeds.clear()),
            ("seed 1 is listed twice", |c| c.seeds = vec![1, 2, 1]),
            ("seed 2 is one of the report", |c| c.selection.seed = 2),
            ("factor -1 must be positive", |c| c.selection.factors = vec![-1.0]),
            ("two arms `full`", |c| c.arms.push(c.arms[0].clone())),
            ("no arm `none` before it", |c| c.arms[0].start = Some("none".into())),
            ("no arm `all`", |c| c.rule.control = "all".into()),
            ("the same arm", |c| c.rule.control = c.rule.treatment.clone()),
            ("margin is 2", |c| c.rule.margin = 2.0),
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
