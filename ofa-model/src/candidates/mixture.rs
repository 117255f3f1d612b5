//! [`Mixture`]: which paths of a [`CandidateNetwork`] run, and how they count.

use super::mix::weighted_sum;
use super::{CandidateBlock, CandidateNetwork, CandidateStage};
use crate::elastic::{Block, Statistics};
use crate::{ChoiceCosts, ChoiceGroups, StageGroups};
use burn::module::Module;
use burn::tensor::{Gradients, Tensor};

/// A gate per group of [`ChoiceGroups`].
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// The gates, in the order of the groups.
    pub gates: Vec<Gate>,
}

/// The choices of a group that run, and the weight of each; the output is their weighted sum.
///
/// A choice of weight 0 changes nothing, and nothing is learned through it, but what the loss would gain by its weight
/// is computed (the binary gates of ProxylessNAS). It costs a forward pass and no memory for gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// Indices of the choices.
    pub choices: Vec<usize>,
    /// Weight of each.
    pub weights: Vec<f64>,
}

impl Gate {
    /// A single choice.
    pub fn only(choice: usize) -> Self {
        Self { choices: vec![choice], weights: vec![1.0] }
    }

    /// Every choice, with the given weights.
    pub fn all(weights: Vec<f64>) -> Self {
        Self { choices: (0..weights.len()).collect(), weights }
    }

    /// Place of the choice with the greatest weight.
    fn greatest(&self) -> usize {
        (0..self.weights.len()).fold(0, |best, i| if self.weights[i] > self.weights[best] { i } else { best })
    }
}

impl Mixture {
    /// One path: an index per group.
    pub fn path(choices: &[usize]) -> Self {
        Self { gates: choices.iter().copied().map(Gate::only).collect() }
    }

    /// Every choice of every group, weighted by `probabilities`.
    pub fn all(probabilities: &[Vec<f64>]) -> Self {
        Self { gates: probabilities.iter().cloned().map(Gate::all).collect() }
    }

    /// Whether there is a gate per group, and each has choices of its group.
    fn fits(&self, groups: &ChoiceGroups) -> bool {
        let sizes = groups.sizes();
        let fits = |(gate, size): (&Gate, &usize)| {
            gate.choices.len() == gate.weights.len() && gate.choices.iter().all(|choice| choice < size)
        };
        self.gates.len() == sizes.len() && self.gates.iter().zip(&sizes).all(fits)
    }

    /// MACs per image of a forward pass of all choices that run and, of these, of the ones that also run backwards.
    /// `macs` has the MACs of each choice ([`ChoiceCosts::macs`]).
    pub fn macs(&self, macs: &ChoiceCosts) -> [f64; 2] {
        [false, true].map(|learning| {
            let counted = |gate: &Gate, choice: usize| match gate.choices.iter().position(|&other| other == choice) {
                Some(i) if !learning || gate.weights[i] != 0.0 => 1.0,
                _ => 0.0,
            };
            let mut runs = macs.groups().filled(0.0);
            for stage in macs.groups().stages() {
                let depths = Depths::of(stage, &self.gates[stage.first]);
                for (b, block) in stage.blocks().enumerate() {
                    let gate = &self.gates[block];
                    if b < depths.learned {
                        (0..runs[block].len()).for_each(|choice| runs[block][choice] = counted(gate, choice));
                    } else if b < depths.deepest && !learning {
                        runs[block][gate.choices[gate.greatest()]] = 1.0;
                    }
                }
                // Every block of the deepest choice is reached with certainty.
                runs[stage.first] = vec![0.0; stage.depths.len()];
                runs[stage.first][stage.depths.len() - 1] = 1.0;
            }
            macs.expected(&runs)
        })
    }
}

/// How many blocks of a stage run.
struct Depths {
    /// Up to the deepest depth of a weight other than 0.
    learned: usize,
    /// Up to the deepest of all.
    deepest: usize,
}

impl Depths {
    fn of(stage: &StageGroups, gate: &Gate) -> Self {
        let depths = || gate.choices.iter().map(|&choice| stage.depths[choice]);
        let learned = depths().zip(&gate.weights).filter(|(_, weight)| **weight != 0.0).map(|(depth, _)| depth);
        Self { learned: learned.max().unwrap_or_default(), deepest: depths().max().unwrap_or_default() }
    }
}

/// Logits of a mixture of paths, and the leaves to which the gradients of its weights belong.
pub struct Mixed {
    /// `[batch, classes]`
    pub logits: Tensor<2>,
    /// By group, `[choices of the gate]`; `None` where a single choice runs.
    weights: Vec<Option<Tensor<1>>>,
}

