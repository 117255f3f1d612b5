//! The published spaces, and one for small images, as values.

use super::{Head, SearchSpace, StageSpace, Stem};
use crate::{Activation, ExpandRatio, make_divisible};

impl SearchSpace {
    /// The MobileNetV3 space of the paper (ICLR 2020, section 4.1) for ImageNet-class images of 128 to 224 px.
    ///
    /// `width` multiplies every number of channels, as in the original (1.0 and 1.2 are published).
    pub fn mobilenet_v3(width: f64, classes: usize) -> Self {
        let c = |channels: f64| make_divisible(channels * width, 8);
        let stage = |channels: f64, stride, activation, squeeze_excite| StageSpace {
            channels: c(channels),
            stride,
            activation,
            squeeze_excite,
            ..StageSpace::elastic()
        };
        use Activation::{HardSwish, Relu};
        Self {
            name: format!("mobilenet_v3_w{width:.1}"),
            image_channels: 3,
            classes,
            resolutions: (128..=224).step_by(4).collect(),
            norm_epsilon: 1e-5,
            stem: Stem {
                channels: c(16.0),
                stride: 2,
                activation: HardSwish,
                block_channels: c(16.0),
                block_activation: Relu,
            },
            stages: vec![
                stage(24.0, 2, Relu, false),
                stage(40.0, 2, Relu, true),
                stage(80.0, 2, HardSwish, false),
                stage(112.0, 1, HardSwish, true),
                stage(160.0, 2, HardSwish, true),
            ],
            head: Head { expand_channels: c(960.0), mix_channels: Some(c(1280.0)), activation: HardSwish },
        }
    }

    /// A MobileNetV3-style space for images of about 28 px.
    ///
    /// The stem keeps the resolution and the last map is 7x7 at 28 px, so that a kernel of 7 still has something to see;
    /// ImageNet's strides would leave 1x1.
    pub fn small_mobilenet_v3(image_channels: usize, classes: usize) -> Self {
        let stage = |channels, stride, activation, squeeze_excite| StageSpace {
            channels,
            stride,
            activation,
            squeeze_excite,
            ..StageSpace::elastic()
        };
        use Activation::{HardSwish, Relu};
        Self {
            name: "small_mobilenet_v3".into(),
            image_channels,
            classes,
            resolutions: vec![20, 24, 28],
            norm_epsilon: 1e-5,
            stem: Stem { channels: 8, stride: 1, activation: HardSwish, block_channels: 8, block_activation: Relu },
            stages: vec![stage(8, 2, Relu, false), stage(16, 2, HardSwish, true), stage(32, 1, HardSwish, true)],
            head: Head { expand_channels: 128, mix_channels: Some(192), activation: HardSwish },
        }
    }
}

impl StageSpace {
    /// The elastic choices that the published MobileNetV3 space offers in every stage.
    fn elastic() -> Self {
        Self {
            channels: 0,
            stride: 1,
            activation: Activation::Relu,
            squeeze_excite: false,
            depths: vec![2, 3, 4],
            kernel_sizes: vec![3, 5, 7],
            expand_ratios: [3, 4, 6].map(ExpandRatio::from).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid() {
        for space in [
            SearchSpace::mobilenet_v3(1.0, 1000),
            SearchSpace::mobilenet_v3(1.2, 1000),
            SearchSpace::small_mobilenet_v3(1, 10),
        ] {
            space.validate().unwrap();
            let toml_like = serde_json::to_string(&space).unwrap();
            assert_eq!(serde_json::from_str::<SearchSpace>(&toml_like).unwrap(), space);
        }
    }
}
