//! Number formats for the passes of a training step.

use crate::TrainError;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

/// Number format for the passes of a training step. Weights, their gradients, the optimizer, losses and evaluation
/// always use `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// `f32` throughout.
    #[default]
    F32,
    /// bfloat16, except in batch norm, which sums over many pixels. Halves the memory for activations and is fast on
    /// GPU matrix units. Its range is that of `f32`, so gradients are not scaled (Micikevicius et al., 2018,
    /// arXiv:1710.03740, section 3.1 for the weights; Kalamkar et al., 2019, arXiv:1905.12322 for the format).
    Bf16,
}

impl Precision {
    /// Whether this is the default, which is not serialised.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that `device` supports this format.
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

    /// `module` with its weights in this format; `None` for `f32`, which needs no copy. On an autodiff device the copies
    /// are leaves: gradients are those of the copies, in their format, so a step casts once for all of its passes.
    pub(crate) fn rounded<M: Module>(self, module: &M) -> Option<M> {
        self.format().map(|format| module.clone().map(&mut Cast { format, is_norm: false }))
    }

    /// Runs `forward` on a [rounded](Self::rounded) module, with images in this format; returns the logits `[batch,
    /// classes]` as `f32`.
    pub(crate) fn pass<M: Module>(
        self,
        rounded: &M,
        images: Tensor<4>,
        forward: impl FnOnce(&M, Tensor<4>) -> Tensor<2>,
    ) -> Tensor<2> {
        match self.format() {
            Some(format) => forward(rounded, images.cast(format)).cast(FloatDType::F32),
            None => forward(rounded, images),
        }
    }

    /// Format to cast to; `None` for `f32`.
    fn format(self) -> Option<FloatDType> {
        match self {
            Self::F32 => None,
            Self::Bf16 => Some(FloatDType::BF16),
        }
    }
}

/// Casts all weights except those of batch norms.
struct Cast {
    format: FloatDType,
    is_norm: bool,
}

/// burn's container name for the batch norm of the elastic layers.
const NORM: &str = "Struct:Norm";

impl ModuleMapper for Cast {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.is_norm |= container == NORM;
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.is_norm &= container != NORM;
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let cast = |value: Tensor<D>| {
            let trains = value.is_require_grad();
            value.cast(self.format).detach().set_require_grad(trains)
        };
        if self.is_norm { parameter } else { parameter.map(cast) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::DType;
    use ofa_model::{SearchSpace, Supernet, SupernetConfig};

    #[test]
    fn all_weights_but_those_of_batch_norms_are_rounded() {
        let config = SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10)).unwrap();
        let supernet = config.init(&Device::flex());
        let (images, logits) =
            (Tensor::zeros([1, 1, 28, 28], &Device::flex()), Tensor::zeros([1, 10], &Device::flex()));
        assert!(Precision::F32.rounded(&supernet).is_none());
        Precision::F32.pass(&supernet, images.clone(), |_, images| {
            assert_eq!(images.dtype(), DType::F32);
            logits.clone()
        });
        let rounded = Precision::Bf16.rounded(&supernet).unwrap();
        let found = Precision::Bf16.pass(&rounded, images, |module: &Supernet, images| {
            assert_eq!(images.dtype(), DType::BF16);
            let is_of_norm = |key: &str| key.contains("bn.");
            let weights = module.to_original().into_iter().filter(|(key, _)| !key.ends_with("num_batches_tracked"));
            let (norms, others): (Vec<_>, Vec<_>) = weights.partition(|(key, _)| is_of_norm(key));
            for (key, data) in norms.iter().chain(&others) {
                assert_eq!(data.dtype(), if is_of_norm(key) { DType::F32 } else { DType::BF16 }, "{key}");
            }
            assert!(norms.len() > 40 && others.len() > 40, "{} and {}", norms.len(), others.len());
            logits.cast(FloatDType::BF16)
        });
        assert_eq!(found.dtype(), DType::F32);
    }

    #[test]
    fn configurations_name_it_in_small_letters_and_only_where_it_is_not_f32() {
        let recipe = crate::Recipe { precision: Precision::Bf16, ..Default::default() };
        let text = serde_json::to_string(&recipe).unwrap();
        assert!(text.contains(r#""precision":"bf16""#), "{text}");
        assert_eq!(serde_json::from_str::<crate::Recipe>(&text).unwrap(), recipe);
        let text = serde_json::to_string(&crate::Recipe::default()).unwrap();
        assert!(!text.contains("precision"), "earlier records must stay the same: {text}");
    }
}
