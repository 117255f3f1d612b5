//! What 8-bit integers do to the ranking of the subnets of a supernet, and to what a search chooses.

use super::{Contestant, Examined};
use crate::ablation::{Gap, Interval};
use crate::config::{ExperimentConfig, FineTuning};
use crate::console::heartbeat;
use crate::deployment::fine_tuned::fine_tuned;
use crate::tables;
use anyhow::{Context, Result};
use ofa_model::{Arch, Subnet};
use ofa_search::statistics::kendall_tau;
use ofa_search::{AccuracyTable, StrategyKind};
use ofa_train::Evaluator;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

const CONFIDENCE: f64 = 0.95;
/// Half samples for the interval of Kendall's tau.
const HALVES: usize = 1000;

/// What was found on one supernet.
#[derive(Clone, Debug, Serialize)]
pub struct Int8Findings {
    /// Name of the supernet.
    pub supernet: String,
    /// How networks were quantised.
    pub quantization: String,
    /// Random networks that were measured.
    pub networks: usize,
    /// Validation images per accuracy.
    pub validation_images: usize,
    /// Kendall's tau of the two accuracies over the networks.
    pub tau: f64,
    /// Its interval over networks, from half samples.
    pub tau_interval: Interval,
    /// Float minus int8 top-1, as a fraction: mean and interval over networks.
    pub drop: Gap,
    /// The same by choice.
    pub by_choice: Vec<ChoiceDrop>,
    /// What search by int8 accuracy gains, by limit.
    pub gains: Vec<Int8Gain>,
}

/// The drop of the networks that share a choice.
#[derive(Clone, Debug, Serialize)]
pub struct ChoiceDrop {
    /// The choice, such as `resolution 28`.
    pub choice: String,
    /// Networks that make it.
    pub networks: usize,
    /// Float minus int8 top-1 of these.
    pub drop: Gap,
}

/// The choices of a search by float accuracy and of one by int8 accuracy, within the same limit.
#[derive(Clone, Debug, Serialize)]
pub struct Int8Gain {
    /// Limit on MACs, as a share of the way from the smallest to the largest subnet.
    pub limit: f64,
    /// Chosen by float accuracy, as text.
    pub by_float: String,
    /// Chosen by int8 accuracy, as text.
    pub by_int8: String,
    /// Int8 test top-1 of the two.
    pub int8_top1: [f64; 2],
    /// Float test top-1 of the two.
    pub float_top1: [f64; 2],
    /// Int8 test top-1 of the second minus that of the first: mean and interval over test images.
    pub gain: Gap,
    /// The second, fine-tuned; `None` if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuned: Option<Int8Tuned>,
}

/// A network that was fine-tuned as real numbers, and beside it in 8-bit integers.
#[derive(Clone, Debug, Serialize)]
pub struct Int8Tuned {
    /// Passes over the training images.
    pub epochs: usize,
    /// Int8 test top-1 of the two.
    pub int8_top1: [f64; 2],
    /// That of the second minus that of the first: mean and interval over test images.
    pub gain: Gap,
}

impl Examined {
    /// Measures random subnets in float and int8, then searches within each of `limits` by either accuracy and measures
    /// the choices on test images.
    ///
    /// # Errors
    ///
    /// If images cannot be read, a limit cannot be met, or a stop was requested.
    pub fn int8_findings(&self, limits: &[f64], stop: &AtomicBool) -> Result<Int8Findings> {
        let mut validation = self.images.validation(&self.config, &self.device);
        let table = self.table(&mut validation, stop)?;
        let int8 = table.in_int8()?;
        let pairs: Vec<[f64; 2]> =
            table.rows().iter().zip(int8.rows()).map(|(float, int8)| [float.top1, int8.top1]).collect();
        let drops: Vec<f64> = pairs.iter().map(|[float, int8]| float - int8).collect();
        let archs: Vec<&Arch> = table.rows().iter().map(|row| &row.arch).collect();
        let tau = tau(&pairs);
        let mut test = self.images.test(&self.config, &self.device);
        let gains = limits.iter().map(|&limit| {
            heartbeat::at(|| format!("limit {limit}"));
            self.gain(limit, [&table, &int8], &mut validation, &mut test).with_context(|| format!("limit {limit}"))
        });
        Ok(Int8Findings {
            supernet: self.name.clone(),
            quantization: table.header().int8.clone().unwrap_or_default(),
            networks: pairs.len(),
            validation_images: table.header().validation_images,
            tau,
            tau_interval: tau_interval(&pairs, tau),
            drop: Gap::of(&drops, CONFIDENCE),
            by_choice: by_choice(&archs, &drops),
            gains: gains.collect::<Result<_>>()?,
        })
    }

