//! Search judged by measurement: the subnets that strategies choose on supernets of several seeds, measured on test
//! images.

use super::{Contestant, Examined};
use crate::ablation::{Gap, holm};
use crate::console::heartbeat;
use crate::tables;
use anyhow::{Context, Result};
use ofa_model::Arch;
use ofa_search::{AccuracyTable, Predictor, SearchError, StrategyKind, TableAccuracy};
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// The strategies and their names in records, in order of comparison: a later one minus an earlier one.
const STRATEGIES: [(&str, Contestant); 4] = [
    ("table", Contestant::Strategy(StrategyKind::Table)),
    ("random", Contestant::Strategy(StrategyKind::Random)),
    ("original evolution", Contestant::Original),
    ("evolution", Contestant::Strategy(StrategyKind::Evolution)),
];

/// The choice of a strategy on one supernet within one limit: a row of `choices.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Name of the supernet.
    pub supernet: String,
    /// Limit on MACs, as a share of the way from the smallest to the largest subnet.
    pub limit: f64,
    /// Name of the strategy.
    pub strategy: String,
    /// The chosen arch, as text.
    pub arch: String,
    /// MACs of the chosen arch.
    pub macs: u64,
    /// Top-1 that the strategy maximised: measured on validation images for table look-up, predicted for the others.
    pub expected_top1: f64,
    /// Top-1 that the predictor gives for this choice, whatever the strategy.
    pub predicted_top1: f64,
    /// Top-1 measured on validation images.
    pub validation_top1: f64,
    /// Top-1 measured on test images.
    pub test_top1: f64,
}

impl Examined {
    /// Measures the accuracy table, searches within each of `limits` with every strategy, and measures the choices.
    ///
    /// Table look-up reads the rows to which the predictor of the others is fitted, so all strategies cost the same
    /// measurements. The others make equally many queries. No strategy is tuned here: evolution uses the paper's
    /// settings.
    ///
    /// # Errors
    ///
    /// If images cannot be read, a limit cannot be met, or a stop was requested.
    pub fn choices(&self, limits: &[f64], stop: &AtomicBool) -> Result<Vec<Choice>> {
        let mut validation = self.images.validation(&self.config, &self.device);
        let table = self.table(&mut validation, stop)?;
        let (predictor, _) = tables::predictor(&self.config, &table, &self.device)?;
        let mut test = self.images.test(&self.config, &self.device);
        let mut choices = Vec::new();
        for &limit in limits {
            for (strategy, contestant) in STRATEGIES {
                heartbeat::at(|| format!("limit {limit}, {strategy}"));
                let found = self.chosen(contestant, limit, &table, &predictor);
                let Some((arch, expected_top1)) = found.with_context(|| format!("limit {limit}, {strategy}"))? else {
                    continue;
                };
                let subnet = validation.calibrated(&self.supernet, &arch)?;
                choices.push(Choice {
                    supernet: self.name.clone(),
                    limit,
                    strategy: strategy.into(),
                    arch: arch.to_string(),
                    macs: self.config.space.cost(&arch).macs,
                    expected_top1,
                    predicted_top1: predictor.predict(std::slice::from_ref(&arch))?[0],
                    validation_top1: validation.subnet_top1(&subnet)?,
                    test_top1: test.subnet_top1(&subnet)?,
                });
            }
        }
        Ok(choices)
    }

