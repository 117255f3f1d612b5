//! Random subnets, binned by MACs: where in the space does an arm gain?

use super::record::DoneCell;
use super::statistics::Gap;
use serde::{Deserialize, Serialize};

/// Number of bins; all hold about equally many subnets.
const BINS: usize = 5;

/// One bin: random subnets with similar MACs, in two arms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BinGap {
    /// Fewest and most MACs in the bin.
    pub macs: [u64; 2],
    /// Number of subnets.
    pub subnets: usize,
    /// Their mean test top-1 in the treatment and in the control.
    pub top1: [f64; 2],
    /// Difference of these means, with its interval over seeds.
    pub gap: Gap,
}

/// Bins the random subnets of cells that are paired by seed, from few MACs to many. Empty if a cell reports none, or if
/// the cells report different numbers.
pub(super) fn bin_gaps(pairs: &[(&DoneCell, &DoneCell)], confidence: f64) -> Vec<BinGap> {
    let accuracies: Vec<_> = pairs.iter().map(|(a, b)| (a.random(), b.random())).collect();
    let Some((first, _)) = accuracies.first() else { return Vec::new() };
    if first.is_empty() || accuracies.iter().any(|(a, b)| a.len() != first.len() || b.len() != first.len()) {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..first.len()).collect();
    order.sort_by_key(|&i| first[i].0);
    let bin = |members: &[usize]| {
        let mean = |rows: &[(u64, f64)]| members.iter().map(|&i| rows[i].1).sum::<f64>() / members.len() as f64;
        let means: Vec<[f64; 2]> = accuracies.iter().map(|(a, b)| [mean(a), mean(b)]).collect();
        let differences: Vec<f64> = means.iter().map(|[a, b]| a - b).collect();
        BinGap {
            macs: [first[members[0]].0, first[members[members.len() - 1]].0],
            subnets: members.len(),
            top1: [0, 1].map(|i| means.iter().map(|mean| mean[i]).sum::<f64>() / means.len() as f64),
            gap: Gap::of(&differences, confidence),
        }
    };
    let bounds = |i: usize| i * order.len() / BINS;
    let parts = (0..BINS).map(|i| &order[bounds(i)..bounds(i + 1)]);
    parts.filter(|members| !members.is_empty()).map(bin).collect()
}
