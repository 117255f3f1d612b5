//! [`Supernet`]: the shared weights of every network of a space.

use crate::elastic::{Block, ElasticBlock, Head, MaxPool, Statistics};
use crate::{Arch, ModelError, SearchSpace, Subnet, Unit, UnitLayers, init::Initializer};
use burn::module::{Module, ParamId};
use burn::tensor::{Device, Tensor};

/// All weights of a [`SearchSpace`]; every subnet is a slice of them.
#[derive(Module, Debug)]
pub struct Supernet {
    stem: Vec<ElasticBlock>,
    stages: Vec<ElasticStage>,
    head: Head,
    #[module(skip)]
    space: SearchSpace,
}

/// The blocks of one stage at its greatest depth.
#[derive(Module, Debug)]
struct ElasticStage {
    blocks: Vec<ElasticBlock>,
}

/// Space, seed and initialisation of a [`Supernet`].
#[derive(Clone, Debug)]
pub struct SupernetConfig {
    space: SearchSpace,
    seed: u64,
    zero_last_gamma: bool,
}

impl SupernetConfig {
    /// A supernet for every network of `space`. The seed of its initial weights defaults to 0.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidSpace`] if the space contradicts itself.
    pub fn new(space: SearchSpace) -> Result<Self, ModelError> {
        space.validate()?;
        Ok(Self { space, seed: 0, zero_last_gamma: false })
    }

    /// Sets the seed of the initial weights; the default is 0.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// If `true`, the last batch norm of every residual block, including those in the stem, starts with scale 0, so the
    /// block initially adds nothing to its shortcut (Goyal et al. 2017, section 5.1). The default is `false`.
    ///
    /// In ResNets, the original skips the stem and the bottlenecks whose shortcut is a convolution.
    pub fn with_zero_last_gamma(self, zero_last_gamma: bool) -> Self {
        Self { zero_last_gamma, ..self }
    }

    /// Draws the initial weights: He's fan-out normal for convolutions, identity for kernel transforms.
    ///
    /// The same seed gives the same weights on every backend. For training, `device` must be an autodiff device.
    pub fn init(self, device: &Device) -> Supernet {
        let Self { space, seed, zero_last_gamma } = self;
        let (epsilon, init) = (space.norm_epsilon, &mut Initializer::new(seed, device));
        let stem = stem_blocks(&space).into_iter();
        let stem = stem.map(|unit| ElasticBlock::init(&unit.layers, &[unit.kernel_size()], epsilon, init)).collect();
        let mut stages = Vec::with_capacity(space.stages.len());
        for (s, stage) in space.stages.iter().enumerate() {
            let block = |b| ElasticBlock::init(&space.largest_layers(s, b), &stage.kernel_sizes, epsilon, init);
            stages.push(ElasticStage { blocks: (0..stage.greatest_depth()).map(block).collect() });
        }
        let head = Head::init(&space.head_shape(space.largest_channels()), epsilon, init);
        let supernet = Supernet { stem, stages, head, space };
        if zero_last_gamma { supernet.zeroed_last_gamma() } else { supernet }
    }
}

impl Supernet {
    /// The search space whose networks share these weights.
    pub fn space(&self) -> &SearchSpace {
        &self.space
    }

    /// These weights with a new classifier for `classes` classes, drawn by `seed`: the beginning of a training on other
    /// classes.
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

    /// These weights for a selection of the classes, in the given order (counted from 0).
    ///
    /// # Panics
    ///
    /// If `classes` is empty, or an index is out of range.
    pub fn with_classes(mut self, classes: &[usize]) -> Self {
        let most = self.space.classes;
        assert!(!classes.is_empty() && classes.iter().all(|&class| class < most), "{classes:?} of {most} classes");
        self.space.classes = classes.len();
        self.head = self.head.with_classes(classes);
        self
    }

    /// These weights with `resolution` among the resolutions of the space: no weight depends on it.
    pub fn with_resolution(mut self, resolution: usize) -> Self {
        self.space = self.space.with_resolution(resolution);
        self
    }

    /// These weights for `space`, which may differ in its name and its resolutions: no weight depends on them. `None`
    /// if it differs in anything else.
    pub fn in_space(mut self, space: &SearchSpace) -> Option<Self> {
        let (name, resolutions) = (self.space.name.clone(), self.space.resolutions.clone());
        (SearchSpace { name, resolutions, ..space.clone() } == self.space).then(|| {
            self.space = space.clone();
            self
        })
    }

    /// Computes logits `[batch, classes]` of subnet `arch` for images `[batch, channels, height, width]`.
    ///
    /// For training, pass [`Statistics::Batch`]. Gradients reach exactly the weights that `arch` uses.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space.
    pub fn forward(&self, images: Tensor<4>, arch: &Arch, statistics: &mut Statistics) -> Tensor<2> {
        self.view(arch).forward(images, statistics)
    }

    /// Like [`Supernet::forward`], but applies `change` (dropout, for example) to the features `[batch, features]`
    /// before the classifier.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space.
    pub fn forward_with(
        &self,
        images: Tensor<4>,
        arch: &Arch,
        statistics: &mut Statistics,
        change: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        self.view(arch).forward_with(images, statistics, change)
    }