    fn gain(
        &self,
        limit: f64,
        tables: [&AccuracyTable; 2],
        validation: &mut Evaluator,
        test: &mut Evaluator,
    ) -> Result<Int8Gain> {
        let settings = self.config.tables.int8.unwrap_or_default();
        let mut measured = Vec::new();
        for table in tables {
            let (predictor, _) = tables::predictor(&self.config, table, &self.device)?;
            let (arch, _) = self.search(Contestant::Strategy(StrategyKind::Evolution), limit, table, &predictor)?;
            let subnet = validation.calibrated(&self.supernet, &arch)?;
            let quantised = validation.quantized(&subnet, &settings)?;
            measured.push((arch, test.subnet_top1(&subnet)?, test.subnet_right(&quantised)?, subnet));
        }
        let [(by_float, float_a, right_a, _), (by_int8, float_b, right_b, subnet)] = &measured[..] else {
            unreachable!("two tables were searched")
        };
        let tuned = (self.config.fine_tune.epochs > 0).then(|| self.tuned(subnet, validation, test)).transpose()?;
        Ok(Int8Gain {
            limit,
            by_float: by_float.to_string(),
            by_int8: by_int8.to_string(),
            int8_top1: [share(right_a), share(right_b)],
            float_top1: [*float_a, *float_b],
            gain: gain_of(right_b, right_a),
            tuned,
        })
    }

    /// Fine-tunes a network in two ways.
    fn tuned(&self, subnet: &Subnet, validation: &mut Evaluator, test: &mut Evaluator) -> Result<Int8Tuned> {
        let settings = self.config.tables.int8.unwrap_or_default();
        let mut right = |int8: bool| -> Result<Vec<bool>> {
            let fine_tune = FineTuning { int8, ..self.config.fine_tune };
            let config = ExperimentConfig { fine_tune, ..self.config.clone() };
            let teacher = Some(&self.supernet);
            let tuned = fine_tuned(&config, &self.images, subnet.clone(), teacher, validation, &self.device)?;
            Ok(test.subnet_right(&validation.quantized(&tuned, &settings)?)?)
        };
        let (real, integers) = (right(false)?, right(true)?);
        let (epochs, int8_top1) = (self.config.fine_tune.epochs, [share(&real), share(&integers)]);
        Ok(Int8Tuned { epochs, int8_top1, gain: gain_of(&integers, &real) })
    }
}

fn share(right: &[bool]) -> f64 {
    right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64
}

/// What `better` gets right and `worse` does not, over images.
fn gain_of(better: &[bool], worse: &[bool]) -> Gap {
    let gains = better.iter().zip(worse).map(|(b, a)| f64::from(*b) - f64::from(*a));
    Gap::of(&gains.collect::<Vec<_>>(), CONFIDENCE)
}

fn tau(pairs: &[[f64; 2]]) -> f64 {
    let (float, int8): (Vec<f64>, Vec<f64>) = pairs.iter().map(|[float, int8]| (*float, *int8)).unzip();
    kendall_tau(&float, &int8)
}

