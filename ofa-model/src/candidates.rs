//! [`CandidateNetwork`]: a network in which every block has several candidates with weights of their own.

mod mix;
mod mixture;

pub use mixture::{Gate, Mixed, Mixture};

use crate::elastic::{Block, Head, MaxPool};
use crate::init::Initializer;
use crate::{Arch, ChoiceGroups, ElasticNetwork, ModelError, SearchSpace, StageGroups, Subnet, Unit, UnitLayers};
use burn::module::Module;
use burn::tensor::Device;

/// Sanity limit on the parameters of all candidates together: 2 GB, and as much for momentum.
const MOST_PARAMETERS: u64 = 500_000_000;

/// The over-parameterised network of ProxylessNAS (arXiv:1812.00332) and FBNet (arXiv:1812.03443): each block has one
/// candidate per kernel size and expand ratio, with weights and batch norms of its own; how many blocks of a stage run
/// is another choice.
///
/// As an [`ElasticNetwork`], its subnets are ordinary [`Subnet`]s, so a path is trained and evaluated like any subnet of
/// a [`Supernet`](crate::Supernet). [`forward_mixture`](Self::forward_mixture) runs several paths at once.
#[derive(Module, Debug)]
pub struct CandidateNetwork {
    stem: Vec<Block>,
    stages: Vec<CandidateStage>,
    head: Head,
    #[module(skip)]
    space: SearchSpace,
}

#[derive(Module, Debug)]
struct CandidateStage {
    pool: Option<MaxPool>,
    blocks: Vec<CandidateBlock>,
}

/// The candidates of one block, in the order of [`StageGroups::candidates`].
#[derive(Module, Debug)]
struct CandidateBlock {
    candidates: Vec<Block>,
}

/// Space and seed of a [`CandidateNetwork`].
#[derive(Clone, Debug)]
pub struct CandidateConfig {
    space: SearchSpace,
    groups: ChoiceGroups,
    seed: u64,
}

impl CandidateConfig {
    /// A network with all candidates of `space`. The seed of its initial weights defaults to 0.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidSpace`] if the space has no [`ChoiceGroups`], or if its candidates together have more than
    /// 500 million parameters; the error gives the numbers.
    pub fn new(space: SearchSpace) -> Result<Self, ModelError> {
        let groups = ChoiceGroups::new(&space, space.largest().resolution)?;
        let config = Self { space, groups, seed: 0 };
        let parameters = config.parameters();
        if parameters > MOST_PARAMETERS {
            let candidates: usize = config.layers().iter().flatten().map(Vec::len).sum();
            let blocks: usize = config.layers().iter().map(Vec::len).sum();
            let problem = format!(
                "its {blocks} blocks have {candidates} candidates with {parameters} parameters in all, more than \
                 {MOST_PARAMETERS}: offer fewer kernel sizes, expand ratios or blocks"
            );
            return Err(ModelError::InvalidSpace { space: config.space.name, problem });
        }
        Ok(config)
    }

    /// Sets the seed of the initial weights; the default is 0.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Number of trainable scalars of the whole network.
    pub fn parameters(&self) -> u64 {
        let fixed =
            self.space.stem_units(self.groups.resolution()).iter().map(|unit| unit.cost().parameters).sum::<u64>();
        let head = UnitLayers::Head(self.space.head_shape(self.space.largest_channels()));
        let layers = self.layers();
        let all = layers.iter().flatten().flatten().chain([&head]);
        // Parameters do not depend on the input size.
        fixed + all.map(|&layers| Unit { input_size: 1, layers }.cost().parameters).sum::<u64>()
    }

    /// Draws the initial weights, as [`SupernetConfig::init`](crate::SupernetConfig::init) does. For training, `device`
    /// must be an autodiff device.
    pub fn init(self, device: &Device) -> CandidateNetwork {
        let (epsilon, init) = (self.space.norm_epsilon, &mut Initializer::new(self.seed, device));
        let mut block = |layers: &UnitLayers| Block::init(layers, epsilon, init).expect("only the head is not a block");
        let stem = self.space.stem_units(self.groups.resolution()).iter().map(|unit| block(&unit.layers)).collect();
        let mut stages = Vec::with_capacity(self.space.stages.len());
        for (stage, blocks) in self.space.stages.iter().zip(self.layers()) {
            let blocks =
                blocks.iter().map(|layers| CandidateBlock { candidates: layers.iter().map(&mut block).collect() });
            stages.push(CandidateStage { pool: stage.max_pool.then(MaxPool::default), blocks: blocks.collect() });
        }
        let head = Head::init(&self.space.head_shape(self.space.largest_channels()), epsilon, init);
        CandidateNetwork { stem, stages, head, space: self.space }
    }

    /// Layers by stage, block and candidate.
    fn layers(&self) -> Vec<Vec<Vec<UnitLayers>>> {
        let space = &self.space;
        let of_stage = |(s, groups): (usize, &StageGroups)| {
            let width = space.stages[s].widths[0];
            let inputs = [space.stage_inputs(s)[0], space.stages[s].channels_at(width)];
            let of_block = |b: usize| {
                let candidates = groups.candidates.iter();
                candidates.map(|&choices| space.block_layers(s, b, inputs[b.min(1)], width, choices)).collect()
            };
            (0..groups.blocks().len()).map(of_block).collect()
        };
        self.groups.stages().iter().enumerate().map(of_stage).collect()
    }
}

impl CandidateNetwork {
    /// The space whose choices are the candidates.
    pub fn space(&self) -> &SearchSpace {
        &self.space
    }

    /// The path `arch` as a network of its own, linked to these weights for gradients.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space.
    pub fn path(&self, arch: &Arch) -> Subnet {
        if let Err(error) = self.space.check(arch) {
            panic!("{error}");
        }
        let groups = self.groups(arch.resolution);
        let choices = groups.choices(arch).expect("an arch of the space is one of its groups");
        let mut blocks = self.stem.clone();
        for (stage, groups) in self.stages.iter().zip(groups.stages()) {
            blocks.extend(stage.pool.iter().cloned().map(Block::MaxPool));
            let depth = groups.depths[choices[groups.first]];
            let chosen = stage.blocks.iter().zip(groups.blocks()).take(depth);
            blocks.extend(chosen.map(|(block, group)| block.candidates[choices[group]].clone()));
        }
        Subnet::new(blocks, self.head.clone(), self.space.clone(), arch.clone())
    }

    /// The groups of choices at `resolution`, one of the space's.
    fn groups(&self, resolution: usize) -> ChoiceGroups {
        ChoiceGroups::new(&self.space, resolution).expect("the space was checked when the network was built")
    }
}

impl ElasticNetwork for CandidateNetwork {
    type Subnet = Subnet;

    fn space(&self) -> &SearchSpace {
        self.space()
    }

    fn view(&self, arch: &Arch) -> Subnet {
        self.path(arch)
    }
}

#[cfg(test)]
mod tests;
