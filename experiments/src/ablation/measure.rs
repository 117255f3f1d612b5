//! Accuracy of the subnets of a trained cell.

use super::config::{AblationConfig, Arm};
use super::record::{SubnetRow, hexadecimal};
use super::reported::{corner_name, corners};
use crate::config::ExperimentConfig;
use crate::run::images::Images;
use anyhow::Result;
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace, Subnet, Supernet};
use ofa_train::{Evaluator, Ranks};

/// Measures the reported subnets that `arm` trains: corners first, then, unless the cell only `selects` a learning rate, random ones. The ranks share the
/// subnets; every rank gets all rows.
///
/// # Errors
///
/// If an image cannot be read.
pub(super) fn measure(
    (arm, selects): (&Arm, bool),
    ablation: &AblationConfig,
    supernet: &Supernet,
    (config, images, validation, device): (&ExperimentConfig, &Images, &mut Evaluator, &Device),
    ranks: &dyn Ranks,
) -> Result<Vec<SubnetRow>> {
    let space = &config.space;
    let corners: Vec<Arch> = corners(space).into_iter().filter(|arch| arm.trains(arch, space)).collect();
    let largest = corners.last().map(|arch| validation.calibrated(supernet, arch)).transpose()?;
    let mut test = images.test(config, device);
    let corner = |arch: &Arch| -> Result<SubnetRow> {
        let subnet = validation.calibrated(supernet, arch)?;
        let mut row = row(corner_name(arch), arch, space);
        row.validation_top1 = Some(validation.subnet_top1(&subnet)?);
        if !selects {
            let uncalibrated = largest.as_ref().map(|largest| supernet.subnet(arch).with_statistics_of(largest));
            on_test_images(&mut row, &subnet, uncalibrated.as_ref(), &mut test)?;
        }
        Ok(row)
    };
    let mut rows = shared(ranks, &corners, corner)?;
    if selects {
        return Ok(rows);
    }
    let some = images.splits.test.subset(ablation.reported.random_images, ablation.reported.random_seed);
    let mut test = images.evaluator(some, config, device);
    let random = ablation.reported.random(space).into_iter().filter(|arch| arm.trains(arch, space));
    rows.extend(shared(ranks, &random.collect::<Vec<_>>(), |arch| {
        Ok(SubnetRow { test_top1: Some(test.top1(supernet, arch)?), ..row(String::new(), arch, space) })
    })?);
    Ok(rows)
}

fn on_test_images(
    row: &mut SubnetRow,
    subnet: &Subnet,
    uncalibrated: Option<&Subnet>,
    test: &mut Evaluator,
) -> Result<()> {
    let right = test.subnet_right(subnet)?;
    row.test_top1 = Some(right.iter().filter(|right| **right).count() as f64 / right.len() as f64);
    row.right = hexadecimal(&right);
    row.uncalibrated_top1 = uncalibrated.map(|subnet| test.subnet_top1(subnet)).transpose()?;
    Ok(())
}

fn row(corner: String, arch: &Arch, space: &SearchSpace) -> SubnetRow {
    SubnetRow {
        corner,
        arch: arch.to_string(),
        macs: space.cost(arch).macs,
        validation_top1: None,
        test_top1: None,
        uncalibrated_top1: None,
        right: String::new(),
    }
}

/// Results of `measure` for all archs, in order. Rank r of n measures every n-th arch, starting with the r-th.
fn shared(
    ranks: &dyn Ranks,
    archs: &[Arch],
    mut measure: impl FnMut(&Arch) -> Result<SubnetRow>,
) -> Result<Vec<SubnetRow>> {
    let own = archs.iter().skip(ranks.rank()).step_by(ranks.size()).map(&mut measure).collect::<Result<Vec<_>>>()?;
    if ranks.size() == 1 {
        return Ok(own);
    }
    let all = ranks.gather(serde_json::to_vec(&own)?);
    let all = all.iter().map(|rows| serde_json::from_slice(rows)).collect::<Result<Vec<Vec<SubnetRow>>, _>>()?;
    Ok((0..archs.len()).map(|i| all[i % ranks.size()][i / ranks.size()].clone()).collect())
}
