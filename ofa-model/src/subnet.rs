//! [`Subnet`]: one network extracted from a supernet, built from ordinary layers.

use crate::elastic::{Block, Head, Moments, Statistics};
use crate::init::Initializer;
use crate::{Arch, ModelError, SearchSpace, SupernetConfig, Unit, in_pool};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

/// One network with its own weights and batch-norm statistics.
#[derive(Module, Debug)]
pub struct Subnet {
    pub(crate) blocks: Vec<Block>,
    pub(crate) head: Head,
    #[module(skip)]
    space: SearchSpace,
    #[module(skip)]
    arch: Arch,
}

impl Subnet {
    pub(crate) fn new(blocks: Vec<Block>, head: Head, space: SearchSpace, arch: Arch) -> Self {
        Self { blocks, head, space, arch }
    }

    /// A network with initial weights of its own, drawn by `seed` as for a supernet: the beginning of a training alone.
    ///
    /// # Errors
    ///
    /// If the space contradicts itself or does not contain `arch`.
    pub fn init(space: SearchSpace, arch: &Arch, seed: u64, device: &Device) -> Result<Self, ModelError> {
        space.validate()?;
        space.check(arch)?;
        let (epsilon, init) = (space.norm_epsilon, &mut Initializer::new(seed, device));
        let units = space.units(arch);
        let blocks = units.iter().filter_map(|unit| Block::init(&unit.layers, epsilon, init)).collect();
        let head = space.head_shape(units.last().map_or(0, Unit::in_channels));
        Ok(Self::new(blocks, Head::init(&head, epsilon, init), space, arch.clone()))
    }

    /// A network with the right shapes and arbitrary weights, to be loaded from a file.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space or the space is invalid.
    pub(crate) fn blank(space: SearchSpace, arch: &Arch, device: &Device) -> Self {
        let config = SupernetConfig::new(space).expect("the space has been validated");
        config.init(device).subnet(arch)
    }

    /// The choices that define this network.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }

    /// This network, which must be `arch` apart from its resolution, at the resolution of `arch`.
    ///
    /// # Panics
    ///
    /// If it is another.
    pub(crate) fn at_resolution(&self, arch: &Arch) -> Self {
        assert_eq!(arch.stages, self.arch.stages, "this network is another");
        Self { arch: arch.clone(), ..self.clone() }
    }

    /// The search space this network comes from.
    pub fn space(&self) -> &SearchSpace {
        &self.space
    }

    /// This network with a new classifier for `classes` classes, drawn by `seed`.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidSpace`] if a space cannot have that many classes.
    pub fn with_new_head(mut self, classes: usize, seed: u64) -> Result<Self, ModelError> {
        self.space.classes = classes;
        self.space.validate()?;
        let device = self.head.classifier_bias.val().device();
        self.head = self.head.with_new_classifier(classes, &mut Initializer::new(seed, &device));
        Ok(self)
    }

    /// Computes logits `[batch, classes]` for images `[batch, channels, height, width]`.
    pub fn forward(&self, images: Tensor<4>, statistics: &mut Statistics) -> Tensor<2> {
        self.forward_with(images, statistics, |features| features)
    }

    /// Like [`Subnet::forward`], but applies `change` (dropout, for example) to the features `[batch, features]` before
    /// the classifier.
    pub fn forward_with(
        &self,
        images: Tensor<4>,
        statistics: &mut Statistics,
        change: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let maps = self.blocks.iter().fold(images, |x, block| block.forward(x, statistics));
        self.head.classify(change(self.head.features(maps, statistics)))
    }

    /// Computes logits `[batch, classes]` for images `[batch, channels, height, width]` with the network's running
    /// statistics.
    pub fn infer(&self, images: Tensor<4>) -> Tensor<2> {
        in_pool(|| self.forward(images, &mut Statistics::Running))
    }

    /// Number of trainable scalars: weights, biases, batch-norm scales and shifts.
    pub fn num_trainable(&self) -> usize {
        trainable_numbers(self)
    }

