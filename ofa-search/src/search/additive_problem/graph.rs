//! The archs of one resolution as paths through a graph, with one edge per block.

mod labels;
mod relaxation;

pub(super) use relaxation::Relaxation;

use super::AdditiveProblem;
use crate::cost::PlacedBlock;
use crate::cost::choices;
use ofa_model::{Arch, Ratio, SearchSpace, StageArch};

/// Every arch of a resolution is a path from the first node to a node with an `end`.
pub(super) struct Graph {
    /// Cost and score of everything before the first block.
    start: Sums,
    /// Every step leads to a later node.
    nodes: Vec<Node>,
}

/// State: a stage, its width and the number of blocks so far. The first node precedes all stages.
#[derive(Default)]
struct Node {
    steps: Vec<Step>,
    /// Cost and score of everything after the last block, if a network may end here.
    end: Option<Sums>,
}

struct Step {
    to: usize,
    block: PlacedBlock,
    adds: Sums,
}

/// A cost and a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sums {
    pub(super) cost: f64,
    pub(super) score: f64,
}

impl std::ops::Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cost: self.cost + other.cost, score: self.score + other.score }
    }
}

impl Sums {
    /// Score minus price times cost.
    fn worth(self, price: f64) -> f64 {
        self.score - price * self.cost
    }
}

/// An arch of the graph's resolution as a path.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) sums: Sums,
    blocks: Vec<PlacedBlock>,
}

impl Path {
    pub(super) fn arch(&self, space: &SearchSpace) -> Arch {
        let stages = (0..space.stages.len()).map(|s| {
            let blocks: Vec<_> = self.blocks.iter().filter(|placed| placed.stage == s).collect();
            StageArch { width: blocks[0].width, blocks: blocks.iter().map(|placed| placed.choices).collect() }
        });
        Arch { resolution: self.blocks[0].resolution, stages: stages.collect() }
    }
}

/// Builds nodes and steps.
struct Builder<'a> {
    problem: &'a AdditiveProblem<'a>,
    resolution: usize,
    /// Index of the first node of every stage.
    firsts: Vec<usize>,
}

impl<'a> Builder<'a> {
    fn new(problem: &'a AdditiveProblem<'a>, resolution: usize) -> Self {
        let mut next = 1;
        let firsts = problem.space.stages.iter().map(|stage| {
            let first = next;
            next += stage.greatest_depth() * stage.widths.len();
            first
        });
        Self { problem, resolution, firsts: firsts.collect() }
    }

    /// Steps to block `block` of a stage with its `w`th width, after a stage of width `input` (`None` inside a stage).
    fn steps(&self, stage: usize, block: usize, w: usize, input: Option<Ratio>) -> impl Iterator<Item = Step> {
        let offered = &self.problem.space.stages[stage];
        let of_width = choices(offered).filter(move |(width, _)| *width == offered.widths[w]);
        of_width.map(move |(width, choices)| {
            let placed = PlacedBlock { resolution: self.resolution, stage, block, width, choices };
            let AdditiveProblem { cost, score, .. } = self.problem;
            let adds = Sums { cost: cost.of_block(&placed, input), score: score.of_block(&placed, input) };
            Step { to: self.firsts[stage] + block * offered.widths.len() + w, block: placed, adds }
        })
    }

    /// Steps to the first block of a stage, at any width.
    fn enter(&self, stage: usize, input: Option<Ratio>) -> impl Iterator<Item = Step> {
        (0..self.problem.space.stages[stage].widths.len()).flat_map(move |w| self.steps(stage, 0, w, input))
    }

    /// The node of a stage with `depth` blocks at its `w`th width.
    fn node(&self, stage: usize, depth: usize, w: usize) -> Node {
        let AdditiveProblem { space, cost, score, .. } = self.problem;
        let (offered, width) = (&space.stages[stage], space.stages[stage].widths[w]);
        let mut node = Node::default();
        if depth < offered.greatest_depth() {
            node.steps.extend(self.steps(stage, depth, w, None));
        }
        if offered.depths.contains(&depth) {
            if stage + 1 < space.stages.len() {
                node.steps.extend(self.enter(stage + 1, Some(width)));
            } else {
                let after = |sum: &crate::cost::AdditiveCost| sum.after_blocks(self.resolution, width);
                node.end = Some(Sums { cost: after(cost), score: after(score) });
            }
        }
        node
    }
}

impl Graph {
    pub(super) fn new(problem: &AdditiveProblem<'_>, resolution: usize) -> Self {
        let builder = Builder::new(problem, resolution);
        let mut nodes = vec![Node { steps: builder.enter(0, None).collect(), end: None }];
        for (s, stage) in problem.space.stages.iter().enumerate() {
            for depth in 1..=stage.greatest_depth() {
                nodes.extend((0..stage.widths.len()).map(|w| builder.node(s, depth, w)));
            }
        }
        let before = |sum: &crate::cost::AdditiveCost| sum.before_blocks(resolution);
        Self { start: Sums { cost: before(problem.cost), score: before(problem.score) }, nodes }
    }

    /// The highest sum of `value` from every node to the end.
    fn rests(&self, value: impl Fn(Sums) -> f64) -> Vec<f64> {
        let mut rests = vec![f64::NEG_INFINITY; self.nodes.len()];
        for (n, node) in self.nodes.iter().enumerate().rev() {
            let steps = node.steps.iter().map(|step| value(step.adds) + rests[step.to]);
            rests[n] = steps.chain(node.end.map(&value)).fold(f64::NEG_INFINITY, f64::max);
        }
        rests
    }

    /// The path with the highest sum of `value`, where `rests` comes from the same `value`.
    fn follow(&self, rests: &[f64], value: impl Fn(Sums) -> f64) -> Path {
        let mut path = Path { sums: self.start, blocks: Vec::new() };
        let mut node = &self.nodes[0];
        loop {
            let through = |step: &&Step| value(step.adds) + rests[step.to];
            let step = node.steps.iter().max_by(|a, b| through(a).total_cmp(&through(b)));
            match (step, node.end) {
                (Some(step), end) if end.is_none_or(|end| through(&step) > value(end)) => {
                    path.sums = path.sums + step.adds;
                    path.blocks.push(step.block);
                    node = &self.nodes[step.to];
                }
                (_, end) => {
                    path.sums = path.sums + end.expect("every node leads to an end");
                    return path;
                }
            }
        }
    }
}
