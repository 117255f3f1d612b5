//! [`PredictorKind`]: the learned predictors by name, for comparisons.

use crate::predictors::{KernelRidge, MlpConfig, MlpPredictor, Prediction};
use crate::{Predictor, SearchError};
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantArray, VariantNames};

/// Kinds of predictor that can be fitted to a table.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown)]
pub enum PredictorKind {
    /// An ensemble of small networks: [`MlpPredictor`] with the default configuration.
    Mlp,
    /// A single network, otherwise like `Mlp`.
    SingleMlp,
    /// The paper's network and training: one network, three hidden layers of 400, learning rate 1e-3, weight decay
    /// 1e-4.
    PaperMlp,
    /// [`KernelRidge`]
    KernelRidge,
}

/// A fitted predictor of any [`PredictorKind`].
#[derive(Debug)]
pub enum Fitted {
    /// One or several networks.
    Mlp(MlpPredictor),
    /// Kernel ridge regression.
    KernelRidge(KernelRidge),
}

impl PredictorKind {
    /// Every kind.
    pub const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// Fits `(arch, target)` samples. The same samples, seed and device give the same predictor.
    ///
    /// # Errors
    ///
    /// If there are too few samples, an arch is outside `space` or a target is not finite.
    pub fn fit(
        self,
        space: &SearchSpace,
        samples: &[(Arch, f64)],
        seed: u64,
        device: &Device,
    ) -> Result<Fitted, SearchError> {
        let config = MlpConfig { seed, ..MlpConfig::default() };
        let config = match self {
            Self::Mlp => config,
            Self::SingleMlp => MlpConfig { ensemble: 1, ..config },
            Self::PaperMlp => {
                let hidden = vec![400; 3];
                MlpConfig { hidden, ensemble: 1, learning_rate: 1e-3, weight_decay: 1e-4, ..config }
            }
            Self::KernelRidge => return Ok(Fitted::KernelRidge(KernelRidge::fit(space, samples)?)),
        };
        Ok(Fitted::Mlp(MlpPredictor::fit(space, samples, &config, device)?))
    }
}

fn unknown(name: &str) -> String {
    let names = <PredictorKind as VariantNames>::VARIANTS.join(", ");
    format!("unknown predictor `{name}`; choose from: {names}")
}

impl Fitted {
    /// Predictions with their spread. `None` if the kind has no spread.
    ///
    /// # Errors
    ///
    /// If an arch is outside the space.
    pub fn predict_with_spread(&self, archs: &[Arch]) -> Result<Option<Vec<Prediction>>, SearchError> {
        match self {
            Self::Mlp(predictor) => predictor.predict_with_spread(archs).map(Some),
            Self::KernelRidge(_) => Ok(None),
        }
    }
}

impl Predictor for Fitted {
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError> {
        match self {
            Self::Mlp(predictor) => predictor.predict(archs),
            Self::KernelRidge(predictor) => predictor.predict(archs),
        }
    }
}
