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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::ModuleVisitor;
    use burn::tensor::DType;
    use ofa_model::{SearchSpace, SupernetConfig};

    /// The names of parameters, and the formats of their numbers.
    #[derive(Default)]
    struct Formats {
        path: Vec<String>,
        found: Vec<(String, DType)>,
    }

    impl ModuleVisitor for Formats {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.found.push((self.path.join("."), parameter.val().dtype()));
        }
    }

    #[test]
    fn all_weights_but_those_of_batch_norms_are_rounded() {
        let config = SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10)).unwrap();
        let supernet = config.init(&Device::flex());
        assert!(Precision::F32.copy_of(&supernet).is_none());
        let mut formats = Formats::default();
        Precision::Bf16.copy_of(&supernet).unwrap().visit(&mut formats);
        let of_norms = ["gamma", "beta", "running_mean", "running_variance"];
        let is_of_norm = |name: &str| of_norms.iter().any(|end| name.ends_with(end));
        for (name, format) in &formats.found {
            assert_eq!(*format, if is_of_norm(name) { DType::F32 } else { DType::BF16 }, "{name}");
        }
        let norms = formats.found.iter().filter(|(name, _)| is_of_norm(name)).count();
        assert!(norms > 40 && formats.found.len() > norms + 40, "{norms} of {}", formats.found.len());
    }

    #[test]
    fn configurations_name_it_in_small_letters_and_only_where_it_is_not_f32() {
        let recipe = crate::Recipe { precision: Precision::Bf16, ..Default::default() };
        let text = serde_json::to_string(&recipe).unwrap();
        assert!(text.contains(r#""precision":"bf16""#), "{text}");
        assert_eq!(serde_json::from_str::<crate::Recipe>(&text).unwrap(), recipe);
        let text = serde_json::to_string(&crate::Recipe::default()).unwrap();
        assert!(!text.contains("precision"), "records made before must stay the same: {text}");
    }
}
