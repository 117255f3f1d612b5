//! Learning curves of predictors: error on held-out archs by number of training archs.

use anyhow::{Result, ensure};
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace};
use ofa_search::AccuracyTable;
use ofa_search::predictors::PredictorKind;
use ofa_search::statistics::FitReport;
use serde::Serialize;
use std::time::Instant;

/// One fit and its error on the held-out rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FitRow {
    /// Name of the predictor.
    pub predictor: String,
    /// Number of rows it was fitted on.
    pub training_rows: usize,
    /// Number of held-out rows.
    pub held_out: usize,
    /// Seed of the split and of the predictor.
    pub seed: u64,
    /// Root mean squared error of top-1, as a fraction.
    pub rmse: f64,
    /// Kendall's tau-b.
    pub kendall_tau: f64,
    /// Spearman's rho.
    pub spearman: f64,
    /// Mean standard deviation across the predictor's networks; `None` for kinds without one.
    pub spread: Option<f64>,
    /// Fraction of held-out rows within two of their standard deviations.
    pub within_2_spreads: Option<f64>,
    /// Wall-clock seconds of the fit.
    pub seconds: f64,
}

/// Settings of a learning curve.
pub struct Curve<'a> {
    /// Measured accuracies.
    pub table: &'a AccuracyTable,
    /// Space of the table.
    pub space: &'a SearchSpace,
    /// Predictors to fit.
    pub kinds: &'a [PredictorKind],
    /// Numbers of rows to fit on; if empty, all rows not held out, and a half, a quarter, ... of them, down to 10.
    pub sizes: &'a [usize],
    /// Fraction of the rows held out.
    pub holdout: f64,
    /// One split, and one fit of each kind and size, per seed.
    pub seeds: &'a [u64],
}

impl Curve<'_> {
    /// Fits every kind on every number of rows, for every seed. Within a seed, all fits share the held-out rows, and
    /// smaller training sets are subsets of larger ones.
    ///
    /// # Errors
    ///
    /// If the table has fewer rows than a size needs, or too few to fit and evaluate.
    pub fn fit(&self, device: &Device, mut progress: impl FnMut(&FitRow)) -> Result<Vec<FitRow>> {
        let mut fits = Vec::new();
        for &seed in self.seeds {
            let (rest, held_out) = self.table.split(self.holdout, seed)?;
            let (rest, held_out) = (rest.samples(), held_out.samples());
            for size in self.sizes(rest.len())? {
                for kind in self.kinds {
                    let row = self.one(*kind, &rest[..size], &held_out, seed, device)?;
                    progress(&row);
                    fits.push(row);
                }
            }
        }
        Ok(fits)
    }

    fn sizes(&self, rows: usize) -> Result<Vec<usize>> {
        const LEAST: usize = 10;
        if self.sizes.is_empty() {
            let mut sizes: Vec<usize> =
                std::iter::successors(Some(rows), |size| Some(size / 2)).take_while(|size| *size >= LEAST).collect();
            sizes.reverse();
            return Ok(if sizes.is_empty() { vec![rows] } else { sizes });
        }
        for size in self.sizes {
            ensure!(
                (3..=rows).contains(size),
                "cannot fit a predictor on {size} rows: {rows} are left when {} are held out, and 3 are the minimum",
                self.table.rows().len() - rows
            );
        }
        Ok(self.sizes.to_vec())
    }

    fn one(
        &self,
        kind: PredictorKind,
        rows: &[(Arch, f64)],
        held_out: &[(Arch, f64)],
        seed: u64,
        device: &Device,
    ) -> Result<FitRow> {
        let started = Instant::now();
        let fitted = kind.fit(self.space, rows, seed, device)?;
        let seconds = started.elapsed().as_secs_f64();
        let report = FitReport::new(&fitted, rows.len(), held_out)?;
        let archs: Vec<Arch> = held_out.iter().map(|(arch, _)| arch.clone()).collect();
        let predictions = fitted.predict_with_spread(&archs)?.filter(|all| all.iter().any(|one| one.spread > 0.0));
        let n = held_out.len() as f64;
        let within = predictions.as_ref().map(|all| {
            let near = |(one, (_, top1)): &(&ofa_search::predictors::Prediction, &(Arch, f64))| {
                (one.mean - top1).abs() <= 2.0 * one.spread
            };
            all.iter().zip(held_out).filter(near).count() as f64 / n
        });
        Ok(FitRow {
            predictor: kind.to_string(),
            training_rows: rows.len(),
            held_out: held_out.len(),
            seed,
            rmse: report.rmse,
            kendall_tau: report.kendall_tau,
            spearman: report.spearman,
            spread: predictions.map(|all| all.iter().map(|one| one.spread).sum::<f64>() / n),
            within_2_spreads: within,
            seconds,
        })
    }
}

