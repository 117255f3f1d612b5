//! What all arms of an ablation share, for people.

use super::config::AblationConfig;
use super::reported::{corner_name, corners};

/// Names and values, for a table.
pub(super) fn setup(config: &AblationConfig, images: &str) -> Vec<(String, String)> {
    let (base, space) = (&config.base, &config.base.space);
    let (recipe, tables) = (&base.training.recipe, &base.tables);
    let macs = [space.smallest(), space.largest()].map(|arch| space.cost(&arch).macs as f64 / 1e6);
    let last = space.units(&space.largest()).iter().rev().nth(1).map_or(0, |unit| unit.input_size);
    let corners: Vec<String> = corners(space).iter().map(corner_name).collect();
    let rows = [
        ("Images", images.to_owned()),
        (
            "Space",
            format!(
                "`{}`: {} networks, {:.2} to {:.2} MMACs, last map {last}x{last}",
                space.name,
                space.len(),
                macs[0],
                macs[1]
            ),
        ),
        (
            "Resolutions",
            format!("{:?} in training, {} in every reported number", space.resolutions, space.largest().resolution),
        ),
        (
            "Seeds",
            format!("{:?}; a seed sets split, initial weights, order, augmentation and sampled subnets", config.seeds),
        ),
        ("Learning rates", config.selection.describe()),
        (
            "Optimizer",
            format!(
                "SGD, Nesterov momentum {}, weight decay {}, label smoothing {}, dropout {}, batch {}",
                recipe.momentum, recipe.weight_decay, recipe.label_smoothing, recipe.dropout, base.training.batch_size
            ),
        ),
        ("Calibration", format!("{} training images per subnet", tables.calibration_images)),
        (
            "Reported",
            format!(
                "{} on all test images; {} random subnets (seed {}) on at most {} of them",
                corners.join(", "),
                config.reported.random,
                config.reported.random_seed,
                config.reported.random_images
            ),
        ),
    ];
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
