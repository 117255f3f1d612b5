//! Made-up cells for tests, without training.

use super::budget::Budget;
use super::config::{AblationConfig, Arm, BudgetConfig};
use super::known::Cells;
use super::record::{CellRecord, DoneCell, SubnetRow, hexadecimal};
use super::reported::{corner_name, corners};
use crate::machine::environment;
use ofa_train::EpochRecord;

const IMAGES: usize = 2_000;

/// The smoke preset.
pub(crate) fn ablation() -> AblationConfig {
    AblationConfig::shrinking("smoke").unwrap()
}

/// The smoke preset with few, small images and small batches, which trains in no time.
pub(crate) fn tiny_ablation() -> AblationConfig {
    let mut config = ablation();
    let base = &mut config.base;
    base.space.resolutions = vec![8, 12];
    base.data.train_images = Some(32);
    base.data.test_images = Some(30);
    base.training.batch_size = 16;
    (base.tables.validation_images, base.tables.calibration_images, base.tables.batch_size) = (20, 20, 20);
    config.reported.random = 3;
    config
}

/// Two budgets of one epoch per phase; the second reuses the factors of the first.
pub(crate) fn tiny_ladder() -> AblationConfig {
    let mut config = tiny_ablation();
    config.selection.factors = vec![1.0, 2.0];
    config.tried = vec!["a pilot".into()];
    let ones = |arm: &Arm| (arm.name.clone(), vec![1; arm.schedule.phases.len()]);
    let budget = |name: &str| BudgetConfig {
        name: name.into(),
        seeds: None,
        train_images: None,
        factors: None,
        factors_of: None,
        epochs: config.arms.iter().map(ones).collect(),
    };
    config.budgets = vec![budget("A"), BudgetConfig { factors_of: Some("A".into()), ..budget("B") }];
    config.budgets[1].epochs.insert("none".into(), vec![3]);
    config
}

/// All cells of an ablation. `progressive` classifies `gap` of the images more than `none` correctly, and seeds differ
/// slightly.
pub(crate) fn cells(config: &AblationConfig, gap: f64) -> Cells {
    let mut cells = Cells::new();
    for arm in &config.arms {
        for (i, &seed) in config.seeds.iter().enumerate() {
            let top1 = 0.8 + 0.001 * i as f64 + if arm.name == "progressive" { gap + 0.0015 * i as f64 } else { 0.0 };
            cells.insert((arm.name.clone(), seed), cell(config, &arm.name, seed, top1));
        }
    }
    cells
}

/// A selection cell with this validation accuracy in all corners; without one, it diverged.
pub(crate) fn selecting_cell(
    config: &AblationConfig,
    arm: &str,
    factor: f64,
    validation_top1: Option<f64>,
) -> DoneCell {
    let mut cell = cell(config, arm, config.selection.seed, 0.5);
    cell.record.factor = factor;
    cell.record.diverged = validation_top1.is_none().then(|| "loss is NaN".into());
    for row in &mut cell.subnets {
        (row.validation_top1, row.test_top1, row.uncalibrated_top1) = (validation_top1, None, None);
    }
    cell
}

fn cell(config: &AblationConfig, arm: &str, seed: u64, top1: f64) -> DoneCell {
    let space = &config.base.space;
    let right: Vec<bool> = (0..IMAGES).map(|i| (i as f64) < top1 * IMAGES as f64).collect();
    let top1 = right.iter().filter(|right| **right).count() as f64 / IMAGES as f64;
    let row = |corner: String, arch: &ofa_model::Arch| SubnetRow {
        corner,
        arch: arch.to_string(),
        macs: space.cost(arch).macs,
        validation_top1: None,
        test_top1: Some(top1),
        uncalibrated_top1: Some(0.5),
        right: String::new(),
    };
    let named = corners(space).into_iter();
    let named = named.map(|arch| SubnetRow { right: hexadecimal(&right), ..row(corner_name(&arch), &arch) });
    let random = config.reported.random(space).into_iter().map(|arch| row(String::new(), &arch));
    DoneCell {
        record: CellRecord {
            arm: arm.into(),
            seed,
            factor: 1.0,
            code: "code".into(),
            first_steps: None,
            weights: "weights".into(),
            budget: Budget { subnet_epochs: 10.0, macs: 1e12 },
            seconds: [60.0, 5.0],
            machine: environment::machine("flex"),
            diverged: None,
        },
        subnets: named.chain(random).collect(),
        epochs: vec![epoch(1), epoch(2)],
    }
}

fn epoch(epoch: usize) -> EpochRecord {
    EpochRecord {
        phase: "random".into(),
        epoch,
        learning_rate: 0.1,
        loss: 1.0 / epoch as f64,
        label_loss: 1.0 / epoch as f64,
        teacher_loss: 0.0,
        train_top1: 0.5,
        images: 1000,
        mean_macs: 1e6,
        least_macs: 500_000,
        most_macs: 2_000_000,
        seconds: 1.0,
    }
}
