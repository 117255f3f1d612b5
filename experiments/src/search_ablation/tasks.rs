//! The tasks of the search ablation.

use super::{Contestant, SearchAblation};
use crate::tables::measured::MeasuredTables;
use anyhow::Result;
use burn::tensor::Device;
use ofa_model::{Arch, ChoiceMask, SearchSpace, StageSpace};
use ofa_search::cost::{AdditiveCost, PlacedBlock};
use ofa_search::predictors::MlpPredictor;
use ofa_search::{
    AccuracyTable, AdditiveProblem, Budget, Constraint, Exhaustive, LatencyTable, Predictor, Problem, RandomSearch,
    SearchError, Stop, StrategyKind, Trial, search,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::path::Path;

/// The tables of a trained supernet, and a predictor fitted to them.
pub struct Trained {
    /// Space of the supernet.
    pub space: SearchSpace,
    /// Measured accuracies.
    pub accuracy: AccuracyTable,
    /// Measured latencies.
    pub latency: LatencyTable,
    /// Predictor fitted to the measured accuracies.
    pub predictor: MlpPredictor,
    /// A part of the space small enough to enumerate.
    pub counted: Counted,
}

/// A space small enough to enumerate, with the score of every arch.
pub struct Counted {
    /// The enumerated space.
    pub space: SearchSpace,
    scores: HashMap<Arch, f64>,
}

impl Counted {
    /// Queries the predictor once for every arch.
    fn new(space: SearchSpace, predictor: &dyn Predictor) -> Result<Self> {
        let problem = Problem { space: &space, objective: predictor, constraints: vec![] };
        let budget = Budget { queries: u64::MAX, rejections_in_a_row: u64::MAX };
        let (rng, mut scores) = (&mut ChaCha8Rng::seed_from_u64(0), HashMap::new());
        let observe = |trial: &Trial| scores.extend([(trial.arch.clone(), trial.score)]);
        let outcome = search(&problem, &mut Exhaustive::default(), budget, rng, observe)?;
        assert_eq!(outcome.stop, Stop::Finished, "a search without a budget ends when all archs are tried");
        drop(problem);
        Ok(Self { space, scores })
    }

    /// The highest score of an arch that meets the constraints.
    fn optimum(&self, problem: &Problem<'_>) -> Result<f64> {
        let mut highest = f64::NEG_INFINITY;
        for (arch, &score) in &self.scores {
            if score > highest && problem.allows(&problem.costs(arch)?) {
                highest = score;
            }
        }
        Ok(highest)
    }
}

impl Predictor for Counted {
    /// # Panics
    ///
    /// If an arch is outside the space.
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError> {
        Ok(archs.iter().map(|arch| self.scores[arch]).collect())
    }
}

impl Trained {
    /// Reads the tables of a run directory and fits a predictor with the settings of its configuration.
    ///
    /// # Errors
    ///
    /// If a file is missing or invalid.
    pub fn load(run: &Path, ablation: &SearchAblation, device: &Device) -> Result<Self> {
        let tables = MeasuredTables::open(run, None)?;
        let latency = tables.latency()?;
        let MeasuredTables { space, accuracy, predictor, .. } = tables;
        let predictor = MlpPredictor::fit(&space, &accuracy.samples(), &predictor, device)?;
        let resolutions = space.resolutions.iter().rev().take(ablation.counted_resolutions).copied().collect();
        let shallow = space.stages.iter().flat_map(|stage| stage.depths.first()).min().copied();
        let mask = ChoiceMask { resolutions, depths: shallow.into_iter().collect(), ..ChoiceMask::default() };
        let counted = Counted::new(countable(mask.of(&space)?), &predictor)?;
        Ok(Self { space, accuracy, latency, predictor, counted })
    }
}

/// Maximum number of archs whose scores are kept.
const MOST_COUNTED: u32 = 1_000_000;

/// Reduces the space to at most [`MOST_COUNTED`] archs: while it has more, the stage with the most choices per block
/// loses its last kernel size, or its last expand ratio if only one size is left.
fn countable(mut space: SearchSpace) -> SearchSpace {
    while space.len() * space.resolutions.len() > MOST_COUNTED.into() {
        let choices = |stage: &&mut StageSpace| stage.kernel_sizes.len() * stage.expand_ratios.len();
        let Some(stage) = space.stages.iter_mut().max_by_key(choices) else { break };
        if stage.kernel_sizes.len() > 1 {
            stage.kernel_sizes.pop();
        } else if stage.expand_ratios.len() > 1 {
            stage.expand_ratios.pop();
        } else {
            break;
        }
    }
    space
}

/// A random score that is a sum over blocks, so its optimum can be proven.
pub struct Additive {
    /// Search space.
    pub space: SearchSpace,
    /// Score to maximise.
    pub score: AdditiveCost,
    /// MACs, the limited cost.
    pub macs: AdditiveCost,
}

impl Additive {
    /// Draws a score that behaves like accuracy: larger choices are better, with diminishing gains that depend on the
    /// block.
    ///
    /// Each block has a worth between 0.15 and 0.35, half of which comes with its existence. The second kernel size
    /// or expand ratio adds up to 0.5 of the worth, and each further one up to 0.6 times the bound of the one before.
    /// Each pair of choices adds noise of up to ±0.1 of the worth. The resolution adds up to 1 in total, by its
    /// logarithm.
    pub fn draw(space: SearchSpace, seed: u64) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut gains = |choices: usize| {
            let mut sum = 0.0;
            (0..choices)
                .map(|i| {
                    let gain = if i == 0 { 0.0 } else { 0.5 * 0.6_f64.powi(i as i32 - 1) * rng.random::<f64>() };
                    sum += gain;
                    sum
                })
                .collect::<Vec<f64>>()
        };
        let blocks: Vec<Vec<_>> = space
            .stages
            .iter()
            .map(|stage| {
                (0..stage.greatest_depth())
                    .map(|_| (gains(stage.kernel_sizes.len()), gains(stage.expand_ratios.len())))
                    .collect()
            })
            .collect();
        let worth: Vec<Vec<f64>> =
            blocks.iter().map(|stage| stage.iter().map(|_| rng.random_range(0.15..0.35)).collect()).collect();
        let odd: u64 = rng.random();
        let (low, high) = (space.resolutions[0] as f64, space.resolutions[space.resolutions.len() - 1] as f64);
        let of_resolution =
            |resolution: usize| if high > low { (resolution as f64 / low).ln() / (high / low).ln() } else { 0.0 };
        let of_block = |placed: &PlacedBlock| {
            let &PlacedBlock { stage, block, choices, .. } = placed;
            let offered = &space.stages[stage];
            let kernel = offered.kernel_sizes.iter().position(|&k| k == choices.kernel_size).expect("offered");
            let ratio = offered.expand_ratios.iter().position(|&e| e == choices.expand_ratio).expect("offered");
            let (kernels, ratios) = &blocks[stage][block];
            let pair = odd ^ ((stage * 1_000 + block * 100 + kernel * 10 + ratio) as u64);
            let noise = ChaCha8Rng::seed_from_u64(pair).random_range(-0.1..0.1);
            worth[stage][block] * (0.5 + kernels[kernel] + ratios[ratio] + noise)
        };
        let score = AdditiveCost::by_block(&space, of_resolution, of_block);
        Self { macs: AdditiveCost::macs(&space), score, space }
    }

    /// The problem of maximising the score under a limit in MACs.
    pub fn problem(&self, limit: f64) -> AdditiveProblem<'_> {
        let Self { space, score, macs } = self;
        AdditiveProblem { space, score, cost: macs, name: "MACs", unit: "MACs", limit }
    }
}