    /// Searches with one strategy: the best arch and its score, or `None` if the table holds no row within the limit.
    fn chosen(
        &self,
        contestant: Contestant,
        limit: f64,
        table: &AccuracyTable,
        predictor: &dyn Predictor,
    ) -> Result<Option<(Arch, f64)>> {
        let measured = TableAccuracy(table);
        let objective: &dyn Predictor = if contestant.looks_up() { &measured } else { predictor };
        match self.search(contestant, limit, table, objective) {
            Ok(best) => Ok(Some(best)),
            Err(SearchError::NothingFeasible { .. }) if contestant.looks_up() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Choices of one strategy compared with those of another, over supernets.
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceGap {
    /// Name of the strategy.
    pub strategy: &'static str,
    /// Name of the strategy it is compared with.
    pub other: &'static str,
    /// The limit; `None` for the mean over all limits.
    pub limit: Option<f64>,
    /// Difference of predicted top-1, with Student's 95 % interval over supernets.
    pub predicted: Gap,
    /// The same for top-1 measured on test images.
    pub measured: Gap,
    /// p-value of `measured`, adjusted for all pairs (Holm); only for the mean over all limits.
    pub adjusted_p: Option<f64>,
}

/// Gaps between all pairs of strategies, over the supernets that have both at all limits: first the means over all
/// limits, then each limit.
pub fn choice_gaps(choices: &[Choice]) -> Vec<ChoiceGap> {
    let mut limits: Vec<f64> = choices.iter().map(|choice| choice.limit).collect();
    limits.sort_by(f64::total_cmp);
    limits.dedup();
    let mut whole = pairs(choices, &limits, None);
    let tested: Vec<usize> = (0..whole.len()).filter(|&i| whole[i].measured.p.is_some()).collect();
    let p: Vec<f64> = tested.iter().filter_map(|&i| whole[i].measured.p).collect();
    for (i, adjusted) in tested.into_iter().zip(holm(&p)) {
        whole[i].adjusted_p = Some(adjusted);
    }
    whole.extend(limits.into_iter().flat_map(|limit| pairs(choices, &[limit], Some(limit))));
    whole
}

fn pairs(choices: &[Choice], limits: &[f64], limit: Option<f64>) -> Vec<ChoiceGap> {
    let top1 = |supernet: &str, limit: f64, strategy: &str, of: fn(&Choice) -> f64| {
        let is_it =
            |choice: &&Choice| choice.supernet == supernet && choice.limit == limit && choice.strategy == strategy;
        choices.iter().find(is_it).map(of)
    };
    let gap = |strategy: &str, other: &str, of: fn(&Choice) -> f64| {
        let of_supernet = |supernet: &&str| -> Option<f64> {
            let at = |&limit: &f64| Some(top1(supernet, limit, strategy, of)? - top1(supernet, limit, other, of)?);
            Some(limits.iter().map(at).collect::<Option<Vec<f64>>>()?.iter().sum::<f64>() / limits.len() as f64)
        };
        let gaps: Vec<f64> = names(choices).iter().filter_map(of_supernet).collect();
        (!gaps.is_empty()).then(|| Gap::of(&gaps, 0.95))
    };
    let all = STRATEGIES.iter().enumerate().rev();
    let all = all.flat_map(|(i, (strategy, _))| STRATEGIES[..i].iter().map(move |(other, _)| (*strategy, *other)));
    all.filter_map(|(strategy, other)| {
        let predicted = gap(strategy, other, |choice| choice.predicted_top1)?;
        let measured = gap(strategy, other, |choice| choice.test_top1)?;
        Some(ChoiceGap { strategy, other, limit, predicted, measured, adjusted_p: None })
    })
    .collect()
}

/// Names of the supernets, without duplicates.
pub(crate) fn names(choices: &[Choice]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for choice in choices {
        if !names.contains(&choice.supernet.as_str()) {
            names.push(&choice.supernet);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(supernet: &str, limit: f64, strategy: &str, predicted: f64, test: f64) -> Choice {
        Choice {
            supernet: supernet.into(),
            limit,
            strategy: strategy.into(),
            arch: String::new(),
            macs: 2_000_000,
            expected_top1: predicted,
            predicted_top1: predicted,
            validation_top1: test,
            test_top1: test,
        }
    }

    #[test]
    fn gaps_are_means_over_limits_and_supernets_that_have_both() {
        let mut choices = Vec::new();
        for (i, supernet) in ["a", "b", "c"].into_iter().enumerate() {
            for limit in [0.2, 0.5] {
                let base = 0.9 + 0.001 * i as f64;
                choices.push(choice(supernet, limit, "random", base, base));
                choices.push(choice(supernet, limit, "evolution", base + 0.01, base + 0.002 + 0.0005 * i as f64));
            }
        }
        // A strategy that lacks a limit gets no mean over limits.
        choices.push(choice("a", 0.2, "table", 0.9, 0.9));
        let gaps = choice_gaps(&choices);
        let of = |strategy: &str, other: &str, limit: Option<f64>| {
            gaps.iter().find(|gap| (gap.strategy, gap.other, gap.limit) == (strategy, other, limit))
        };
        let found = of("evolution", "random", None).unwrap();
        assert!((found.predicted.mean - 0.01).abs() < 1e-12 && (found.measured.mean - 0.0025).abs() < 1e-12);
        assert_eq!(found.adjusted_p, found.measured.p);
        assert!(of("evolution", "table", None).is_none());
        assert!((of("evolution", "table", Some(0.2)).unwrap().measured.mean - 0.002).abs() < 1e-12);
        assert_eq!(gaps.len(), 1 + 3 + 1);
    }
}
