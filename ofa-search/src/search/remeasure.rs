//! Search on predictions, then measure the best candidates.

use crate::problem::finite;
use crate::{Budget, Problem, SearchError, SearchOutcome, SearchStrategy, Trial, search};
use ofa_model::Arch;
use rand::Rng;

/// Result of a search on predictions whose best archs were then measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Remeasured {
    /// Outcome of the search on predictions.
    pub outcome: SearchOutcome,
    /// The archs with the highest predicted scores, sorted by measurement, best first. Ties are sorted by prediction.
    pub measured: Vec<MeasuredTrial>,
}

/// An arch with its predicted and measured values.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredTrial {
    /// The arch with its predicted score.
    pub trial: Trial,
    /// The measured value.
    pub measured: f64,
}

/// Searches with many cheap queries of the problem's objective, then measures the `count` best archs.
///
/// The maximum of many predictions is biased upwards. Measuring several of the best finds the arch to deploy. If the
/// search tries fewer archs, all of them are measured.
///
/// # Errors
///
/// Those of [`search()`]; [`SearchError::Measure`] if `measure` fails; [`SearchError::NotFinite`] if it returns a
/// non-finite number; [`SearchError::InvalidSetting`] if `count` is 0.
pub fn search_and_measure<E>(
    problem: &Problem<'_>,
    strategy: &mut dyn SearchStrategy,
    budget: Budget,
    count: usize,
    rng: &mut dyn Rng,
    mut measure: impl FnMut(&Arch) -> Result<f64, E>,
) -> Result<Remeasured, SearchError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if count == 0 {
        let problem = "at least one arch must be measured";
        return Err(SearchError::InvalidSetting { setting: "count", value: "0".into(), problem });
    }
    let mut best: Vec<Trial> = Vec::new();
    let outcome = search(problem, strategy, budget, rng, |trial| {
        if best.len() < count || trial.score > best[best.len() - 1].score {
            best.insert(best.partition_point(|other| other.score >= trial.score), trial.clone());
            best.truncate(count);
        }
    })?;
    let mut measured = Vec::with_capacity(best.len());
    for trial in best {
        let value = measure(&trial.arch)
            .map_err(|error| SearchError::Measure { arch: trial.arch.to_string(), source: error.into() })?;
        measured.push(MeasuredTrial { measured: finite("measurement", &trial.arch, value)?, trial });
    }
    measured.sort_by(|a, b| b.measured.total_cmp(&a.measured));
    Ok(Remeasured { outcome, measured })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{additive_accuracy, all_archs, tiny_space};
    use crate::{Constraint, Exhaustive};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const LIMIT: f64 = 1e5;

    /// A predictor that overrates kernel size 3.
    fn overrated(arch: &Arch) -> f64 {
        let small = |block: &&ofa_model::BlockArch| block.kernel_size == 3;
        additive_accuracy(arch) + 0.01 * arch.stages[0].blocks.iter().filter(small).count() as f64
    }

    fn run(count: usize, measure: impl FnMut(&Arch) -> Result<f64, String>) -> Result<Remeasured, SearchError> {
        let space = tiny_space();
        let constraints = vec![Constraint::macs(&space, LIMIT)];
        let problem = Problem { space: &space, objective: &overrated, constraints };
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        search_and_measure(&problem, &mut Exhaustive::default(), Budget::new(1000), count, rng, measure)
    }

    #[test]
    fn the_best_predicted_are_measured_once_and_the_best_measured_comes_first() {
        let mut asked = Vec::new();
        let found = run(5, |arch| {
            asked.push(arch.clone());
            Ok(-overrated(arch))
        })
        .unwrap();
        let space = tiny_space();
        let mut feasible: Vec<Arch> = all_archs(&space);
        feasible.retain(|arch| space.cost(arch).macs as f64 <= LIMIT);
        let scores = |archs: &[Arch]| {
            let mut scores: Vec<f64> = archs.iter().map(overrated).collect();
            scores.sort_by(|a, b| b.total_cmp(a));
            scores
        };
        assert_eq!(scores(&asked), scores(&feasible)[..5]);
        assert_eq!(found.measured[4].trial, found.outcome.best);
        assert!(found.measured.windows(2).all(|pair| pair[0].measured >= pair[1].measured));
        assert!(found.measured.iter().all(|measured| measured.measured == -measured.trial.score));
    }

    #[test]
    fn measuring_all_finds_the_true_optimum_where_the_search_does_not() {
        let all = run(1000, |arch| Ok(additive_accuracy(arch))).unwrap();
        assert_eq!(all.measured.len() as u64, all.outcome.queries);
        let best = all.measured.iter().map(|measured| additive_accuracy(&measured.trial.arch)).fold(0.0, f64::max);
        assert_eq!(all.measured[0].measured, best);
        assert!(additive_accuracy(&all.outcome.best.arch) < best);
    }

    #[test]
    fn failures_are_named() {
        let message = |result: Result<Remeasured, SearchError>| result.unwrap_err().to_string();
        assert!(message(run(0, |_| Ok(1.0))).starts_with("count is 0"));
        assert!(message(run(1, |_| Ok(f64::NAN))).starts_with("measurement of arch `r"));
        let failed = message(run(2, |_| Err("no image".into())));
        assert!(failed.starts_with("measuring arch `r") && failed.ends_with("no image"), "{failed}");
    }
}
