//! [`Setting`]: what all cells share: images, the latency table, and the limits that follow from it.

use super::config::DesignConfig;
use crate::config::ExperimentConfig;
use crate::machine::device;
use crate::machine::latency_device::LatencyDevice;
use crate::run::images::Images;
use crate::run::run_dir::RunDir;
use crate::tables::choice_costs::latency_costs;
use crate::tables::latency::LatencyJob;
use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use ofa_data::{AugmentConfig, ImageSet, Loader, LoaderConfig, View};
use ofa_model::{ChoiceCosts, ChoiceGroups, SearchSpace, SupernetConfig};
use ofa_search::LatencyTable;
use ofa_search::timing::device_name;
use ofa_train::baselines::SearchTarget;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// The table of a directory whose configuration names none.
const TABLE: &str = "tables/latency.csv";
/// Says that the table is complete. It cannot tell itself: its overhead is fitted last, and may be found to be none.
const COMPLETE: &str = "tables/complete";
/// Batches of held-out images prepared ahead.
const PREFETCH: usize = 2;

/// What cells work with.
pub(super) struct Setting {
    /// The configuration of a run with this seed.
    pub(super) config: ExperimentConfig,
    pub(super) images: Images,
    pub(super) device: Device,
    /// The space at the one resolution at which networks are designed.
    pub(super) space: SearchSpace,
    pub(super) table: LatencyTable,
    /// Milliseconds of each choice.
    pub(super) costs: ChoiceCosts,
}

impl Setting {
    /// Loads images and table for cells with this seed.
    ///
    /// # Errors
    ///
    /// If one cannot be read, or the table belongs to another space or device.
    pub(super) fn open(design: &DesignConfig, root: &Path, seed: u64) -> Result<Self> {
        let config = ExperimentConfig { seed, ..design.base.clone() };
        let device = device::by_name(&config.device)?;
        let (path, table) = table(design, root)?;
        let (found, expected) = (&table.header().device, device_name(&device));
        ensure!(
            *found == expected,
            "{} was measured on {found}, but networks are timed on {expected}: measure a table there, or drop \
             latency_table",
            path.display()
        );
        let (space, costs) = (one_resolution(&config.space), costs(&config.space, &table)?);
        Ok(Self { images: Images::load(&config, None)?, config, device, space, table, costs })
    }

    /// Limit of the target with this index.
    pub(super) fn target(&self, design: &DesignConfig, target: usize) -> SearchTarget {
        SearchTarget { limit: limit_ms(&self.costs, design.targets[target]), unit: "ms".into() }
    }

    /// Loaders of the images from which weights learn, `images` of the training images or all of them, and of those from
    /// which choices learn.
    pub(super) fn loaders(&self, images: Option<usize>) -> Result<[Loader; 2]> {
        let (splits, augment) = (&self.images.splits, self.config.data.augment.clone());
        let [train, validation] = searched(images, [splits.train.len(), splits.validation.len()], &self.config);
        let (batch_size, seed) = (self.config.training.batch_size.min(splits.validation.len()), self.config.seed);
        let loader = |set: &ImageSet, augment| {
            let config =
                LoaderConfig { batch_size, seed, view: View::Train(augment), drop_last: true, prefetch: PREFETCH };
            Loader::new(set.clone(), config, splits.normalisation())
        };
        let train = splits.train.subset(train, seed);
        // Mixup would blend what choices are judged by.
        let judging = AugmentConfig { mixup: None, ..augment.clone() };
        Ok([loader(&train, augment)?, loader(&splits.validation.subset(validation, seed), judging)?])
    }
}

/// Training and held-out images of a search that is to use `images` of the training images, of as many as there are: the
/// same share of the validation images, but no more than a quarter of the training images, and at least one batch.
pub(super) fn searched(images: Option<usize>, all: [usize; 2], config: &ExperimentConfig) -> [usize; 2] {
    let train = images.unwrap_or(all[0]).min(all[0]);
    let share = train as f64 / all[0] as f64;
    let held_out = ((all[1] as f64 * share).round() as usize).min(train / 4);
    [train, held_out.max(config.training.batch_size.min(all[1]))]
}

/// The space at its largest resolution alone, at which all networks are designed and measured.
pub(super) fn one_resolution(space: &SearchSpace) -> SearchSpace {
    SearchSpace { resolutions: vec![space.largest().resolution], ..space.clone() }
}

/// Milliseconds of each choice, by the table of the whole space.
pub(super) fn costs(space: &SearchSpace, table: &LatencyTable) -> Result<ChoiceCosts> {
    latency_costs(&one_resolution(space), &ChoiceGroups::new(space, space.largest().resolution)?, table)
}

/// The latency at a share of the way from the cheapest to the most expensive network.
pub(super) fn limit_ms(costs: &ChoiceCosts, share: f64) -> f64 {
    let [least, most] = costs.range();
    least + share * (most - least)
}

/// The latency table and its path.
pub(super) fn table(design: &DesignConfig, root: &Path) -> Result<(PathBuf, LatencyTable)> {
    let path = design.latency_table.clone().unwrap_or_else(|| root.join(TABLE));
    let table = LatencyTable::load(&path, &design.base.space).context("the latency table of all methods")?;
    Ok((path, table))
}

/// Measures the table of a directory whose configuration names none, unless it is there.
///
/// # Errors
///
/// If it cannot be measured or written, or a stop was requested.
pub(super) fn measure_table(design: &DesignConfig, dir: &RunDir, stop: &AtomicBool) -> Result<()> {
    if design.latency_table.is_some() || dir.path(COMPLETE).is_file() {
        return Ok(());
    }
    let device = device::by_name(&design.base.device)?;
    // Whole networks are timed with arbitrary weights.
    let supernet = SupernetConfig::new(design.base.space.clone())?.init(&device);
    LatencyJob::of_run(&design.base, &supernet, &LatencyDevice::Burn(device), dir, stop).run()?;
    dir.write(COMPLETE, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_holds_out_a_fifth_of_its_images() {
        let config = ExperimentConfig::preset("smoke").unwrap();
        let batch = config.training.batch_size;
        assert_eq!(searched(None, [50_000, 10_000], &config), [50_000, 10_000]);
        assert_eq!(searched(Some(2_560), [50_000, 10_000], &config), [2_560, 512]);
        assert_eq!(searched(Some(1_000), [1_000, 10_000], &config), [1_000, 250]);
        assert_eq!(searched(Some(batch), [1_000, 10_000], &config), [batch, batch], "at least one batch");
    }
}
