//! [`MlpPredictor`]: the paper's accuracy predictor, fitted to a table.

mod network;
mod original;

use crate::predictors::encoding::ArchEncoder;
use crate::statistics::FitReport;
use crate::statistics::require_samples;
use crate::statistics::split;
use crate::{Predictor, SearchError};
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, decay::WeightDecayConfig};
use burn::tensor::{Device, Tensor, TensorData};
use network::Ensemble;
use ofa_model::{Arch, SearchSpace};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Architecture and training of a predictor.
///
/// The defaults suit tables of 100 to 2,000 rows. The paper trained one network with three hidden layers of 400 units
/// on 16,000 rows, with learning rate 1e-3 and weight decay 1e-4. On a table of 120 archs whose accuracy is a sum over
/// their choices, the paper's settings reach a Kendall tau of 0.72 on other archs, and these defaults 0.98.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
    /// Number of networks, whose mean is the prediction. They differ in initial weights and row order.
    pub ensemble: usize,
    /// Passes over the rows.
    pub epochs: usize,
    /// Rows per training step.
    pub batch_size: usize,
    /// Initial learning rate of Adam, with cosine decay to 0.
    pub learning_rate: f64,
    /// Strength of the L2 penalty.
    pub weight_decay: f64,
    /// Seed of the initial weights and the row order.
    pub seed: u64,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            hidden: vec![64, 64],
            ensemble: 4,
            epochs: 200,
            batch_size: 32,
            learning_rate: 3e-3,
            weight_decay: 1e-2,
            seed: 0,
        }
    }
}

/// An ensemble of small networks. Their mean output predicts a number for an arch.
///
/// The networks see archs as [`ArchEncoder`] encodes them and learn standardised targets. So an untrained network
/// predicts the mean of the targets, like the output bias of the paper's predictor.
#[derive(Debug)]
pub struct MlpPredictor {
    encoder: ArchEncoder,
    networks: Ensemble,
    mean: f64,
    deviation: f64,
    device: Device,
}

impl MlpPredictor {
    /// Fits `(arch, target)` samples, e.g. [`AccuracyTable::samples`](crate::AccuracyTable::samples).
    ///
    /// The same samples, configuration and device give the same predictor.
    ///
    /// # Errors
    ///
    /// If there are fewer than two samples, an arch is outside `space`, a target is not finite, or a setting is
    /// impossible.
    pub fn fit(
        space: &SearchSpace,
        samples: &[(Arch, f64)],
        config: &MlpConfig,
        device: &Device,
    ) -> Result<Self, SearchError> {
        config.validate()?;
        require_samples("fitting a predictor", samples, 2)?;
        let encoder = ArchEncoder::new(space);
        let (archs, targets): (Vec<Arch>, Vec<f64>) = samples.iter().cloned().unzip();
        let (mean, deviation) = moments(&targets);
        let rows = Rows {
            features: encoder.encode(&archs)?,
            targets: targets.iter().map(|target| ((target - mean) / deviation) as f32).collect(),
            dimension: encoder.dimension(),
        };
        let networks = train(&rows, config, &device.clone().autodiff());
        Ok(Self { encoder, networks, mean, deviation, device: device.clone().without_autodiff() })
    }

    /// Fits all samples, and reports how well a predictor does on a held-out share of them.
    ///
    /// The report is about a second predictor, fitted without the held-out samples; the returned predictor has seen
    /// them all.
    ///
    /// # Errors
    ///
    /// As for [`MlpPredictor::fit`], or if `holdout_fraction` is not in `[0, 1)` or leaves fewer than two samples on
    /// either side.
    pub fn fit_with_report(
        space: &SearchSpace,
        samples: &[(Arch, f64)],
        config: &MlpConfig,
        holdout_fraction: f64,
        device: &Device,
    ) -> Result<(Self, FitReport), SearchError> {
        let (train, held_out) = split(samples, holdout_fraction, config.seed)?;
        let report = FitReport::new(&Self::fit(space, &train, config, device)?, train.len(), &held_out)?;
        Ok((Self::fit(space, samples, config, device)?, report))
    }
}

/// Prediction of an ensemble, in the unit of the targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Mean over the networks.
    pub mean: f64,
    /// Sample standard deviation over the networks (divisor: their number minus 1), 0 for a single network. High where
    /// samples were few. Not an error interval unless calibrated against measured errors.
    pub spread: f64,
}

