//! [`Asked`]: the search behind every answer to a scenario.

use super::Devices;
use crate::config::Scenario;
use anyhow::Result;
use ofa_data::random::{Purpose, stream};
use ofa_search::{
    AccuracyTable, Budget, Predictor, Problem, SearchError, SearchOutcome, SearchStrategy, StrategyKind, TableAccuracy,
    Trial, search,
};
use std::time::Instant;

/// What all searches share.
pub(super) struct Asked<'a> {
    /// Cost models.
    pub devices: &'a Devices,
    /// Measured accuracies.
    pub accuracy: &'a AccuracyTable,
    /// Accuracy predictor.
    pub predictor: &'a (dyn Predictor + Sync),
    /// Objective evaluations per search.
    pub queries: u64,
    /// Seed of each search.
    pub seed: u64,
}

/// A way to answer scenarios: one of our strategies, or any other.
pub struct Searcher<'a> {
    init: Box<dyn Fn() -> Box<dyn SearchStrategy> + Send + Sync + 'a>,
    looks_up: bool,
}

/// What a searcher found.
pub(super) struct Searched {
    /// Name of the strategy.
    pub strategy: String,
    /// Whether scores were looked up in the accuracy table instead of predicted.
    pub looked_up: bool,
    /// Result of the search.
    pub outcome: SearchOutcome,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl<'a> Searcher<'a> {
    /// The strategy that `init` makes anew for each search; it maximises the predictor.
    pub fn new(init: impl Fn() -> Box<dyn SearchStrategy> + Send + Sync + 'a) -> Self {
        Self { init: Box::new(init), looks_up: false }
    }

    /// A strategy of ours. Look-up maximises the measured accuracies of `table`, as in the paper; the others maximise
    /// the predictor.
    pub fn of(kind: StrategyKind, table: &'a AccuracyTable) -> Self {
        Self { looks_up: kind.looks_up(), ..Self::new(move || kind.init(table)) }
    }

    /// Name of the strategy.
    pub(super) fn name(&self) -> String {
        (self.init)().name().to_owned()
    }

    /// Whether it maximises the measured accuracies of the table.
    pub(super) fn looks_up(&self) -> bool {
        self.looks_up
    }
}

impl Asked<'_> {
    /// Answers one scenario. The inner error says that nothing was found, the outer one that a table or the objective
    /// is at fault.
    pub(super) fn search(
        &self,
        scenario: &Scenario,
        searcher: &Searcher<'_>,
        observe: impl FnMut(&Trial),
    ) -> Result<Result<Searched, SearchError>> {
        let space = self.devices.space(scenario);
        let measured = TableAccuracy(self.accuracy);
        let objective: &dyn Predictor = if searcher.looks_up { &measured } else { self.predictor };
        let problem = Problem { space: &space, objective, constraints: self.devices.constraints(scenario)? };
        let (mut strategy, started) = ((searcher.init)(), Instant::now());
        let rng = &mut stream(self.seed, Purpose::Search, &[]);
        match search(&problem, strategy.as_mut(), Budget::new(self.queries), rng, observe) {
            Ok(outcome) => Ok(Ok(Searched {
                strategy: strategy.name().to_owned(),
                looked_up: searcher.looks_up,
                outcome,
                seconds: started.elapsed().as_secs_f64(),
            })),
            Err(error @ (SearchError::Infeasible { .. } | SearchError::NothingFeasible { .. })) => Ok(Err(error)),
            Err(error) => Err(error.into()),
        }
    }
}
