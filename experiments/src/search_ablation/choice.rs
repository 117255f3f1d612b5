//! Search judged by what is measured: the subnets that strategies choose on supernets of several seeds, on test images.

use crate::ablation::{Gap, holm};
use crate::config::ExperimentConfig;
use crate::console::heartbeat;
use crate::run::images::Images;
use crate::run::records;
use crate::run::run_dir::RunDir;
use crate::tables;
use anyhow::{Context, Result};
use burn::tensor::Device;
use ofa_model::{Arch, Supernet};
use ofa_search::{
    AccuracyTable, Budget, Constraint, EvolutionConfig, Predictor, Problem, SearchError, StrategyKind, TableAccuracy,
    original_evolution, search,
};
use ofa_train::OneRank;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// The strategies, in the order in which they are compared: a later one minus an earlier one.
const STRATEGIES: [&str; 4] = ["table", "random", "original evolution", "evolution"];

/// What a strategy chose on a supernet within a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The supernet.
    pub supernet: String,
    /// Limit on MACs, as a share of the way from the smallest to the largest subnet.
    pub limit: f64,
    /// Name of the strategy.
    pub strategy: String,
    /// What it chose.
    pub arch: String,
    /// Its MACs.
    pub macs: u64,
    /// Top-1 that the strategy maximised: measured on validation images by table look-up, else predicted.
    pub expected_top1: f64,
    /// Top-1 that the predictor says of every strategy's choice.
    pub predicted_top1: f64,
    /// Top-1 measured on validation images.
    pub validation_top1: f64,
    /// Top-1 measured on test images.
    pub test_top1: f64,
}

/// A supernet that is searched.
pub struct Contest<'a> {
    /// Its name in records.
    pub name: String,
    /// Its run's configuration, with the size of the table and the queries.
    pub config: &'a ExperimentConfig,
    /// Its images.
    pub images: &'a Images,
    /// Its weights.
    pub supernet: &'a Supernet,
    /// Where it is measured.
    pub device: &'a Device,
    /// Where its table is kept.
    pub dir: &'a RunDir,
}

impl Contest<'_> {
    /// Measures the accuracy table, searches within each of `limits` by every strategy, and measures what is chosen.
    ///
    /// Table look-up reads the rows that the predictor of the others is fitted to, so all cost the same measurements; the
    /// others ask the predictor as often as each other. No strategy is tuned here: evolution has the settings of the paper.
    ///
    /// # Errors
    ///
    /// If images cannot be read, a limit cannot be met, or a stop was asked for.
    pub fn choices(&self, limits: &[f64], stop: &AtomicBool) -> Result<Vec<Choice>> {
        let mut validation = self.images.validation(self.config, self.device);
        let source = records::source(self.supernet, self.images);
        let table = tables::accuracy(self.config, self.supernet, &mut validation, source, self.dir, stop, &OneRank)?;
        let (predictor, _) = tables::predictor(self.config, &table, self.device)?;
        let mut test = self.images.test(self.config, self.device);
        let mut choices = Vec::new();
        for &limit in limits {
            for strategy in STRATEGIES {
                heartbeat::at(|| format!("limit {limit}, {strategy}"));
                let found = self.search(strategy, limit, &table, &predictor);
                let Some((arch, expected_top1)) = found.with_context(|| format!("limit {limit}, {strategy}"))? else {
                    continue;
                };
                let subnet = validation.calibrated(self.supernet, &arch)?;
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

    /// The best arch by a strategy and its score; `None` if a table holds no row within the limit.
    fn search(
        &self,
        strategy: &str,
        limit: f64,
        table: &AccuracyTable,
        predictor: &dyn Predictor,
    ) -> Result<Option<(Arch, f64)>> {
        let space = &self.config.space;
        let [low, high] = [space.smallest(), space.largest()].map(|arch| space.cost(&arch).macs as f64);
        let measured = TableAccuracy(table);
        let objective: &dyn Predictor = if strategy == "table" { &measured } else { predictor };
        let constraints = vec![Constraint::macs(space, low + limit * (high - low))];
        let problem = Problem { space, objective, constraints };
        let budget = Budget::new(self.config.search.queries);
        let rng = &mut ChaCha8Rng::seed_from_u64(self.config.seed);
        let found = match strategy {
            "original evolution" => original_evolution(&problem, EvolutionConfig::default(), budget, rng),
            _ => {
                let kind = match strategy {
                    "table" => StrategyKind::Table,
                    "random" => StrategyKind::Random,
                    _ => StrategyKind::Evolution,
                };
                search(&problem, kind.init(table).as_mut(), budget, rng, |_| ())
            }
        };
        match found {
            Ok(outcome) => Ok(Some((outcome.best.arch, outcome.best.score))),
            Err(SearchError::NothingFeasible { .. }) if strategy == "table" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The choices of one strategy against those of another, over supernets.
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceGap {
    /// The strategy.
    pub strategy: &'static str,
    /// The one it is compared with.
    pub other: &'static str,
    /// The limit; the mean over all, if absent.
    pub limit: Option<f64>,
    /// Difference of top-1 by the predictor, with Student's 95 % interval over supernets.
    pub predicted: Gap,
    /// The same as measured on test images.
    pub measured: Gap,
    /// p-value of the latter, adjusted for all pairs (Holm); over all limits alone.
    pub adjusted_p: Option<f64>,
}

/// All pairs of strategies over the supernets that have both at all limits: first over all limits, then by limit.
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
    let all = all.flat_map(|(i, strategy)| STRATEGIES[..i].iter().map(move |other| (*strategy, *other)));
    all.filter_map(|(strategy, other)| {
        let predicted = gap(strategy, other, |choice| choice.predicted_top1)?;
        let measured = gap(strategy, other, |choice| choice.test_top1)?;
        Some(ChoiceGap { strategy, other, limit, predicted, measured, adjusted_p: None })
    })
    .collect()
}

/// The supernets, each once.
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
        // What one supernet lacks at one limit is not averaged away.
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
