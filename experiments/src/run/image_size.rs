//! What follows from the size of the images: augmentation, framing, resolutions and space.

use crate::config::{ExperimentConfig, Scenario};
use anyhow::Result;
use ofa_data::{AugmentConfig, Framing, Splits};
use ofa_model::SearchSpace;

/// Adapts a preset to the images, whatever their layout; returns a line that says what was chosen.
///
/// # Errors
///
/// If all images of a sample are broken.
pub(super) fn adapt(config: &mut ExperimentConfig, images: &Splits) -> Result<String> {
    let side = images.typical_side()?;
    config.data.augment = AugmentConfig::for_side(side);
    if !AugmentConfig::are_small(side) {
        if config.training.start.is_some() {
            config.search.scenarios.iter_mut().for_each(|scenario| bring_within(scenario, &config.space));
        }
        return Ok(photographs(config, side));
    }
    if images.test.framing() != Framing::Whole {
        config.data.framing = Some(Framing::Whole);
    }
    let space = SearchSpace::small_mobilenet_v3_at(side, config.space.image_channels, config.space.classes);
    match config.training.start {
        Some(_) => config.space.resolutions = space.resolutions,
        None => config.space = space,
    }
    config.search.scenarios.iter_mut().for_each(|scenario| bring_within(scenario, &config.space));
    let resolutions: Vec<String> = config.space.resolutions.iter().map(usize::to_string).collect();
    Ok(format!(
        "images of about {side} px are small: shifts and flips, whole images in evaluation, space `{}` at {} px",
        config.space.name,
        resolutions.join(", ")
    ))
}

fn photographs(config: &ExperimentConfig, side: usize) -> String {
    let space = &config.space;
    let [least, greatest] =
        [space.resolutions.first(), space.resolutions.last()].map(|side| side.copied().unwrap_or(0));
    let advice = match 3 * greatest < side && greatest < 128 {
        true => "; --preset photographs shows them at 128 to 224 px",
        false => "",
    };
    let name = &space.name;
    format!(
        "images of about {side} px are photographs: random crops, space `{name}` at {least} to {greatest} px{advice}"
    )
}

/// Replaces a limit on MACs that no network of the space meets, or that all meet, by one in between.
fn bring_within(scenario: &mut Scenario, space: &SearchSpace) {
    let Some(limit) = scenario.macs else { return };
    let [least, greatest] = [space.smallest(), space.largest()].map(|arch| space.cost(&arch).macs);
    if (least..greatest).contains(&limit) {
        return;
    }
    let unit = 100_000;
    let macs = (least + (greatest - least) / 3).div_ceil(unit) * unit;
    scenario.macs = Some(macs);
    scenario.name = format!("macs-{}M", macs as f64 / 1e6);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_on_macs_are_brought_within_the_space() {
        let space = SearchSpace::small_mobilenet_v3_at(96, 3, 10);
        let mut scenario = Scenario { name: "macs-1".into(), macs: Some(1), ..Scenario::default() };
        bring_within(&mut scenario, &space);
        let [least, greatest] = [space.smallest(), space.largest()].map(|arch| space.cost(&arch).macs);
        let macs = scenario.macs.unwrap();
        assert!(least < macs && macs < greatest, "{least} {macs} {greatest}");
        assert!(scenario.name.ends_with('M'));
        let same = scenario.clone();
        bring_within(&mut scenario, &space);
        assert_eq!(scenario, same);
    }
}
