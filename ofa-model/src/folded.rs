//! [`FoldedSubnet`]: an inference-only subnet built from the plainest operations.

mod activation;
mod block;
mod conv;
mod head;
mod steps;

use crate::{Arch, SearchSpace, Subnet};
use block::FoldedBlock;
use burn::module::Module;
use burn::tensor::Tensor;
use conv::FoldedConv;
use head::FoldedHead;
pub(crate) use steps::{Layer, Step, run};

/// An inference-only subnet with its batch norms folded into its convolutions.
///
/// Its forward pass uses only operations that other tools also have (convolution with bias, ReLU, sums, products,
/// pooling, matrix product), so its graph can be exported.
#[derive(Module, Debug)]
pub struct FoldedSubnet {
    blocks: Vec<FoldedBlock>,
    head: FoldedHead,
    #[module(skip)]
    space: SearchSpace,
    #[module(skip)]
    arch: Arch,
}

impl Subnet {
    /// Folds each batch norm, at its running statistics, into the convolution before it.
    pub fn fold(&self) -> FoldedSubnet {
        FoldedSubnet {
            blocks: self.blocks.iter().map(FoldedBlock::new).collect(),
            head: FoldedHead::new(&self.head),
            space: self.space().clone(),
            arch: self.arch().clone(),
        }
    }
}

impl FoldedSubnet {
    /// Logits `[batch, classes]` for images `[batch, channels, height, width]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.blocks.iter().fold(images, |x, block| block.forward(x)))
    }

    /// The choices that define this network.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }

    /// The search space this network comes from.
    pub fn space(&self) -> &SearchSpace {
        &self.space
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SupernetConfig;
    use crate::testing::Draw;
    use burn::tensor::{Device, Tolerance};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn folding_changes_nothing_but_rounding() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let mut no_mixing = SearchSpace::small_mobilenet_v3(3, 10);
        no_mixing.head.mix_channels = None;
        let resnet = SearchSpace { resolutions: vec![35], ..SearchSpace::resnet50d(10) };
        let proxyless = SearchSpace { resolutions: vec![33], ..SearchSpace::proxyless_nas(0.5, 10) };
        for space in [SearchSpace::small_mobilenet_v3(3, 10), no_mixing, proxyless, resnet] {
            let arch = space.sample(rng);
            let supernet = SupernetConfig::new(space).unwrap().with_seed(2).init(&Device::flex());
            let images = Draw::new(3).normal([4, 3, arch.resolution, arch.resolution], 0.3, 1.0);
            let subnet = supernet.subnet(&arch).calibrate([&images]);
            let (found, expected) = (subnet.fold().forward(images.clone()), subnet.infer(images));
            found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(2e-4));
        }
    }
}
