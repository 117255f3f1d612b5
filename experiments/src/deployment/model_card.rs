//! [`ModelCard`]: metadata for users of an exported subnet.

use super::specialise::Chosen;
use crate::machine::environment;
use crate::machine::environment::Machine;
use crate::run::classes::imagenet;
use anyhow::{Context, Result};
use ofa_model::{Arch, Cost, OriginalArch, SearchSpace, Subnet, SubnetCard};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Model card of an exported subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// The arch as text.
    pub arch: String,
    /// The arch as the original's dictionary, where that format can express it.
    pub original_arch: Option<OriginalArch>,
    /// The space it was taken from.
    pub space: SearchSpace,
    /// Height and width of the input in pixels.
    pub resolution: usize,
    /// MACs, parameters and peak activation memory for one image.
    pub cost: Cost,
    /// Top-1 on the test set, 0 to 1, if the run measured it.
    pub test_top1: Option<f64>,
    /// Measured latencies, one per device.
    pub latencies: Vec<Latency>,
    /// Class names, in the order of the logits.
    pub classes: Vec<String>,
    /// Per-channel mean, to subtract from an image in [0, 1].
    pub mean: Vec<f32>,
    /// Per-channel standard deviation, to divide by afterwards.
    pub std: Vec<f32>,
    /// Git revision of the source that exported it.
    pub revision: String,
}

/// Latency of the whole network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Device name, see `--device`.
    pub device: String,
    /// CPU model.
    pub processor: String,
    /// Compute threads.
    pub threads: usize,
    /// Median latency in milliseconds; raw, not corrected for pace, if the run recorded both.
    pub median_ms: f64,
}

impl ModelCard {
    /// The card of a subnet. Accuracy and latency are read from `dir`, the directory where a run saved the subnet.
    ///
    /// # Errors
    ///
    /// If a file of measurements exists but cannot be read.
    pub fn new(subnet: &Subnet, card: &SubnetCard, dir: Option<&Path>) -> Result<Self> {
        let (space, arch) = (subnet.space(), subnet.arch());
        let chosen: Option<Chosen> = dir.map_or(Ok(None), |dir| read(&dir.join(Chosen::FILE)))?;
        // A run saves subnets as `subnets/<scenario>` below its own files.
        let run = dir.and_then(|dir| dir.parent()?.parent());
        let machine: Option<Machine> = run.map_or(Ok(None), |run| read(&run.join("environment.json")))?;
        let latency = |(chosen, machine): (&Chosen, &Machine)| Latency {
            device: machine.device.clone(),
            processor: machine.processor.clone(),
            threads: machine.threads,
            median_ms: chosen.stopwatch_ms.unwrap_or(chosen.measured_ms),
        };
        Ok(Self {
            arch: arch.to_string(),
            original_arch: Some(arch.to_original(space)).filter(|original| {
                // A custom space may offer choices that the original's format cannot express.
                Arch::from_original(original, space).is_ok_and(|back| back == *arch)
            }),
            space: space.clone(),
            resolution: arch.resolution,
            cost: space.cost(arch),
            test_top1: chosen.as_ref().map(|chosen| chosen.fine_tuned_test_top1.unwrap_or(chosen.test_top1)),
            latencies: chosen.as_ref().zip(machine.as_ref()).map(latency).into_iter().collect(),
            classes: card.classes.clone(),
            mean: card.mean.clone(),
            std: card.std.clone(),
            revision: environment::machine("").revision,
        })
    }
}

/// A card with ImageNet's usual normalisation, and its classes if there are 1,000, for networks that come without a
/// card.
pub fn imagenet_card(subnet: &Subnet) -> SubnetCard {
    let space = subnet.space();
    let channels = |values: [f32; 3]| values.into_iter().cycle().take(space.image_channels).collect();
    SubnetCard {
        arch: subnet.arch().to_string(),
        space: space.clone(),
        classes: match space.classes {
            1000 => imagenet(),
            classes => (0..classes).map(|class| format!("class {class}")).collect(),
        },
        mean: channels([0.485, 0.456, 0.406]),
        std: channels([0.229, 0.224, 0.225]),
    }
}

/// Reads a JSON file; `None` if it does not exist.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).with_context(|| format!("{}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