/// Means over seeds: one row per predictor and number of training rows, in the order of the fits.
pub fn means(fits: &[FitRow]) -> Vec<FitRow> {
    let mut means: Vec<FitRow> = Vec::new();
    for fit in fits {
        let same = |other: &&FitRow| (&other.predictor, other.training_rows) == (&fit.predictor, fit.training_rows);
        if means.iter().any(|known| same(&known)) {
            continue;
        }
        let all: Vec<&FitRow> = fits.iter().filter(same).collect();
        let mean = |value: fn(&FitRow) -> f64| all.iter().map(|fit| value(fit)).sum::<f64>() / all.len() as f64;
        let optional = |value: fn(&FitRow) -> Option<f64>| {
            all.iter().map(|fit| value(fit)).sum::<Option<f64>>().map(|sum| sum / all.len() as f64)
        };
        means.push(FitRow {
            rmse: mean(|fit| fit.rmse),
            kendall_tau: mean(|fit| fit.kendall_tau),
            spearman: mean(|fit| fit.spearman),
            spread: optional(|fit| fit.spread),
            within_2_spreads: optional(|fit| fit.within_2_spreads),
            seconds: mean(|fit| fit.seconds),
            ..fit.clone()
        });
    }
    means
}

/// Standard deviation of one measured accuracy, from the number of validation images (binomial). It is roughly the
/// lower bound of any predictor's error, although accuracies on the same images differ by less.
pub fn measurement_noise(table: &AccuracyTable) -> f64 {
    let images = table.header().validation_images as f64;
    let variances = table.rows().iter().map(|row| row.top1 * (1.0 - row.top1) / images);
    (variances.sum::<f64>() / table.rows().len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::measured::MeasuredTables;
    use std::path::Path;

    fn tables() -> MeasuredTables {
        let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-24-default-14-epochs");
        MeasuredTables::open(&record, None).unwrap()
    }

    fn fit(tables: &MeasuredTables, sizes: &[usize], holdout: f64) -> Result<Vec<FitRow>> {
        let kinds = &[PredictorKind::KernelRidge, PredictorKind::SingleMlp];
        let curve = Curve { table: &tables.accuracy, space: &tables.space, kinds, sizes, holdout, seeds: &[1, 2] };
        curve.fit(&Device::flex(), |_| ())
    }

    #[test]
    fn every_kind_is_fitted_on_every_number_of_rows() {
        let tables = tables();
        let fits = fit(&tables, &[20, 100], 0.25).unwrap();
        let found: Vec<(&str, usize, u64)> =
            fits.iter().map(|fit| (fit.predictor.as_str(), fit.training_rows, fit.seed)).collect();
        let of_seed = |seed| {
            [
                ("kernel_ridge", 20, seed),
                ("single_mlp", 20, seed),
                ("kernel_ridge", 100, seed),
                ("single_mlp", 100, seed),
            ]
        };
        assert_eq!(found, [of_seed(1), of_seed(2)].concat());
        assert!(fits.iter().all(|fit| fit.held_out == 40 && fit.rmse > 0.0 && fit.spread.is_none()), "{fits:?}");
        let means = means(&fits);
        assert_eq!(means.len(), 4);
        assert!((means[0].rmse - (fits[0].rmse + fits[4].rmse) / 2.0).abs() < 1e-15);
        assert!(means[2].kendall_tau > 0.3, "real accuracies are learned from 100 rows: {means:?}");
    }

    #[test]
    fn sizes_halve_by_default_and_too_large_ones_are_refused() {
        let tables = tables();
        let curve = |sizes| Curve {
            table: &tables.accuracy,
            space: &tables.space,
            kinds: &[],
            sizes,
            holdout: 0.25,
            seeds: &[],
        };
        assert_eq!(curve(&[]).sizes(120).unwrap(), [15, 30, 60, 120]);
        assert_eq!(curve(&[]).sizes(4).unwrap(), [4]);
        let message = curve(&[121]).sizes(120).unwrap_err().to_string();
        assert!(message.contains("121 rows: 120 are left when 40 are held out"), "{message}");
    }

    #[test]
    fn noise_is_that_of_a_share_of_images() {
        // About 90 % accuracy on 2,500 images.
        let noise = measurement_noise(&tables().accuracy);
        assert!((0.004..0.008).contains(&noise), "{noise}");
    }
}
