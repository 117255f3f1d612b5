//! How learning rates are chosen, as data.

use super::Arm;
use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Trains every arm once with each factor and a seed that is not reported. The factor with the highest mean validation
/// accuracy over the reported corners becomes the arm's. With a single factor, nothing is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Seed of the selection; must not be a reporting seed.
    pub seed: u64,
    /// Factors on all learning rates of the arm, in rising order.
    pub factors: Vec<f64>,
    /// Maximum number of further factors for an arm whose best factor is the lowest or highest tried, added one at a
    /// time. Each lies as far beyond the best as the best lies beyond its neighbour, as a ratio. So no arm is held back
    /// by where the list happens to end.
    #[serde(default)]
    pub extensions: usize,
    /// Another ablation whose selected factors are reused, as a path relative to this one's directory; nothing is
    /// selected here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_in: Option<PathBuf>,
}

impl Selection {
    /// Whether arms without factors of their own need a selection.
    pub(in crate::ablation) fn chooses(&self) -> bool {
        self.factors.len() > 1 && self.chosen_in.is_none()
    }

    /// The listed factors of an arm, without extensions.
    pub(in crate::ablation) fn factors<'a>(&'a self, arm: &'a Arm) -> &'a [f64] {
        arm.factors.as_deref().unwrap_or(&self.factors)
    }

    /// Whether selection cells of this arm are trained.
    pub(in crate::ablation) fn chooses_for(&self, arm: &Arm) -> bool {
        self.factors(arm).len() > 1 && self.chosen_in.is_none()
    }

    /// Rejects values that the types allow but that make no sense, for an ablation that reports `seeds`.
    ///
    /// # Errors
    ///
    /// If a value is impossible; the message names the key and the value.
    pub(super) fn validate(&self, seeds: &[u64]) -> Result<()> {
        ensure!(!seeds.contains(&self.seed), "seed {} is a reporting seed: select with another one", self.seed);
        check_factors(&self.factors)?;
        ensure!(self.extensions == 0 || self.factors.len() > 1, "extensions need at least two factors to go beyond");
        Ok(())
    }

    /// One-line description for plans and reports.
    pub(in crate::ablation) fn describe(&self) -> String {
        if let Some(elsewhere) = &self.chosen_in {
            return format!("those selected in {}", elsewhere.display());
        }
        if let [only] = self.factors[..] {
            return format!("fixed (times {only})");
        }
        let factors: Vec<String> = self.factors.iter().map(f64::to_string).collect();
        let beyond = match self.extensions {
            0 => String::new(),
            most => format!(" and, while the best is the lowest or highest, up to {most} beyond it"),
        };
        format!(
            "each arm's times {}{beyond}, by mean validation top-1 of the corners with seed {}",
            factors.join(", "),
            self.seed
        )
    }
}

/// Checks that factors are positive and in rising order.
pub(in crate::ablation) fn check_factors(factors: &[f64]) -> Result<()> {
    ensure!(!factors.is_empty(), "factors is empty: list at least 1.0");
    if let Some(factor) = factors.iter().find(|factor| !(**factor > 0.0 && factor.is_finite())) {
        bail!("factor {factor} must be positive");
    }
    ensure!(factors.windows(2).all(|pair| pair[0] < pair[1]), "factors must rise: {factors:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_named() {
        let selection = Selection { seed: 9, factors: vec![0.5, 1.0], extensions: 1, chosen_in: None };
        selection.validate(&[1]).unwrap();
        let refused = |selection: Selection| selection.validate(&[1]).unwrap_err().to_string();
        assert!(refused(Selection { seed: 1, ..selection.clone() }).contains("seed 1 is a reporting seed"));
        assert!(refused(Selection { factors: vec![1.0, 0.5], ..selection.clone() }).contains("must rise"));
        assert!(refused(Selection { factors: vec![1.0], ..selection }).contains("extensions need at least two"));
    }
}
