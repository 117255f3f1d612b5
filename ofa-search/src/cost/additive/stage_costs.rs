//! [`StageCosts`]: what every block that a stage can have adds to a cost.

use super::pair_ranks::PairRanks;
use super::pairs;
use ofa_model::{BlockArch, Ratio, StageSpace};
use std::ops::Range;

/// What every block that a stage can have adds to a cost.
#[derive(Clone, Debug)]
pub(super) struct StageCosts {
    /// Widths that the stage before can have.
    inputs: usize,
    /// Places for blocks: the first behind each of these widths, then every later one.
    places: usize,
    widths: Vec<Ratio>,
    /// Where each pair of a kernel size and an expand ratio stands in a row of `shares`.
    pairs: PairRanks,
    /// `[resolution, place, width, pair]`, flattened.
    shares: Vec<f64>,
}

impl StageCosts {
    /// Nothing, for a stage behind one of `inputs` widths at any of so many resolutions.
    pub fn zero(stage: &StageSpace, inputs: usize, resolutions: usize) -> Self {
        let places = inputs + stage.greatest_depth() - 1;
        let pairs = PairRanks::new(&pairs(stage).collect::<Vec<_>>());
        let shares = vec![0.0; resolutions * places * stage.widths.len() * pairs.len()];
        Self { inputs, places, widths: stage.widths.clone(), pairs, shares }
    }

    /// Places of the first block.
    pub fn first_places(&self) -> Range<usize> {
        0..self.inputs
    }

    /// Places of all other blocks.
    pub fn later_places(&self) -> Range<usize> {
        self.inputs..self.places
    }

    /// Place of block `block` (from 0) behind a stage with the `input`th of its widths.
    pub fn place(&self, input: usize, block: usize) -> usize {
        if block == 0 { input } else { self.inputs + block - 1 }
    }

    /// Where a width stands among those of the stage.
    pub fn width(&self, width: Ratio) -> Option<usize> {
        self.widths.iter().position(|&offered| offered == width)
    }

    /// Adds the share of a block to each of `places`.
    pub fn add(&mut self, resolution: usize, places: Range<usize>, width: Ratio, block: &BlockArch, share: f64) {
        let width = self.width(width).expect("the width is one of the stage's choices");
        for place in places {
            let i = self.index(resolution, place, width, block).expect("the block is one of the stage's choices");
            self.shares[i] += share;
        }
    }

    /// Multiplies every share.
    pub fn scale(&mut self, slope: f64) {
        self.shares.iter_mut().for_each(|share| *share *= slope);
    }

    /// The share of a block; `None` if the stage cannot have it.
    pub fn of(&self, resolution: usize, place: usize, width: usize, block: &BlockArch) -> Option<f64> {
        Some(self.shares[self.index(resolution, place, width, block)?])
    }

    /// Where the share of a block stands in `shares`.
    fn index(&self, resolution: usize, place: usize, width: usize, block: &BlockArch) -> Option<usize> {
        if place >= self.places {
            return None;
        }
        let row = (resolution * self.places + place) * self.widths.len() + width;
        Some(row * self.pairs.len() + self.pairs.rank(block)?)
    }
}
