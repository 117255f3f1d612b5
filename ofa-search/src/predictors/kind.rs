//! [`PredictorKind`]: the learned predictors, by name, to be compared.

use crate::{KernelRidge, MlpConfig, MlpPredictor, Prediction, Predictor, SearchError};
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How accuracies may be learned from a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictorKind {
    /// An ensemble of small [`MlpPredictor`]s as configured by default.
    Mlp,
    /// One network of the same sort.
    SingleMlp,
    /// The paper's network and training: three hidden layers of 400, learning rate 1e-3, penalty 1e-4, one network.
    PaperMlp,
    /// [`KernelRidge`]
    KernelRidge,
}

/// A fitted predictor of any kind.
#[derive(Debug)]
pub enum Fitted {
    /// Networks.
    Mlp(MlpPredictor),
    /// A kernel ridge regression.
    KernelRidge(KernelRidge),
}

impl PredictorKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Mlp, Self::SingleMlp, Self::PaperMlp, Self::KernelRidge];

    /// Learns from `(arch, target)` samples; the same samples, seed and device give the same predictor.
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

impl fmt::Display for PredictorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mlp => "mlp",
            Self::SingleMlp => "single_mlp",
            Self::PaperMlp => "paper_mlp",
            Self::KernelRidge => "kernel_ridge",
        })
    }
}

impl Fitted {
    /// Predictions with their spreads, of kinds that have one.
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
