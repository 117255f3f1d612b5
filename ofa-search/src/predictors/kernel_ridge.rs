//! [`KernelRidge`]: kernel ridge regression, a baseline for learned predictors.

use crate::predictors::ArchEncoder;
use crate::statistics::median;
use crate::statistics::require_samples;
use crate::{Predictor, SearchError};
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use ofa_model::{Arch, SearchSpace};

/// Predicts by a weighted sum of similarities to the archs it was fitted on.
///
/// The similarity of two archs falls with the number of choices in which they differ: `exp(-d / 2 l)`, where `d` is the
/// squared distance of their [`ArchEncoder`] features. The length `l` and the penalty are chosen from a small grid by
/// leave-one-out error, which has a closed form. Fitting time is cubic in the number of samples: seconds for 1,000 and
/// an hour for 16,000. The same samples give the same predictor.
#[derive(Clone, Debug)]
pub struct KernelRidge {
    encoder: ArchEncoder,
    /// Features of the samples, `[samples, dimension]`.
    features: DMatrix<f64>,
    weights: DVector<f64>,
    mean: f64,
    setting: Setting,
}

/// A point of the hyperparameter grid.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Setting {
    length: f64,
    penalty: f64,
}

/// At most this many samples, the first ones, select the setting.
const CHOOSING: usize = 300;
/// Lengths as multiples of the median squared distance between samples. A long one is almost a linear model.
const LENGTHS: [f64; 5] = [0.5, 1.0, 4.0, 16.0, 64.0];
/// Penalties, relative to a largest similarity of 1.
const PENALTIES: [f64; 6] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

impl KernelRidge {
    /// Fits `(arch, target)` samples.
    ///
    /// # Errors
    ///
    /// If there are fewer than three samples, an arch is outside `space`, or a target is not finite.
    pub fn fit(space: &SearchSpace, samples: &[(Arch, f64)]) -> Result<Self, SearchError> {
        require_samples("kernel ridge regression", samples, 3)?;
        let encoder = ArchEncoder::new(space);
        let (archs, targets): (Vec<Arch>, Vec<f64>) = samples.iter().cloned().unzip();
        let features = encode(&encoder, &archs)?;
        let mean = targets.iter().sum::<f64>() / targets.len() as f64;
        let targets = DVector::from_iterator(targets.len(), targets.iter().map(|target| target - mean));
        let distances = squared_distances(&features, &features);
        let setting = choose(&distances, &targets);
        let weights = factor(&distances, setting).solve(&targets);
        Ok(Self { encoder, features, weights, mean, setting })
    }
}

impl Predictor for KernelRidge {
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError> {
        /// Bounds the memory of the similarities.
        const BATCH: usize = 1024;
        let mut predictions = Vec::with_capacity(archs.len());
        for batch in archs.chunks(BATCH) {
            let similarities = squared_distances(&encode(&self.encoder, batch)?, &self.features)
                .map(|distance| similarity(distance, self.setting.length));
            predictions.extend((similarities * &self.weights).iter().map(|output| self.mean + output));
        }
        Ok(predictions)
    }
}

/// Features, `[archs, dimension]`.
fn encode(encoder: &ArchEncoder, archs: &[Arch]) -> Result<DMatrix<f64>, SearchError> {
    let features = encoder.encode(archs)?.into_iter().map(f64::from);
    Ok(DMatrix::from_row_iterator(archs.len(), encoder.dimension(), features))
}

/// Squared distances of every row of `a` to every row of `b`, `[rows of a, rows of b]`.
fn squared_distances(a: &DMatrix<f64>, b: &DMatrix<f64>) -> DMatrix<f64> {
    let squares = |matrix: &DMatrix<f64>| -> Vec<f64> { matrix.row_iter().map(|row| row.norm_squared()).collect() };
    let (of_a, of_b) = (squares(a), squares(b));
    let mut distances = a * b.transpose();
    for (j, of_b) in of_b.iter().enumerate() {
        for (i, of_a) in of_a.iter().enumerate() {
            distances[(i, j)] = of_a + of_b - 2.0 * distances[(i, j)];
        }
    }
    distances
}

fn similarity(squared_distance: f64, length: f64) -> f64 {
    (-0.5 * squared_distance / length).exp()
}

