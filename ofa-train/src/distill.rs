//! Distillation: what subnets learn from besides labels.

use burn::tensor::{Int, Tensor};
use ofa_model::kernels::{cross_entropy, softmax};
use serde::{Deserialize, Serialize};

/// Which teacher the subnets of a phase learn from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distillation {
    /// No teacher: labels only.
    #[default]
    None,
    /// The frozen largest network from the end of an earlier phase (paper, section 3.3).
    Teacher(TeacherConfig),
    /// The first subnet of the step, which itself learns from labels only (BigNAS, section 3.1).
    InPlace(SoftTargets),
}

/// How a frozen teacher is used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherConfig {
    /// Weights and temperature of its soft targets.
    pub soft: SoftTargets,
    /// Batch-norm statistics it uses.
    #[serde(default)]
    pub statistics: TeacherStatistics,
}

/// Batch-norm statistics of a frozen teacher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherStatistics {
    /// Statistics of the batch, as in the original, whose teacher stays in training mode.
    #[default]
    Batch,
    /// Statistics of the calibration images, measured once per resolution, as in deployment.
    Calibrated,
}

/// Loss with a teacher: `label_weight * CE(labels) + weight * temperature^2 * CE(teacher)`. The second term compares
/// the probabilities of logits divided by the temperature (Hinton et al., 2015).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftTargets {
    /// Weight of the teacher term; finite and not negative.
    pub weight: f64,
    /// Temperature of teacher and student; finite and positive.
    #[serde(default = "one")]
    pub temperature: f64,
    /// Weight of the label term; finite and not negative. Not both weights may be 0.
    #[serde(default = "one")]
    pub label_weight: f64,
}

fn one() -> f64 {
    1.0
}

impl Default for SoftTargets {
    /// The paper's values: labels and teacher with weight 1 at temperature 1.
    fn default() -> Self {
        Self { weight: 1.0, temperature: 1.0, label_weight: 1.0 }
    }
}

impl SoftTargets {
    /// Describes the first invalid value, if any.
    pub(crate) fn problem(&self) -> Option<String> {
        let Self { weight, temperature, label_weight } = *self;
        if let Some((name, value)) = [("weight", weight), ("label_weight", label_weight)]
            .into_iter()
            .find(|(_, value)| !(*value >= 0.0 && value.is_finite()))
        {
            return Some(format!("distillation {name} {value} must be finite and not negative"));
        }
        if weight + label_weight == 0.0 {
            return Some("distillation weight and label_weight are both 0; at least one must be positive".into());
        }
        (!(temperature > 0.0 && temperature.is_finite()))
            .then(|| format!("distillation temperature {temperature} must be finite and positive"))
    }
}

impl Distillation {
    /// Distillation from the teacher of an earlier phase with this weight and the paper's other values.
    pub fn teacher(weight: f64) -> Self {
        let soft = SoftTargets { weight, ..SoftTargets::default() };
        Self::Teacher(TeacherConfig { soft, statistics: TeacherStatistics::Batch })
    }
}

/// Label-smoothed targets `[batch, classes]`: `1 - smoothing` on the label plus `smoothing` spread evenly over all
/// classes.
pub(crate) fn smoothed(labels: Tensor<1, Int>, classes: usize, smoothing: f64) -> Tensor<2> {
    let [batch] = labels.dims();
    // burn's `one_hot` reads the labels back to check them, so it waits for the device.
    let class = Tensor::<1, Int>::arange(0..classes as i64, &labels.device()).reshape([1, classes]);
    let one_hot = class.expand([batch, classes]).equal(labels.reshape([batch, 1]).expand([batch, classes]));
    one_hot.float() * (1.0 - smoothing) + smoothing / classes as f64
}

/// Cross-entropy against the teacher's soft targets; both logits are `[batch, classes]`. The factor `temperature^2`
/// keeps the gradient scale independent of the temperature.
pub(crate) fn distance_to_teacher(logits: Tensor<2>, teacher: Tensor<2>, temperature: f64) -> Tensor<1> {
    let targets = softmax(teacher / temperature);
    cross_entropy(logits / temperature, targets) * (temperature * temperature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn values_by_hand() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[0.0, 3f32.ln()], [0.0, 0.0]], &device);
        let targets = smoothed(Tensor::<1, Int>::from_ints([1, 0], &device), 2, 0.1);
        targets.to_data().assert_approx_eq::<f32>(
            &Tensor::<2>::from_floats([[0.05, 0.95], [0.95, 0.05]], &device).into_data(),
            Tolerance::absolute(1e-6),
        );
        let (p0, p1) = (0.25f32.ln(), 0.75f32.ln());
        let half = 0.5f32.ln();
        let label_loss = -0.5 * ((0.05 * p0 + 0.95 * p1) + half);
        assert!((cross_entropy(logits.clone(), targets).into_scalar::<f32>() - label_loss).abs() < 1e-6);
        let teacher = Tensor::from_floats([[0.0, 0.0], [0.0, 0.0]], &device);
        let teacher_loss = -0.5 * ((0.5 * p0 + 0.5 * p1) + half);
        let found = distance_to_teacher(logits.clone(), teacher, 1.0).into_scalar::<f32>();
        assert!((found - teacher_loss).abs() < 1e-6);
        // At temperature 2 the probabilities of the first row are 1 : sqrt(3), the teacher's 1 : sqrt(9).
        let teacher = Tensor::from_floats([[0.0, 9f32.ln()], [0.0, 9f32.ln()]], &device);
        let odds = 3f32.sqrt();
        let row = -(0.25 * (1.0 / (1.0 + odds)).ln() + 0.75 * (odds / (1.0 + odds)).ln());
        let expected = 4.0 * 0.5 * (row - half);
        let found = distance_to_teacher(logits, teacher, 2.0).into_scalar::<f32>();
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}
