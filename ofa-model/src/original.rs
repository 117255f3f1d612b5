//! Imports weights, names and archs from the paper's PyTorch original, and exports them back.
//!
//! A state dict of the original becomes a [`Supernet`](crate::Supernet) with the running statistics that came with it.
//! `OFAMobileNetV3` maps to [`SearchSpace::mobilenet_v3`](crate::SearchSpace::mobilenet_v3), `OFAProxylessNASNets` to
//! [`SearchSpace::proxyless_nas`](crate::SearchSpace::proxyless_nas) and `OFAResNets` to
//! [`SearchSpace::resnet50d`](crate::SearchSpace::resnet50d):
//!
//! ```no_run
//! use burn::tensor::Device;
//! use ofa_model::{Checkpoint, SearchSpace, SupernetConfig, write_state_dict};
//!
//! let config = SupernetConfig::new(SearchSpace::mobilenet_v3(1.2, 1000))?;
//! let weights = Checkpoint::open("ofa_mbv3_d234_e346_k357_w1.2.pth".as_ref())?.weights(None)?;
//! let (supernet, report) = config.init(&Device::flex()).import_original(weights.tensors)?;
//! report.check()?;
//! // And back, for PyTorch's `load_state_dict`.
//! write_state_dict("supernet.safetensors".as_ref(), &supernet.to_original())?;
//! # Ok::<(), ofa_model::ModelError>(())
//! ```

mod arch;
mod checkpoint;
mod config;
mod family;
mod file;
mod import;
mod names;
mod nearest;
mod report;
mod state_dict;
mod weight_set;

pub use arch::OriginalArch;
pub use checkpoint::{Checkpoint, CheckpointWeights};
pub use file::{read_state_dict, write_state_dict};
pub use report::{ImportReport, MisShaped};
