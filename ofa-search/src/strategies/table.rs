//! [`TableLookup`]: table look-up, the search of the paper's first version.

use crate::{AccuracyTable, Predictor, SearchError, SearchStrategy, Trial};
use ofa_model::{Arch, SearchSpace};
use rand::Rng;

/// Proposes the rows of an accuracy table, most accurate first.
///
/// With [`TableAccuracy`] as the objective, the first feasible row is the answer, as in the paper (preprint, section
/// 3.4). With another objective, the budget is the number of best rows to evaluate.
#[derive(Clone, Debug)]
pub struct TableLookup {
    /// In ascending accuracy: the next proposal is last.
    archs: Vec<Arch>,
}

impl TableLookup {
    /// Proposes the rows of `table`.
    pub fn new(table: &AccuracyTable) -> Self {
        let mut rows: Vec<_> = table.rows().iter().collect();
        rows.sort_by(|a, b| a.top1.total_cmp(&b.top1));
        Self { archs: rows.into_iter().map(|row| row.arch.clone()).collect() }
    }
}

impl SearchStrategy for TableLookup {
    fn name(&self) -> &str {
        "table"
    }

    fn batch_size(&self) -> usize {
        256
    }

    /// The best remaining row inside `space`, which may be narrower than the table's.
    fn ask(&mut self, space: &SearchSpace, _: &mut dyn Rng) -> Option<Arch> {
        std::iter::from_fn(|| self.archs.pop()).find(|arch| space.contains(arch))
    }

    fn tell(&mut self, _: Trial) {}
}

/// The measured accuracies of a table as an objective.
#[derive(Clone, Copy, Debug)]
pub struct TableAccuracy<'a>(pub &'a AccuracyTable);

impl Predictor for TableAccuracy<'_> {
    /// # Errors
    ///
    /// [`SearchError::NotInTable`] for an arch that was not measured.
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError> {
        let top1 = |arch: &Arch| {
            let missing = || SearchError::NotInTable { arch: arch.to_string(), rows: self.0.rows().len() };
            self.0.get(arch).ok_or_else(missing)
        };
        archs.iter().map(top1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{all_archs, table, tiny_space};
    use crate::{Budget, Constraint, Problem, StrategyKind, search};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_best_feasible_row_is_found_at_every_limit() {
        let space = tiny_space();
        let table = table(&space, &all_archs(&space)[..30]);
        let macs = |arch: &Arch| space.cost(arch).macs as f64;
        let mut limits: Vec<f64> = table.rows().iter().map(|row| row.macs as f64).collect();
        limits.sort_by(f64::total_cmp);
        for limit in limits {
            let constraints = vec![Constraint::at_most("MACs", limit, "MACs", macs)];
            let problem = Problem { space: &space, objective: &TableAccuracy(&table), constraints };
            let rng = &mut ChaCha8Rng::seed_from_u64(1);
            let outcome = search(&problem, &mut TableLookup::new(&table), Budget::new(1), rng, |_| ()).unwrap();
            assert_eq!(outcome.best.score, table.best_under(limit, macs).unwrap().top1);
        }
    }

    #[test]
    fn every_kind_of_strategy_has_its_name_in_configurations_and_reports() {
        let space = tiny_space();
        let table = table(&space, &all_archs(&space)[..5]);
        for kind in StrategyKind::ALL {
            let name = serde_json::to_value(kind).unwrap();
            assert_eq!(kind.init(&table).name(), name);
            assert_eq!(serde_json::from_value::<StrategyKind>(name).unwrap(), kind);
        }
    }

    #[test]
    fn a_table_without_a_feasible_row_is_an_answer() {
        let space = tiny_space();
        let largest = space.largest();
        let table = table(&space, std::slice::from_ref(&largest));
        let constraints = vec![Constraint::macs(&space, space.cost(&largest).macs as f64 - 1.0)];
        let problem = Problem { space: &space, objective: &TableAccuracy(&table), constraints };
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let error = search(&problem, &mut TableLookup::new(&table), Budget::new(1), rng, |_| ()).unwrap_err();
        assert!(matches!(error, SearchError::NothingFeasible { proposals: 1, .. }), "{error}");
    }

    #[test]
    fn archs_that_were_not_measured_are_refused() {
        let space = tiny_space();
        let archs = all_archs(&space);
        let error = TableAccuracy(&table(&space, &archs[..3])).predict(&archs[2..4]).unwrap_err().to_string();
        assert!(error.contains(&archs[3].to_string()) && error.contains("3 rows"), "{error}");
    }
}
