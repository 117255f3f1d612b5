//! The configuration of an ablation: one TOML file.

mod budget;
mod rule;
mod selection;

pub use budget::BudgetConfig;
pub use rule::{Criteria, Rule};
pub use selection::Selection;

use super::reported::Reported;
use crate::config::{ExperimentConfig, twice};
use anyhow::{Context, Result, bail, ensure};
use ofa_model::{Arch, SearchSpace, read_text};
use ofa_train::{Sampler, Schedule};
pub(super) use selection::check_factors;
use serde::{Deserialize, Serialize};
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
    /// Earlier arm whose largest network, for the same seed, is the teacher in the phases that distil.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// Training phases.
    pub schedule: Schedule,
}

impl AblationConfig {
    /// Reads and validates a configuration file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, has an unknown or missing key, or an impossible value; the message names the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
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
        if let Some(name) = twice(&self.schedule.phases.iter().map(|phase| &phase.name).collect::<Vec<_>>()) {
            bail!("two phases are called `{name}`: costs are recorded per phase name, so rename one");
        }
        Ok(self.schedule.validate(&whole.base.space, self.teacher.is_some())?)
    }

    /// Whether the last phase trains this subnet of `space`; only those are reported.
    pub fn trains(&self, arch: &Arch, space: &SearchSpace) -> bool {
        self.schedule.phases.last().is_some_and(|phase| match &phase.sampler {
            Sampler::Fixed(archs) => archs.iter().any(|fixed| fixed.at_resolution(arch.resolution) == *arch),
            _ => phase.opened.of(space).check(arch).is_ok(),
        })
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
            ("two phases are called `kernel`", |c| c.arms[1].schedule.phases[1].name = "kernel".into()),
            ("train no subnet in common", |c| {
                c.arms[2].schedule.phases[0].opened = ofa_train::Opened::Largest(ofa_train::ChoiceCounts::ONE);
                c.arms[1].schedule.phases.last_mut().unwrap().opened =
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
        config.arms[0].schedule.phases[0].opened = ofa_train::Opened::Space(Box::new(other));
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
