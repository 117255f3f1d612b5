//! Number formats of a step's passes.

use crate::TrainError;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

/// In which format the passes of a training step compute. Weights, their gradients, the optimizer, losses and evaluation are
/// `f32` always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// `f32` throughout.
    #[default]
    F32,
    /// bfloat16, but for batch norm, which sums over many pixels: half the memory for activations, and what matrix units
    /// of GPUs are fast at. It reaches as far as `f32`, so gradients are not scaled (Micikevicius et al., 2018,
    /// arXiv:1710.03740, section 3.1 for the weights; Kalamkar et al., 2019, arXiv:1905.12322 for the format).
    Bf16,
}

impl Precision {
    /// Whether this is what is meant where nothing is said.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Makes sure that a device can compute so.
    ///
    /// # Errors
    ///
    /// [`TrainError::NoSuchPrecision`] names the device.
    pub fn check(self, device: &Device) -> Result<(), TrainError> {
        match self.format() {
            Some(format) if !device.supports_dtype(format) => {
                Err(TrainError::NoSuchPrecision { device: format!("{device:?}") })
            }
            _ => Ok(()),
        }
    }

    /// A copy of `module` to compute with, where that is another one; gradients flow on to the weights of `module`.
    pub(crate) fn copy_of<M: Module>(self, module: &M) -> Option<M> {
        let copy = |format| module.clone().map(&mut Cast { format, is_norm: false });
        self.format().map(copy)
    }

    /// Images to compute with.
    pub(crate) fn images(self, images: Tensor<4>) -> Tensor<4> {
        match self.format() {
            Some(format) => images.cast(format),
            None => images,
        }
    }

    /// What is computed with in place of `f32`.
    fn format(self) -> Option<FloatDType> {
        match self {
            Self::F32 => None,
            Self::Bf16 => Some(FloatDType::BF16),
        }
    }
}

/// Casts all weights but those of batch norms.
struct Cast {
    format: FloatDType,
    is_norm: bool,
}

/// How burn calls the batch norm of the elastic layers.
const NORM: &str = "Struct:Norm";

impl ModuleMapper for Cast {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.is_norm |= container == NORM;
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.is_norm &= container != NORM;
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.is_norm { parameter } else { parameter.map(|value| value.cast(self.format)) }
    }
}