impl MlpPredictor {
    /// Predicts `archs`, in their order, with the disagreement of the networks.
    ///
    /// # Errors
    ///
    /// If an arch is outside the space.
    pub fn predict_with_spread(&self, archs: &[Arch]) -> Result<Vec<Prediction>, SearchError> {
        /// Keeps the hidden activations of an ensemble in cache.
        const BATCH: usize = 1024;
        let mut predictions = Vec::with_capacity(archs.len());
        for batch in archs.chunks(BATCH) {
            let n = batch.len();
            let features = TensorData::new(self.encoder.encode(batch)?, [1, n, self.encoder.dimension()]);
            let outputs = self.networks.forward(Tensor::from_data(features, &self.device)).into_data();
            let outputs: Vec<f64> = outputs.iter::<f64>().map(|output| self.mean + self.deviation * output).collect();
            predictions.extend((0..n).map(|i| Prediction::of(outputs[i..].iter().step_by(n).copied())));
        }
        Ok(predictions)
    }
}

impl Prediction {
    fn of(networks: impl Iterator<Item = f64> + Clone) -> Self {
        let count = networks.clone().count() as f64;
        let mean = networks.clone().sum::<f64>() / count;
        let squares: f64 = networks.map(|output| (output - mean).powi(2)).sum();
        Self { mean, spread: (squares / (count - 1.0).max(1.0)).sqrt() }
    }
}

impl Predictor for MlpPredictor {
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError> {
        Ok(self.predict_with_spread(archs)?.into_iter().map(|prediction| prediction.mean).collect())
    }
}

impl MlpConfig {
    fn validate(&self) -> Result<(), SearchError> {
        let refuse = |setting, value: String, problem| Err(SearchError::InvalidSetting { setting, value, problem });
        if self.hidden.contains(&0) {
            return refuse("hidden", format!("{:?}", self.hidden), "a layer needs at least one unit");
        }
        for (setting, value) in [("ensemble", self.ensemble), ("epochs", self.epochs), ("batch_size", self.batch_size)]
        {
            if value == 0 {
                return refuse(setting, "0".into(), "it must be positive");
            }
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse("learning_rate", self.learning_rate.to_string(), "it must be positive");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return refuse("weight_decay", self.weight_decay.to_string(), "it must not be negative");
        }
        Ok(())
    }
}

/// Encoded samples.
struct Rows {
    features: Vec<f32>,
    targets: Vec<f32>,
    dimension: usize,
}

impl Rows {
    /// The features `[members, batch, dimension]` and targets `[members, batch, 1]` of each member's rows in this
    /// batch.
    fn batch(&self, members: &[&[usize]], device: &Device) -> (Tensor<3>, Tensor<3>) {
        let (n, batch, d) = (members.len(), members[0].len(), self.dimension);
        let rows = || members.iter().copied().flatten().copied();
        let features: Vec<f32> = rows().flat_map(|row| &self.features[row * d..][..d]).copied().collect();
        let targets: Vec<f32> = rows().map(|row| self.targets[row]).collect();
        (
            Tensor::from_data(TensorData::new(features, [n, batch, d]), device),
            Tensor::from_data(TensorData::new(targets, [n, batch, 1]), device),
        )
    }
}

fn train(rows: &Rows, config: &MlpConfig, device: &Device) -> Ensemble {
    let rng = &mut ChaCha8Rng::seed_from_u64(config.seed);
    let sizes = [&[rows.dimension], config.hidden.as_slice(), &[1]].concat();
    let mut networks = Ensemble::init(config.ensemble, &sizes, rng, device);
    let decay = WeightDecayConfig::new(config.weight_decay as f32);
    let mut optimizer = AdamConfig::new().with_weight_decay(Some(decay)).init();

    let mut orders = vec![(0..rows.targets.len()).collect::<Vec<usize>>(); config.ensemble];
    let steps_an_epoch = rows.targets.len().div_ceil(config.batch_size);
    let steps = config.epochs * steps_an_epoch;
    for step in 0..steps {
        let batch = step % steps_an_epoch;
        if batch == 0 {
            orders.iter_mut().for_each(|order| order.shuffle(rng));
        }
        let start = batch * config.batch_size;
        let end = rows.targets.len().min(start + config.batch_size);
        let members: Vec<&[usize]> = orders.iter().map(|order| &order[start..end]).collect();
        let (features, targets) = rows.batch(&members, device);
        let errors = networks.forward(features) - targets;
        // Members share no weights, so summing their losses trains each one as if alone.
        let loss = errors.square().mean_dim(1).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &networks);
        let progress = step as f64 / steps as f64;
        let rate = config.learning_rate * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress));
        networks = optimizer.step(rate, networks, gradients);
    }
    networks.valid()
}

/// Mean and standard deviation, with deviation 1 if all values are equal.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}

#[cfg(test)]
mod tests;
