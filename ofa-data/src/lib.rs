//! Labelled image sets for once-for-all training.
//!
//! - Sets: [`FashionMnist`] (embedded in the source tree), [`Cifar`], and [`ImageFolder`] for your own images.
//!   [`Layout`] detects which one a directory holds. All give [`Splits`]: train, validation and test as [`ImageSet`]s,
//!   cheap lists of labelled images. [`ImageSet::from_source`] takes any [`ImageSource`] of your own.
//! - [`View`]s: what a network sees of an image, either augmented ([`AugmentConfig`]) or framed for evaluation
//!   ([`Framing`]).
//! - [`Loader`]: batches, prefetched by a background thread. Each batch takes its own resolution, as elastic networks
//!   require (arXiv:1908.09791, section 3.2). All randomness is a function of (seed, epoch, batch), so runs can be
//!   repeated and resumed.
//!
//! ```text
//! directory --Layout--> Splits: train, validation, test --View--> Loader --> ImageBatch, at any resolution
//!                          ^
//! ImageSource (yours) --> ImageSet
//! ```
//!
//! ```
//! use burn::tensor::Device;
//! use ofa_data::{AugmentConfig, FashionMnist, Loader, LoaderConfig, View};
//!
//! let splits = FashionMnist::embedded(1)?;
//! let config = LoaderConfig {
//!     batch_size: 128,
//!     seed: 1,
//!     view: View::Train(AugmentConfig::small_images()),
//!     drop_last: true,
//!     prefetch: 4,
//! };
//! let loader = Loader::new(splits.train.clone(), config, splits.normalisation())?;
//! assert_eq!(loader.batches_per_epoch(), 390);
//!
//! // Cycle through three resolutions, starting at batch 388 as if resuming.
//! let resolution = |batch: usize| [28, 24, 20][batch % 3];
//! for batch in loader.epoch(0, 388, resolution, &Device::flex()) {
//!     let batch = batch?;
//!     println!("{:?}, labels {:?}", batch.images.dims(), batch.labels.dims());
//! }
//! # Ok::<(), ofa_data::DataError>(())
//! ```
//!
//! The guide has more: `docs/src/guides/images.md`.

mod broken;
mod cache;
mod check;
mod decode;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod image_size;
mod layout;
mod loader;
mod prepare;
pub mod random;
mod set;
mod source;
mod split;
mod text;
pub mod transfer;
mod view;

pub use broken::{BrokenImage, BrokenImages};
pub use check::{BrokenPath, CheckedClass, ImageCheck, check_images};
pub use decode::{DecodeConfig, Image, decode};
#[cfg(feature = "parquet")]
pub use error::ParquetProblem;
pub use error::{CifarProblem, DataError, DevkitProblem, IdxProblem, ImageProblem, MatProblem};
pub use layout::Layout;
pub use layout::cifar::Cifar;
pub use layout::fashion_mnist::FashionMnist;
#[cfg(feature = "parquet")]
pub use layout::hugging_face::HuggingFace;
pub use layout::image_folder::ImageFolder;
pub use layout::imagenet::ImageNet;
pub use layout::prepare_config::PrepareConfig;
pub use layout::prepared::PreparedSet;
pub use layout::web_dataset::WebDataset;
pub use loader::batch::ImageBatch;
pub use loader::bytes::ByteBatch;
pub use loader::{EpochBatches, Loader, LoaderConfig, evaluation_batches};
pub use prepare::{BrokenLine, PrepareReport, prepare_images};
pub use set::{ImageSet, ReadConfig};
pub use source::{ImageSource, StoredImage};
pub use split::Splits;
pub use view::augment::{AugmentConfig, Framing, Geometry, RandomErasing, View};
pub use view::canvas::Interpolation;
pub use view::jitter::ColorJitter;
pub use view::mixup::Mixup;
pub use view::normalise::Normalisation;