    /// Extracts subnet `arch` as an independent network without gradients.
    ///
    /// Its batch-norm statistics are slices of the supernet's. They mean nothing before an import or a calibration: see
    /// [`Subnet::calibrate`].
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space.
    pub fn subnet(&self, arch: &Arch) -> Subnet {
        self.view(arch).valid()
    }

    /// The subnet `arch` as slices of this supernet's weights, linked to them for gradients.
    pub(crate) fn view(&self, arch: &Arch) -> Subnet {
        let elastic = self.stages.iter().zip(&arch.stages).flat_map(|(all, some)| &all.blocks[..some.blocks.len()]);
        let mut elastic = self.stem.iter().chain(elastic);
        let mut next = || elastic.next().expect("an arch of the space has no more blocks than the supernet");
        let (mut blocks, mut head) = (Vec::new(), self.head.clone());
        for unit in self.space.units(arch) {
            match &unit.layers {
                UnitLayers::MaxPool { .. } => blocks.push(Block::MaxPool(MaxPool::default())),
                UnitLayers::Head(shape) => head = self.head.at(shape),
                layers => blocks.push(next().at(layers)),
            }
        }
        Subnet::new(blocks, head, self.space.clone(), arch.clone())
    }

    /// Ids of the kernel transforms of all blocks: matrices `[k * k, k * k]` that map a larger depthwise kernel to the
    /// next smaller size `k`.
    pub fn kernel_transforms(&self) -> Vec<ParamId> {
        let blocks = self.stem.iter().chain(self.stages.iter().flat_map(|stage| &stage.blocks));
        let transforms = blocks.filter_map(|block| match block {
            ElasticBlock::MbConv(block) => Some(&block.depthwise.transforms),
            ElasticBlock::Conv(_) | ElasticBlock::Bottleneck(_) => None,
        });
        transforms.flatten().map(|matrix| matrix.id).collect()
    }

    /// Sets the scale of the last batch norm of every residual block to 0.
    fn zeroed_last_gamma(mut self) -> Self {
        let space = self.space.clone();
        let stem = std::mem::take(&mut self.stem).into_iter().zip(stem_blocks(&space));
        self.stem = stem.map(|(block, unit)| block.zeroed_last_gamma(&unit.layers)).collect();
        self.map_blocks(|s, b, block| block.zeroed_last_gamma(&space.largest_layers(s, b)))
    }

    /// Replaces every elastic block, stage by stage; `change` gets the stage index, the block index and the block.
    pub(crate) fn map_blocks(mut self, mut change: impl FnMut(usize, usize, ElasticBlock) -> ElasticBlock) -> Self {
        for (s, stage) in self.stages.iter_mut().enumerate() {
            let blocks = std::mem::take(&mut stage.blocks).into_iter().enumerate();
            stage.blocks = blocks.map(|(b, block)| change(s, b, block)).collect();
        }
        self
    }
}