/// A problem on which strategies are compared.
pub struct Task<'a> {
    /// Kind: `tables`, `additive` or `counted`.
    pub name: &'static str,
    /// Limit as text, with its unit.
    pub limit: String,
    /// The problem to solve.
    pub problem: Problem<'a>,
    /// Table for table look-up.
    pub table: &'a AccuracyTable,
    /// Contestants of this task.
    pub contestants: Vec<Contestant>,
    /// Score that counts as a share of 0: the mean of random archs for accuracies, 0 for additive scores.
    pub floor: f64,
    /// The optimum; `None` if unknown.
    pub optimum: Option<f64>,
}

/// All tasks of an ablation.
///
/// # Errors
///
/// If a table lacks units, or a limit cannot be met.
pub fn tasks<'a>(trained: &'a Trained, additive: &'a Additive, ablation: &SearchAblation) -> Result<Vec<Task<'a>>> {
    let mut tasks = Vec::new();
    for &share in &ablation.shares {
        let mut task = predicted("tables", &trained.space, &trained.predictor, trained, share)?;
        task.contestants.insert(0, Contestant::Strategy(StrategyKind::Table));
        tasks.push(task);
    }
    for &limit in &ablation.macs {
        let problem = Problem {
            space: &additive.space,
            objective: &additive.score,
            constraints: vec![Constraint::at_most("MACs", limit, "MACs", |arch| additive.macs.of(arch))],
        };
        let optimum = Some(additive.problem(limit).solve()?.score);
        let limit = format!("{:.0} MMACs", limit / 1e6);
        let (table, contestants) = (&trained.accuracy, Contestant::SEARCHING.to_vec());
        tasks.push(Task { name: "additive", limit, problem, table, contestants, floor: 0.0, optimum });
    }
    // A tighter limit would leave fewer archs than queries.
    if let Some(&share) = ablation.shares.last() {
        let mut task = predicted("counted", &trained.counted.space, &trained.counted, trained, share)?;
        task.optimum = Some(trained.counted.optimum(&task.problem)?);
        tasks.push(task);
    }
    if ablation.controller {
        tasks.iter_mut().for_each(|task| task.contestants.push(Contestant::Controller));
    }
    Ok(tasks)
}

