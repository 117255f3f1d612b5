//! The rule of the verdict, as data.

use super::{AblationConfig, Arm};
use crate::ablation::reported::corners;
use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fmt;

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

    pub(super) fn validate(&self, config: &AblationConfig) -> Result<()> {
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
