//! [`StageCosts`]: the cost of every block that a stage can have.

use super::pair_ranks::PairRanks;
use super::pairs;
use ofa_model::{BlockArch, Ratio, StageSpace};
use std::ops::Range;

/// The cost of every block that a stage can have.
#[derive(Clone, Debug)]
pub(super) struct StageCosts {
    /// Number of input widths: those of the previous stage.
    inputs: usize,
    /// Number of places for blocks: the first block once per input width, then every later block.
    places: usize,
    widths: Vec<Ratio>,
    /// Index of each (kernel size, expand ratio) pair in a row of `shares`.
    pairs: PairRanks,
    /// `[resolution, place, width, pair]`, flattened.
    shares: Vec<f64>,
}

impl StageCosts {
    /// All zeros, for a stage with `inputs` input widths and this number of resolutions.
    pub fn zero(stage: &StageSpace, inputs: usize, resolutions: usize) -> Self {
        let places = inputs + stage.greatest_depth() - 1;
        let pairs = PairRanks::new(&pairs(stage).collect::<Vec<_>>());
        let shares = vec![0.0; resolutions * places * stage.widths.len() * pairs.len()];
        Self { inputs, places, widths: stage.widths.clone(), pairs, shares }
    }

    /// Places of the first block, one per input width.
    pub fn first_places(&self) -> Range<usize> {
        0..self.inputs
    }

    /// Places of all other blocks.
    pub fn later_places(&self) -> Range<usize> {
        self.inputs..self.places
    }

    /// Place of block `block` (from 0) after a stage with its `input`th width.
    pub fn place(&self, input: usize, block: usize) -> usize {
        if block == 0 { input } else { self.inputs + block - 1 }
    }

    /// Index of `width` among those of the stage. `None` if it is not offered.
    pub fn width(&self, width: Ratio) -> Option<usize> {
        self.widths.iter().position(|&offered| offered == width)
    }

    /// Adds `share` to a block at each of `places`.
    pub fn add(&mut self, resolution: usize, places: Range<usize>, width: Ratio, block: &BlockArch, share: f64) {
        let width = self.width(width).expect("the width is one of the stage's choices");
        for place in places {
            let i = self.index(resolution, place, width, block).expect("the block is one of the stage's choices");
            self.shares[i] += share;
        }
    }

    /// Multiplies every share by `slope`.
    pub fn scale(&mut self, slope: f64) {
        self.shares.iter_mut().for_each(|share| *share *= slope);
    }

    /// The share of a block. `None` if the stage cannot have it.
    pub fn of(&self, resolution: usize, place: usize, width: usize, block: &BlockArch) -> Option<f64> {
        Some(self.shares[self.index(resolution, place, width, block)?])
    }

    /// Index of a block in `shares`.
    fn index(&self, resolution: usize, place: usize, width: usize, block: &BlockArch) -> Option<usize> {
        if place >= self.places {
            return None;
        }
        let row = (resolution * self.places + place) * self.widths.len() + width;
        Some(row * self.pairs.len() + self.pairs.rank(block)?)
    }
}