/// The setting of the grid with the least leave-one-out error on the first samples.
fn choose(distances: &DMatrix<f64>, targets: &DVector<f64>) -> Setting {
    let n = targets.len().min(CHOOSING);
    let (distances, targets) = (distances.view((0, 0), (n, n)).into_owned(), targets.rows(0, n).into_owned());
    let pairs = (0..n).flat_map(|j| (0..j).map(move |i| (i, j)));
    // If most samples are equal, at least the distance of two archs that differ in one choice.
    let typical = median(pairs.map(|pair| distances[pair])).max(2.0);
    let grid = LENGTHS
        .iter()
        .flat_map(|length| PENALTIES.iter().map(move |&penalty| Setting { length: length * typical, penalty }));
    let scored = grid.map(|setting| (leave_one_out(&distances, &targets, setting), setting));
    scored.min_by(|(a, _), (b, _)| a.total_cmp(b)).expect("the grid has points").1
}

/// Mean squared error of each sample predicted from the others. The residual is `weight / inverse diagonal`.
fn leave_one_out(distances: &DMatrix<f64>, targets: &DVector<f64>, setting: Setting) -> f64 {
    let inverse = factor(distances, setting).inverse();
    let weights = &inverse * targets;
    let residuals = weights.iter().enumerate().map(|(i, weight)| (weight / inverse[(i, i)]).powi(2));
    residuals.sum::<f64>() / targets.len() as f64
}

/// Cholesky factor of the similarities plus the penalty on the diagonal.
fn factor(distances: &DMatrix<f64>, Setting { length, penalty }: Setting) -> Cholesky<f64, Dyn> {
    let mut matrix = distances.map(|distance| similarity(distance, length));
    (0..matrix.nrows()).for_each(|i| matrix[(i, i)] += penalty);
    // Gaussian similarities are positive semidefinite, and even the smallest penalty is far above rounding.
    matrix.cholesky().expect("a penalised kernel matrix is positive definite")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{FitReport, kendall_tau};
    use crate::testing::additive_samples;

    #[test]
    fn an_additive_accuracy_is_learned_from_120_archs() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let predictor = KernelRidge::fit(&space, &additive_samples(&space, 120, 1)).unwrap();
        let report = FitReport::new(&predictor, 120, &additive_samples(&space, 50, 2)).unwrap();
        assert!(report.kendall_tau > 0.9, "{report:?}");
    }

    #[test]
    fn the_closed_form_of_leaving_one_out_is_what_leaving_one_out_gives() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let (archs, targets): (Vec<Arch>, Vec<f64>) = additive_samples(&space, 12, 3).into_iter().unzip();
        let features = encode(&ArchEncoder::new(&space), &archs).unwrap();
        let distances = squared_distances(&features, &features);
        let targets = DVector::from_vec(targets);
        let setting = Setting { length: 10.0, penalty: 0.1 };
        let left_out = (0..12).map(|i| {
            let (rest, known) = (distances.clone().remove_row(i).remove_column(i), targets.clone().remove_row(i));
            let weights = factor(&rest, setting).solve(&known);
            let similarities = distances.column(i).remove_row(i).map(|d| similarity(d, setting.length));
            (targets[i] - similarities.dot(&weights)).powi(2)
        });
        let expected = left_out.sum::<f64>() / 12.0;
        let found = leave_one_out(&distances, &targets, setting);
        assert!((found - expected).abs() < 1e-9 * expected, "{found} {expected}");
    }

    #[test]
    fn the_same_archs_come_back_and_constant_targets_are_predicted() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let known = additive_samples(&space, 40, 4);
        let (archs, targets): (Vec<Arch>, Vec<f64>) = known.iter().cloned().unzip();
        let predicted = KernelRidge::fit(&space, &known).unwrap().predict(&archs).unwrap();
        assert!(kendall_tau(&predicted, &targets) > 0.9);
        let constant: Vec<_> = archs.iter().map(|arch| (arch.clone(), 0.75)).collect();
        let predicted = KernelRidge::fit(&space, &constant).unwrap().predict(&archs[..1]).unwrap()[0];
        assert!((predicted - 0.75).abs() < 1e-9, "{predicted}");
    }

    #[test]
    fn bad_samples_are_named() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mut known = additive_samples(&space, 4, 5);
        let refused = |samples: &[(Arch, f64)]| KernelRidge::fit(&space, samples).unwrap_err().to_string();
        assert!(refused(&known[..2]).contains("at least 3 samples, found 2"));
        known[1].1 = f64::INFINITY;
        assert!(refused(&known).starts_with("target of arch"));
        known[1] = ("r8-k3e3".parse().unwrap(), 0.5);
        assert!(refused(&known).contains("outside the space"));
    }
}