impl Mixed {
    /// Derivative of the loss by the weight of each choice of each gate, by group; empty where a single choice runs,
    /// and 0 for gates that the loss does not depend on.
    pub fn gate_gradients(&self, gradients: &Gradients) -> Vec<Vec<f64>> {
        let of = |weights: &Option<Tensor<1>>| {
            let Some(weights) = weights else { return Vec::new() };
            let zeros = || vec![0.0; weights.dims()[0]];
            weights
                .grad(gradients)
                .map_or_else(zeros, |gradient| gradient.into_data().iter::<f32>().map(f64::from).collect())
        };
        self.weights.iter().map(of).collect()
    }
}

impl CandidateNetwork {
    /// Computes logits for images `[batch, channels, height, width]`, which must be on the network's autodiff device,
    /// with the statistics of the batch. `change` (dropout, for example) is applied to the features `[batch, features]`
    /// before the classifier.
    ///
    /// Blocks that only depths of weight 0 reach run their one most heavily weighted candidate.
    ///
    /// # Panics
    ///
    /// If the mixture does not have a gate per group with one of its choices, or all weights of a gate are 0.
    pub fn forward_mixture(
        &self,
        images: Tensor<4>,
        mixture: &Mixture,
        change: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Mixed {
        let groups = self.groups(self.space.largest().resolution);
        assert!(mixture.fits(&groups), "{mixture:?} does not fit the groups of the space");
        let mut pass = Pass { mixture, weights: vec![None; mixture.gates.len()] };
        let mut x = self.stem.iter().fold(images, |x, block| block.forward(x, &mut Statistics::Batch));
        for (stage, groups) in self.stages.iter().zip(groups.stages()) {
            x = pass.stage(x, stage, groups);
        }
        let features = change(self.head.features(x, &mut Statistics::Batch));
        Mixed { logits: self.head.classify(features), weights: pass.weights }
    }
}

/// A forward pass, which makes a leaf for each gate it comes to.
struct Pass<'a> {
    mixture: &'a Mixture,
    weights: Vec<Option<Tensor<1>>>,
}

impl Pass<'_> {
    fn stage(&mut self, x: Tensor<4>, stage: &CandidateStage, groups: &StageGroups) -> Tensor<4> {
        let gate = &self.mixture.gates[groups.first];
        let depths = Depths::of(groups, gate);
        assert!(depths.learned > 0, "all depths of a stage have weight 0");
        let mut x = stage.pool.iter().fold(x, |x, pool| pool.forward(x));
        let mut outputs = Vec::with_capacity(depths.deepest);
        for (b, (block, group)) in stage.blocks.iter().zip(groups.blocks()).take(depths.deepest).enumerate() {
            x = if b < depths.learned {
                self.block(x, block, group)
            } else {
                let gate = &self.mixture.gates[group];
                frozen(&block.candidates[gate.choices[gate.greatest()]], x)
            };
            outputs.push(x.clone());
        }
        let at = |&choice: &usize| outputs[groups.depths[choice] - 1].clone();
        self.mix(groups.first, gate.choices.iter().map(at).collect())
    }

    fn block(&mut self, x: Tensor<4>, block: &CandidateBlock, group: usize) -> Tensor<4> {
        let gate = &self.mixture.gates[group];
        let run = |(&choice, &weight): (&usize, &f64)| match &block.candidates[choice] {
            candidate if weight == 0.0 => frozen(candidate, x.clone()),
            candidate => candidate.forward(x.clone(), &mut Statistics::Batch),
        };
        self.mix(group, gate.choices.iter().zip(&gate.weights).map(run).collect())
    }

    /// The weighted sum of the outputs of a gate.
    fn mix(&mut self, group: usize, mut outputs: Vec<Tensor<4>>) -> Tensor<4> {
        let gate = &self.mixture.gates[group];
        if gate.choices.len() == 1 {
            return outputs.remove(0);
        }
        let weights: Vec<f32> = gate.weights.iter().map(|&weight| weight as f32).collect();
        let leaf = Tensor::<1>::from_floats(weights.as_slice(), &outputs[0].device()).require_grad();
        self.weights[group] = Some(leaf.clone());
        weighted_sum(leaf, outputs)
    }
}

/// Output of a block without a trace for gradients.
fn frozen(block: &Block, x: Tensor<4>) -> Tensor<4> {
    Tensor::from_inner(block.valid().forward(x.inner(), &mut Statistics::Batch))
}
