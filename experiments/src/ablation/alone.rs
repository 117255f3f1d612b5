//! Loss in the article's own sense: a subnet of a supernet against the same network trained alone.

use super::arms::INDEPENDENT;
use super::config::AblationConfig;
use super::known::Cells;
use super::record::DoneCell;
use super::statistics::Gap;
use super::verdict::CornerGap;
use serde::{Deserialize, Serialize};

/// The subnets of an arm compared with the same networks trained alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alone {
    /// Name of the arm.
    pub arm: String,
    /// Seeds for which the arm and every network trained alone are complete.
    pub seeds: Vec<u64>,
    /// Test top-1 of the arm's subnets minus that of the networks trained alone: mean over the corners trained alone,
    /// with Student's interval over seeds.
    pub gap: Gap,
    /// Gap of each corner; the p-values are not adjusted.
    pub corners: Vec<CornerGap>,
}

/// Every judged arm compared with the networks trained alone; empty until one seed is complete for all of them.
pub(super) fn all(config: &AblationConfig, cells: &Cells) -> Vec<Alone> {
    config.judged_arms().into_iter().filter_map(|arm| of(&arm.name, config, cells)).collect()
}

fn of(arm: &str, config: &AblationConfig, cells: &Cells) -> Option<Alone> {
    let names: Vec<&str> =
        config.arms.iter().map(|arm| arm.name.as_str()).filter(|name| name.starts_with(INDEPENDENT)).collect();
    let cell = |arm: &str, seed: u64| cells.get(&(arm.to_owned(), seed));
    let together = |seed: u64| -> Option<(&DoneCell, Vec<&DoneCell>)> {
        Some((cell(arm, seed)?, names.iter().map(|name| cell(name, seed)).collect::<Option<_>>()?))
    };
    let seeds: Vec<u64> = config.seeds.iter().copied().filter(|&seed| together(seed).is_some()).collect();
    let rows: Vec<(&DoneCell, Vec<&DoneCell>)> = seeds.iter().filter_map(|&seed| together(seed)).collect();
    let (_, alone) = rows.first().filter(|(_, alone)| !alone.is_empty())?;
    let corners: Vec<String> = alone.iter().filter_map(|cell| Some(cell.corner_names().next()?.to_owned())).collect();
    // One row per seed, one value per corner.
    let gaps: Vec<Vec<f64>> = rows
        .iter()
        .map(|(supernet, alone)| {
            let pairs = alone.iter().zip(&corners);
            pairs.map(|(alone, corner)| supernet.test_top1(corner) - alone.test_top1(corner)).collect()
        })
        .collect();
    let means: Vec<f64> = gaps.iter().map(|row| row.iter().sum::<f64>() / row.len() as f64).collect();
    let confidence = config.rule.confidence;
    let corner = |(i, corner): (usize, &String)| CornerGap {
        corner: corner.clone(),
        gap: Gap::of(&gaps.iter().map(|row| row[i]).collect::<Vec<_>>(), confidence),
        adjusted_p: None,
    };
    Some(Alone {
        arm: arm.to_owned(),
        seeds,
        gap: Gap::of(&means, confidence),
        corners: corners.iter().enumerate().map(corner).collect(),
    })
}
