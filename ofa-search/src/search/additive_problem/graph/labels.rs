//! Dynamic programming: the best trade-offs between cost and score at every node.

use super::{Graph, Node, Path, PlacedBlock, Relaxation, Sums};

/// Sums with a smaller relative difference are equal up to rounding.
const ROUNDING: f64 = 1e-12;

/// A path from the first node to some node.
struct Label {
    sums: Sums,
    /// The previous label and the block that follows it. `None` at the first node.
    last: Option<(usize, PlacedBlock)>,
}

impl Graph {
    /// The feasible path of the highest score, if that exceeds `score`.
    pub(in crate::search::additive_problem) fn better_than(
        &self,
        score: f64,
        relaxation: &Relaxation,
        limit: f64,
    ) -> Option<Path> {
        let (mut highest, mut best) = (score, None);
        let mut labels = vec![Label { sums: self.start, last: None }];
        let mut at_node: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        at_node[0].push(0);
        for (n, Node { steps, end }) in self.nodes.iter().enumerate() {
            for from in undominated(std::mem::take(&mut at_node[n]), &labels) {
                let sums = labels[from].sums;
                if let Some(whole) = end.map(|end| sums + end)
                    && whole.cost <= limit
                    && whole.score > highest
                {
                    (highest, best) = (whole.score, Some((from, whole)));
                }
                for step in steps {
                    let sums = sums + step.adds;
                    if relaxation.promises(step.to, sums, limit, highest) {
                        at_node[step.to].push(labels.len());
                        labels.push(Label { sums, last: Some((from, step.block)) });
                    }
                }
            }
        }
        best.map(|(label, sums)| Path { sums, blocks: blocks(&labels, label) })
    }
}

impl Relaxation {
    /// Whether a path with `sums` up to `node` may end within `limit` and above `score`.
    fn promises(&self, node: usize, sums: Sums, limit: f64, score: f64) -> bool {
        let affordable = sums.cost + self.least_cost[node] <= limit + ROUNDING * limit.abs();
        let bound = sums.worth(self.price) + self.worth[node] + self.price * limit;
        affordable && bound > score + ROUNDING * score.abs()
    }
}

/// The labels whose score no cheaper label reaches.
fn undominated(mut at_node: Vec<usize>, labels: &[Label]) -> Vec<usize> {
    at_node.sort_by(|&a, &b| {
        let (a, b) = (labels[a].sums, labels[b].sums);
        a.cost.total_cmp(&b.cost).then(b.score.total_cmp(&a.score))
    });
    let mut highest = f64::NEG_INFINITY;
    at_node.retain(|&label| {
        let score = labels[label].sums.score;
        let higher = score > highest;
        highest = highest.max(score);
        higher
    });
    at_node
}

fn blocks(labels: &[Label], mut label: usize) -> Vec<PlacedBlock> {
    let mut blocks = Vec::new();
    while let Some((before, block)) = labels[label].last {
        blocks.push(block);
        label = before;
    }
    blocks.reverse();
    blocks
}