/// The spread of tau over random halves of the networks is that of tau over as many networks as there are (delete-d
/// jackknife, d = n/2). A bootstrap would draw networks twice, which are ties.
fn tau_interval(pairs: &[[f64; 2]], tau_of_all: f64) -> Interval {
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let mut pairs = pairs.to_vec();
    let half = pairs.len().div_ceil(2);
    let squares = (0..HALVES).map(|_| {
        pairs.shuffle(rng);
        (tau(&pairs[..half]) - tau_of_all).powi(2)
    });
    let spread = 1.96 * (squares.sum::<f64>() / HALVES as f64).sqrt();
    Interval { low: (tau_of_all - spread).max(-1.0), high: (tau_of_all + spread).min(1.0) }
}

/// Drops by resolution, number of blocks, and the most frequent kernel size and expand ratio (the greater of equals).
fn by_choice(archs: &[&Arch], drops: &[f64]) -> Vec<ChoiceDrop> {
    let mut groups: BTreeMap<(usize, usize, String), Vec<f64>> = BTreeMap::new();
    for (arch, drop) in archs.iter().zip(drops) {
        let blocks = || arch.stages.iter().flat_map(|stage| &stage.blocks);
        let kernel = most_frequent(blocks().map(|block| block.kernel_size.to_string()));
        let expand = most_frequent(blocks().map(|block| block.expand_ratio.to_string()));
        let (resolution, depth) = (arch.resolution, blocks().count());
        for (order, number, choice) in [
            (0, resolution, format!("resolution {resolution}")),
            (1, depth, format!("{depth} blocks")),
            (2, 0, format!("mostly kernel size {kernel}")),
            (3, 0, format!("mostly expand ratio {expand}")),
        ] {
            groups.entry((order, number, choice)).or_default().push(*drop);
        }
    }
    let of = |((.., choice), drops): ((usize, usize, String), Vec<f64>)| ChoiceDrop {
        choice,
        networks: drops.len(),
        drop: Gap::of(&drops, CONFIDENCE),
    };
    groups.into_iter().map(of).collect()
}

fn most_frequent(values: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(value, _)| value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_tau_holds_it_and_shrinks_with_networks() {
        let pairs = |n: usize| -> Vec<[f64; 2]> {
            (0..n).map(|i| [i as f64, i as f64 + 40.0 * ((i * 37 % 101) as f64 / 101.0 - 0.5)]).collect()
        };
        let width = |n| {
            let pairs = pairs(n);
            let tau = tau(&pairs);
            let Interval { low, high } = tau_interval(&pairs, tau);
            assert!(low < tau && tau <= high && tau > 0.0, "{low} {tau} {high}");
            high - low
        };
        assert!(width(200) < width(30));
    }

    #[test]
    fn drops_are_grouped_by_what_networks_choose() {
        let archs: Vec<Arch> =
            ["r20-k3e3.k3e6", "r20-k7e6.k7e6.k3e3", "r28-k3e3.k3e3.k3e3.k3e3-k3e3.k3e3.k3e3.k3e3-k3e3.k3e3"]
                .map(|text| text.parse().unwrap())
                .to_vec();
        let groups = by_choice(&archs.iter().collect::<Vec<_>>(), &[0.01, 0.03, 0.05]);
        let of = |choice: &str| groups.iter().find(|group| group.choice == choice).map(|g| (g.networks, g.drop.mean));
        assert_eq!(of("resolution 20"), Some((2, 0.02)));
        assert_eq!(of("3 blocks"), Some((1, 0.03)));
        assert_eq!(of("mostly kernel size 7"), Some((1, 0.03)));
        assert_eq!(of("mostly expand ratio 6"), Some((2, 0.02)));
        let order: Vec<&str> = groups.iter().map(|group| &*group.choice).take(5).collect();
        assert_eq!(order, ["resolution 20", "resolution 28", "2 blocks", "3 blocks", "10 blocks"]);
    }
}