    /// Returns this network with the running statistics of `larger`, taken from its leading channels and first blocks.
    /// This shows what a subnet is worth without its own calibration.
    ///
    /// # Panics
    ///
    /// If `larger` comes from another space, or is shallower or narrower than this network.
    pub fn with_statistics_of(mut self, larger: &Self) -> Self {
        assert_eq!(self.space, larger.space, "the two networks come from different spaces");
        let mut larger = larger.clone();
        let depths = |arch: &Arch| -> Vec<usize> { arch.stages.iter().map(|stage| stage.blocks.len()).collect() };
        let theirs = depths(&larger.arch);
        // Pooling layers sit between stages and have no statistics.
        larger.blocks.retain(|block| !matches!(block, Block::MaxPool(_)));
        let stem = larger.blocks.len() - theirs.iter().sum::<usize>();
        let mut first = stem;
        let mut kept: Vec<usize> = (0..stem).collect();
        for (ours, theirs) in depths(&self.arch).into_iter().zip(theirs) {
            assert!(ours <= theirs, "a stage has {ours} blocks here but only {theirs} in the larger network");
            kept.extend(first..first + ours);
            first += theirs;
        }
        let sources = larger.blocks.iter_mut().enumerate().filter(|(i, _)| kept.contains(i));
        let sources = sources.flat_map(|(_, block)| block.convolutions_mut()).chain(&mut larger.head.expand);
        let targets = self.blocks.iter_mut().flat_map(Block::convolutions_mut).chain(&mut self.head.expand);
        for (target, source) in targets.zip(sources) {
            target.norm.set_running(source.norm.leading_statistics(target.norm.gamma.dims()[0]));
        }
        self
    }

    /// Replaces the running statistics of every batch norm. `moments` are in forward-pass order.
    ///
    /// # Panics
    ///
    /// If the number of moments is not the number of batch norms.
    pub(crate) fn set_statistics(&mut self, moments: Vec<Moments>) {
        let mut moments = moments.into_iter();
        let convolutions = self.blocks.iter_mut().flat_map(Block::convolutions_mut);
        for convolution in convolutions.chain(&mut self.head.expand) {
            convolution.norm.set_running(moments.next().expect("moments for every batch norm"));
        }
        assert!(moments.next().is_none(), "more moments than batch norms");
    }
}

/// Number of scalars in `module` that training may change.
pub(crate) fn trainable_numbers<M: Module>(module: &M) -> usize {
    #[derive(Default)]
    struct Count {
        path: Vec<String>,
        numbers: usize,
    }
    impl ModuleVisitor for Count {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            if !self.path.last().is_some_and(|name| name.starts_with("running_")) {
                self.numbers += parameter.shape().num_elements();
            }
        }
    }
    let mut count = Count::default();
    module.visit(&mut count);
    count.numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ElasticNetwork;
    use crate::testing::Draw;

    #[test]
    fn a_network_trained_alone_begins_with_weights_of_its_own_size() {
        let device = Device::flex();
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let arch: Arch = "r24-k7e6.k5e4-k3e3.k3e3.k7e3-k3e3.k5e6".parse().unwrap();
        let network = |seed| Subnet::init(space.clone(), &arch, seed, &device).unwrap();
        assert_eq!(network(1).num_trainable() as u64, space.cost(&arch).parameters);
        let images = Draw::new(1).normal([4, 1, 24, 24], 0.0, 1.0);
        let logits = |network: &Subnet| network.forward(images.clone(), &mut Statistics::Batch).into_data();
        assert_eq!(logits(&network(1)), logits(&ElasticNetwork::view(&network(1), &arch)));
        assert_ne!(logits(&network(1)), logits(&network(2)));
        let elsewhere = arch.at_resolution(26);
        assert!(matches!(Subnet::init(space, &elsewhere, 1, &device), Err(ModelError::OutsideSpace { .. })));
    }
}
