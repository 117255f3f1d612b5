//! What training and evaluation need of a network: [`ElasticNetwork`] and [`FixedNetwork`].

use crate::{Arch, Importance, SearchSpace, Statistics, Subnet, Supernet, in_pool};
use burn::module::{Module, ParamId};
use burn::tensor::Tensor;

/// Weights that many networks share: what the learner trains. [`Supernet`] is one; implement this to train a network of
/// your own.
///
/// Its choices are described as a [`SearchSpace`], which samplers, schedules, tables and searches work on: depth, width,
/// kernel size and expand ratio per stage mean what the network makes of them.
pub trait ElasticNetwork: Module + Sync {
    /// One network of the space; may be `Self`.
    type Subnet: FixedNetwork;

    /// The choices that the weights offer.
    fn space(&self) -> &SearchSpace;

    /// The network `arch` as slices of these weights, linked to them for gradients: map parameters
    /// ([`Param::map`](burn::module::Param::map)), do not create new ones.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space.
    fn view(&self, arch: &Arch) -> Self::Subnet;

    /// Multiply-accumulate operations of `arch`, for the records of a training. By default those of the space's blocks.
    fn macs(&self, arch: &Arch) -> u64 {
        self.space().cost(arch).macs
    }

    /// The matrices between kernel sizes, which a phase of training can freeze. There are none by default.
    fn kernel_transforms(&self) -> Vec<ParamId> {
        Vec::new()
    }

    /// Sorts channels by importance where `trained`, the choices trained so far, keep their function; see
    /// [`Supernet::sort_channels`]. By default nothing is sorted.
    fn sort_channels(self, trained: &SearchSpace, importance: Importance) -> Self {
        let _ = (trained, importance);
        self
    }
}

/// One network with weights of its own: what is calibrated, evaluated and fine-tuned.
pub trait FixedNetwork: Module + Sync {
    /// The space that the network comes from.
    fn space(&self) -> &SearchSpace;

    /// The choices that define the network.
    fn arch(&self) -> &Arch;

    /// Computes logits `[batch, classes]` for images `[batch, channels, height, width]`. `change` (dropout, for example)
    /// must be applied to the features `[batch, features]` before the classifier. Layers that do not depend on the
    /// other images of a batch ignore `statistics`.
    fn forward_with(
        &self,
        images: Tensor<4>,
        statistics: &mut Statistics,
        change: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2>;

    /// The network with the statistics of its batch norms measured on `batches` of images
    /// `[batch, channels, height, width]`, of which there is at least one. By default there are none to measure.
    fn calibrate(self, batches: impl IntoIterator<Item = Tensor<4>>) -> Self {
        let _ = batches;
        self
    }

    /// Computes logits `[batch, classes]` for images `[batch, channels, height, width]` with the measured statistics.
    fn infer(&self, images: Tensor<4>) -> Tensor<2> {
        in_pool(|| self.forward_with(images, &mut Statistics::Running, |features| features))
    }
}

impl ElasticNetwork for Supernet {
    type Subnet = Subnet;

    fn space(&self) -> &SearchSpace {
        self.space()
    }

    fn view(&self, arch: &Arch) -> Subnet {
        self.view(arch)
    }

    fn kernel_transforms(&self) -> Vec<ParamId> {
        self.kernel_transforms()
    }

    fn sort_channels(self, trained: &SearchSpace, importance: Importance) -> Self {
        self.sort_channels(trained, importance)
    }
}

/// A network alone: weights that only its own arch uses.
impl ElasticNetwork for Subnet {
    type Subnet = Self;

    fn space(&self) -> &SearchSpace {
        self.space()
    }

    /// # Panics
    ///
    /// If `arch` is another arch, apart from its resolution.
    fn view(&self, arch: &Arch) -> Self {
        self.at_resolution(arch)
    }
}

impl FixedNetwork for Subnet {
    fn space(&self) -> &SearchSpace {
        self.space()
    }

    fn arch(&self) -> &Arch {
        self.arch()
    }

    fn forward_with(
        &self,
        images: Tensor<4>,
        statistics: &mut Statistics,
        change: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        self.forward_with(images, statistics, change)
    }

    fn calibrate(self, batches: impl IntoIterator<Item = Tensor<4>>) -> Self {
        self.calibrate(batches)
    }
}