/// The task of maximising predicted accuracy in `space`, with latency limited to a fraction of its range.
fn predicted<'a>(
    name: &'static str,
    space: &'a SearchSpace,
    objective: &'a dyn Predictor,
    trained: &'a Trained,
    share: f64,
) -> Result<Task<'a>> {
    let limit = trained.latency.cost(space)?.at_share(space, share);
    let constraints = vec![Constraint::latency(&trained.latency, space, limit)?];
    let problem = Problem { space, objective, constraints };
    let floor = random_score(&problem)?;
    let (limit, contestants) = (format!("{limit:.3} ms"), Contestant::SEARCHING.to_vec());
    Ok(Task { name, limit, problem, table: &trained.accuracy, contestants, floor, optimum: None })
}

/// Mean score of 1,000 random feasible archs, or of all if there are fewer.
fn random_score(problem: &Problem<'_>) -> Result<f64> {
    let (rng, mut scores) = (&mut ChaCha8Rng::seed_from_u64(0), Vec::new());
    search(problem, &mut RandomSearch, Budget::new(1_000), rng, |trial| scores.push(trial.score))?;
    Ok(scores.iter().sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_large_space_is_small_enough_to_count() {
        let small = SearchSpace::small_mobilenet_v3(1, 10);
        let mask = ChoiceMask { depths: vec![2], resolutions: vec![28], ..ChoiceMask::default() };
        let few = mask.of(&small).unwrap();
        assert_eq!(countable(few.clone()), few, "9^6 networks are few enough");
        let large = SearchSpace::mobilenet_v3(1.0, 1000);
        let part = countable(large.clone());
        assert!(part.is_within(&large) && part.len() * part.resolutions.len() <= MOST_COUNTED.into());
        assert!(part.stages.iter().all(|stage| stage.expand_ratios.len() * stage.kernel_sizes.len() > 0));
    }
}
