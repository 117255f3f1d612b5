//! What scores archs: learned from a table, interpolated in it, or any closure.

mod encoding;
mod interpolated;
mod kernel_ridge;
mod kind;
mod mlp;

pub use encoding::ArchEncoder;
pub use interpolated::InterpolatedAccuracy;
pub use kernel_ridge::KernelRidge;
pub use kind::{Fitted, PredictorKind};
pub use mlp::{MlpConfig, MlpPredictor, Prediction};
