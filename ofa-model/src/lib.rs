//! Once-for-all networks (OFA, Cai et al., ICLR 2020, arXiv:1908.09791): one set of weights for many networks.
//!
//! - [`SearchSpace`] describes what may vary; an [`Arch`] is one choice from it. Both are plain data.
//! - [`Supernet`] holds the weights of every network of a space. Its forward pass takes the arch as an argument.
//! - [`Subnet`] is one extracted network with its own batch-norm statistics.
//! - [`CandidateNetwork`] has weights of its own for every choice, as in differentiable search; [`ChoiceCosts`] are costs
//!   per choice, with their expectation and its gradient.
//! - [`ElasticNetwork`] is what the learner needs of a supernet, for networks of your own.
//! - [`SearchSpace::cost`] gives exact MACs, parameters and activation memory without any weights.
//!
//! ```text
//! SearchSpace --sample--> Arch
//!     |                    |
//!  init                    v
//!     +--> Supernet --subnet(arch)--> Subnet --calibrate--> Subnet --fold--> FoldedSubnet --> ONNX
//!             ^                                                   |
//!        import_original (PyTorch)                           to_original (PyTorch)
//! ```
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use ofa_model::{SearchSpace, Statistics, SupernetConfig};
//!
//! let device = Device::flex();
//! let supernet = SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10))?.with_seed(1).init(&device);
//! let arch = "r20-k3e3.k5e4-k7e6.k3e3.k3e3-k5e3.k3e6".parse()?;
//! let images = Tensor::<4>::ones([2, 1, 20, 20], &device);
//! let logits = supernet.forward(images.clone(), &arch, &mut Statistics::Batch);
//! assert_eq!(logits.dims(), [2, 10]);
//!
//! let subnet = supernet.subnet(&arch).calibrate([&images]);
//! assert_eq!(subnet.num_trainable() as u64, supernet.space().cost(&arch).parameters);
//! # Ok::<(), ofa_model::ModelError>(())
//! ```
//!
//! The guide has more: `docs/src/concepts/elastic.md`, `docs/src/guides/export.md`.

mod arch;
mod calibrate;
mod candidates;
mod choices;
mod cost;
mod directory;
mod elastic;
mod error;
mod folded;
mod importance;
mod init;
pub mod kernels;
mod network;
#[cfg(feature = "onnx")]
mod onnx;
mod original;
mod pool;
mod quantized;
mod saved;
mod soundness;
mod space;
mod subnet;
mod summary;
mod supernet;
mod tensor_file;
#[cfg(test)]
mod testing;
mod text_file;
mod unit_network;
mod units;
mod written_arch;

pub use arch::{Arch, BlockArch, Ratio, StageArch};
pub use candidates::{CandidateConfig, CandidateNetwork, Gate, Mixed, Mixture};
pub use choices::{ChoiceCosts, ChoiceGroups, StageGroups};
pub use cost::Cost;
pub use directory::{Directories, remove_directory, replace_directory, whole_directory, write_directory};
pub use elastic::{Moments, Statistics};
pub use error::ModelError;
pub use folded::FoldedSubnet;
pub use importance::Importance;
pub use kernels::Activation;
pub use network::{ElasticNetwork, FixedNetwork};
#[cfg(feature = "onnx")]
pub use onnx::{ONNX_INPUT, ONNX_OUTPUT, OnnxForm};
pub use original::{
    Checkpoint, CheckpointWeights, ImportReport, MisShaped, OriginalArch, read_state_dict, write_state_dict,
};
pub use pool::in_pool;
pub use quantized::{ActivationFormat, Quantization, QuantizedSubnet, RangeRule, StraightThrough};
pub use saved::SubnetCard;
pub use soundness::check_weights;
pub use space::{BlockKind, Choice, ChoiceMask, ChoiceRank, Head, Mutation, SearchSpace, StageSpace};
pub use subnet::Subnet;
pub use summary::ArchSummary;
pub use supernet::{Supernet, SupernetConfig};
pub use text_file::read_text;
pub use unit_network::UnitNetwork;
pub use units::{BottleneckShape, ConvShape, HeadShape, MbConvShape, Unit, UnitLayers, make_divisible};
pub use written_arch::WrittenArch;