/// The stem's units that have weights, at the lowest resolution.
fn stem_blocks(space: &SearchSpace) -> Vec<Unit> {
    let mut units = space.stem_units(space.resolutions[0]);
    units.retain(|unit| !matches!(unit.layers, UnitLayers::MaxPool { .. }));
    units
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Draw;
    use burn::optim::GradientsParams;
    use burn::tensor::Tolerance;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn images(n: usize, size: usize) -> Tensor<4> {
        Draw::new(5).normal([n, 1, size, size], 0.0, 1.0)
    }

    fn supernet(device: &Device) -> Supernet {
        SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10)).unwrap().with_seed(3).init(device)
    }

    #[test]
    fn every_subnet_computes_what_the_supernet_does() {
        let device = Device::flex();
        let supernet = supernet(&device);
        let rng = &mut ChaCha8Rng::seed_from_u64(11);
        for _ in 0..100 {
            let arch = supernet.space().sample(rng);
            let x = images(2, arch.resolution);
            let expected = supernet.forward(x.clone(), &arch, &mut Statistics::Batch);
            let subnet = supernet.subnet(&arch);
            assert_eq!(subnet.num_trainable() as u64, supernet.space().cost(&arch).parameters, "{arch}");
            let found = subnet.forward(x, &mut Statistics::Batch);
            found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
        }
    }

    #[test]
    fn subnets_of_other_widths_compute_what_the_supernet_does() {
        let device = Device::flex();
        let mut space = SearchSpace::resnet50d(10);
        space.resolutions = vec![33, 64];
        // Narrower than published, and with inverted bottlenecks of elastic width before a head that expands.
        space.stages.iter_mut().for_each(|stage| stage.channels /= 4);
        let mut last = SearchSpace::small_mobilenet_v3(3, 10).stages.remove(2);
        last.widths = space.stages[0].widths.clone();
        space.stages.push(last);
        let expanding = SearchSpace { head: SearchSpace::small_mobilenet_v3(3, 10).head, ..space.clone() };
        let rng = &mut ChaCha8Rng::seed_from_u64(12);
        for space in [space, expanding] {
            let supernet = SupernetConfig::new(space).unwrap().init(&device);
            for _ in 0..10 {
                let arch = supernet.space().sample(rng);
                let x = Draw::new(5).normal([2, 3, arch.resolution, arch.resolution], 0.0, 1.0);
                let expected = supernet.forward(x.clone(), &arch, &mut Statistics::Batch);
                let subnet = supernet.subnet(&arch);
                assert_eq!(subnet.num_trainable() as u64, supernet.space().cost(&arch).parameters, "{arch}");
                let found = subnet.forward(x, &mut Statistics::Batch);
                found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
            }
        }
    }

    #[test]
    fn gradients_reach_the_used_slices_only() {
        let device = Device::flex().autodiff();
        let supernet = supernet(&device);
        let arch = supernet.space().smallest();
        let loss =
            supernet.forward(Tensor::from_inner(images(4, 20)), &arch, &mut Statistics::Batch).powf_scalar(2.0).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &supernet);

        let [block, _, ElasticBlock::MbConv(skipped), _] = &supernet.stages[0].blocks[..] else { panic!() };
        let ElasticBlock::MbConv(block) = block else { panic!() };
        let expand = &block.expand.as_ref().unwrap().weight;
        let gradient = gradients.get::<4>(expand.id).unwrap();
        let [all, _, _, _] = expand.dims();
        let used = 24;
        assert!(used < all);
        let norm = |range: std::ops::Range<usize>| gradient.clone().slice([range]).abs().sum().into_scalar::<f32>();
        assert!(norm(0..used) > 0.0);
        assert_eq!(norm(used..all), 0.0);
        // The 3x3 kernel goes through both transforms; the third block of a stage of depth 2 is unused.
        assert!(block.depthwise.transforms.iter().all(|matrix| gradients.get::<2>(matrix.id).is_some()));
        assert!(gradients.get::<4>(skipped.project.weight.id).is_none());
    }

    #[test]
    fn the_seed_decides_the_weights() {
        let device = Device::flex();
        let logits = |seed| {
            let config = SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10)).unwrap().with_seed(seed);
            let supernet = config.init(&device);
            supernet.forward(images(1, 28), &supernet.space().largest(), &mut Statistics::Batch).into_data()
        };
        assert_eq!(logits(1), logits(1));
        assert_ne!(logits(1), logits(2));
    }

    #[test]
    fn parameters_of_the_published_supernets() {
        let cases = [
            (SearchSpace::mobilenet_v3(1.0, 1000), 7_678_880),
            (SearchSpace::mobilenet_v3(1.2, 1000), 10_715_752),
            (SearchSpace::proxyless_nas(1.3, 1000), 7_956_882),
            (SearchSpace::resnet50d(1000), 48_105_992),
        ];
        for (space, expected) in cases {
            let supernet = SupernetConfig::new(space).unwrap().init(&Device::flex());
            assert_eq!(crate::subnet::trainable_numbers(&supernet), expected, "{}", supernet.space().name);
        }
    }

    #[test]
    fn blocks_of_zero_scale_are_the_identity() {
        let device = Device::flex();
        for space in [SearchSpace::small_mobilenet_v3(1, 10), SearchSpace::resnet50d(10)] {
            let x = Draw::new(5).normal([2, space.image_channels, 32, 32], 0.0, 1.0);
            let space = SearchSpace { resolutions: vec![32], ..space };
            let config = SupernetConfig::new(space.clone()).unwrap().with_seed(3);
            let logits = |net: &Supernet, arch: &Arch| net.forward(x.clone(), arch, &mut Statistics::Batch);
            let shallow = |mut arch: Arch| {
                for (stage, space) in arch.stages.iter_mut().zip(&space.stages) {
                    stage.blocks.truncate(space.depths[0]);
                }
                arch
            };
            let difference = |net: &Supernet| {
                let (deep, shallow) = (logits(net, &space.largest()), logits(net, &shallow(space.largest())));
                (deep - shallow).abs().max().into_scalar::<f32>()
            };
            // Deeper blocks add nothing: the activation after the sum sees values that an earlier one has already
            // clipped.
            assert!(difference(&config.clone().with_zero_last_gamma(true).init(&device)) < 1e-5, "{}", space.name);
            assert!(difference(&config.init(&device)) > 1e-3, "{}", space.name);
        }
    }

    #[test]
    fn the_residual_block_of_the_stem_begins_with_a_scale_of_zero_too() {
        let device = Device::flex();
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let scales = |zero| {
            let config = SupernetConfig::new(space.clone()).unwrap().with_zero_last_gamma(zero);
            let supernet = config.init(&device);
            let [ElasticBlock::Conv(first), ElasticBlock::MbConv(second)] = &supernet.stem[..] else { panic!() };
            [&first.conv, &second.project].map(|layer| layer.norm.gamma.val().abs().max().into_scalar::<f32>())
        };
        assert_eq!(scales(true), [1.0, 0.0], "the first convolution has no shortcut");
        assert_eq!(scales(false), [1.0, 1.0]);
    }
}
