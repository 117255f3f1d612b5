//! Preset spaces: the published ones, and two for small images.

use super::{BlockKind, Head, SearchSpace, StageSpace};
use crate::{Activation, Ratio, make_divisible};

impl SearchSpace {
    /// The MobileNetV3 space of the paper (ICLR 2020, section 4.1), for ImageNet-like images of 128 to 224 px.
    ///
    /// `width` multiplies every channel count, as in the original (1.0 and 1.2 are published).
    pub fn mobilenet_v3(width: f64, classes: usize) -> Self {
        use Activation::{HardSwish, Relu};
        let c = |channels| scaled(channels, width);
        let stage = |channels, stride, activation, squeeze_excite| StageSpace {
            squeeze_excite,
            ..elastic_mb_conv(c(channels), stride, activation)
        };
        Self {
            name: format!("mobilenet_v3_w{width:.1}"),
            stem: mobile_stem([c(16), c(16)], 2, [HardSwish, Relu]),
            stages: vec![
                stage(24, 2, Relu, false),
                stage(40, 2, Relu, true),
                stage(80, 2, HardSwish, false),
                stage(112, 1, HardSwish, true),
                stage(160, 2, HardSwish, true),
            ],
            head: Head { expand_channels: Some(c(960)), mix_channels: Some(c(1280)), activation: HardSwish },
            ..imagenet(classes)
        }
    }

    /// The ProxylessNAS space of the original. It is like the MobileNetV3 space, but with ReLU6 instead of h-swish,
    /// without squeeze-and-excitation, and with a last stage of one block.
    ///
    /// `width` multiplies every channel count (1.3 is published).
    pub fn proxyless_nas(width: f64, classes: usize) -> Self {
        use Activation::Relu6;
        let c = |channels| scaled(channels, width);
        let stage = |channels, stride| elastic_mb_conv(c(channels), stride, Relu6);
        Self {
            name: format!("proxyless_nas_w{width:.1}"),
            norm_epsilon: 1e-3,
            stem: mobile_stem([c(32), c(16)], 2, [Relu6, Relu6]),
            stages: vec![
                stage(24, 2),
                stage(40, 2),
                stage(80, 2),
                stage(96, 1),
                stage(192, 2),
                StageSpace { depths: vec![1], ..stage(320, 1) },
            ],
            head: Head { expand_channels: Some(c(1280)), mix_channels: None, activation: Relu6 },
            ..imagenet(classes)
        }
    }

    /// The space of the paper's first version (arXiv:1908.09791v1): ProxylessNAS blocks with expand ratios 4, 5 and 6.
    ///
    /// At width 1.0 its MACs match table 1 of that version. The version counts five stages, 2.18e19 networks; as in the
    /// original's code, this space also has the choices of the single last block.
    pub fn paper_v1(width: f64, classes: usize) -> Self {
        let mut space = Self::proxyless_nas(width, classes);
        space.name = format!("paper_v1_w{width:.1}");
        for stage in &mut space.stages {
            stage.expand_ratios = [4, 5, 6].map(Ratio::from).to_vec();
        }
        space
    }

    /// The ResNet50D space of the original: bottlenecks with elastic depth, expand ratio and width, and an elastic
    /// stem.
    ///
    /// The stem's first stage has one or two convolutions. Its width and those of the other stages are chosen
    /// independently.
    pub fn resnet50d(classes: usize) -> Self {
        let ratios = |thousandths: [f64; 3]| thousandths.map(|ratio| Ratio::try_from(ratio).expect("a ratio")).to_vec();
        let widths = ratios([0.65, 0.8, 1.0]);
        let stage = |block, channels, stride, depths: &[usize], expand_ratios: &[Ratio]| StageSpace {
            block,
            channels,
            stride,
            activation: Activation::Relu,
            squeeze_excite: false,
            max_pool: false,
            widths: widths.clone(),
            depths: depths.to_vec(),
            kernel_sizes: vec![3],
            expand_ratios: expand_ratios.to_vec(),
        };
        let conv = |channels, stride, depths| stage(BlockKind::Conv, channels, stride, depths, &[Ratio::ONE]);
        let expand_ratios = ratios([0.2, 0.25, 0.35]);
        let bottlenecks =
            |channels, stride, depths| stage(BlockKind::Bottleneck, channels, stride, depths, &expand_ratios);
        Self {
            name: "resnet50d".into(),
            stages: vec![
                conv(32, 2, &[1, 2]),
                conv(64, 1, &[1]),
                StageSpace { max_pool: true, ..bottlenecks(256, 1, &[2, 3, 4]) },
                bottlenecks(512, 2, &[2, 3, 4]),
                bottlenecks(1024, 2, &[4, 5, 6]),
                bottlenecks(2048, 2, &[2, 3, 4]),
            ],
            ..imagenet(classes)
        }
    }

    /// ImageNet's strides on images of 28 px: [`SearchSpace::mobilenet_v3`] at resolutions of 20, 24 and 28.
    ///
    /// Its feature map is 14x14 after the first layer and 1x1 in the last stage, where a kernel of 7 sees one pixel and
    /// zeros around it. In this setting Shipard et al. (CVPRW 2022) found progressive shrinking worse than none on
    /// small images. That is weak support: in their released code the teacher is a network without trained weights,
    /// channels are not sorted, and stages begin at a fraction of their nominal learning rate. Compare with
    /// [`SearchSpace::small_mobilenet_v3`], whose last map is 7x7.
    pub fn mobilenet_v3_at_28(width: f64, image_channels: usize, classes: usize) -> Self {
        let space = Self::mobilenet_v3(width, classes);
        Self { name: format!("mobilenet_v3_w{width}_at_28"), image_channels, resolutions: vec![20, 24, 28], ..space }
    }

    /// A MobileNetV3-style space for images of about 28 px.
    ///
    /// The stem keeps the resolution and the last feature map is 7x7 at 28 px, so a kernel of 7 still has something to
    /// see; ImageNet's strides would leave 1x1.
    pub fn small_mobilenet_v3(image_channels: usize, classes: usize) -> Self {
        use Activation::{HardSwish, Relu};
        let gated =
            |channels, stride| StageSpace { squeeze_excite: true, ..elastic_mb_conv(channels, stride, HardSwish) };
        Self {
            name: "small_mobilenet_v3".into(),
            image_channels,
            classes,
            resolutions: vec![20, 24, 28],
            norm_epsilon: 1e-5,
            stem: mobile_stem([8, 8], 1, [HardSwish, Relu]),
            stages: vec![elastic_mb_conv(8, 2, Relu), gated(16, 2), gated(32, 1)],
            head: Head { expand_channels: Some(128), mix_channels: Some(192), activation: HardSwish },
        }
    }

    /// [`SearchSpace::small_mobilenet_v3`] for images of `side` pixels: up to three resolutions, the largest of them
    /// the side itself (in multiples of 4), and strides that leave a last map of about 7x7. At 28 it is the same space.
    pub fn small_mobilenet_v3_at(side: usize, image_channels: usize, classes: usize) -> Self {
        let mut space = Self::small_mobilenet_v3(image_channels, classes);
        let resolutions = resolutions_up_to(side);
        if resolutions != space.resolutions {
            space.name = format!("small_mobilenet_v3_at_{}", resolutions[resolutions.len() - 1]);
        }
        space.resolutions = resolutions;
        let [first, second, last] = &mut space.stages[..] else { unreachable!("it has three stages") };
        // Strides are 4 in all, from which they grow and shrink by halves and doubles.
        (first.stride, second.stride) = (if side < 16 { 1 } else { 2 }, if side < 8 { 1 } else { 2 });
        (space.stem[0].stride, last.stride) = (if side < 56 { 1 } else { 2 }, if side < 112 { 1 } else { 2 });
        space
    }
}

/// Three resolutions in the proportions 5, 6 and 7, in multiples of 4; fewer for images of a few pixels.
fn resolutions_up_to(side: usize) -> Vec<usize> {
    if side < 8 {
        return vec![side.max(1)];
    }
    let top = side / 4 * 4;
    let nearest = |parts: usize| ((top * parts + 14) / 28 * 4).max(4);
    let mut resolutions = vec![nearest(5), nearest(6), top];
    resolutions.dedup();
    resolutions
}

/// What the ImageNet spaces have in common, without stages.
fn imagenet(classes: usize) -> SearchSpace {
    SearchSpace {
        name: String::new(),
        image_channels: 3,
        classes,
        resolutions: (128..=224).step_by(4).collect(),
        norm_epsilon: 1e-5,
        stem: vec![],
        stages: vec![],
        head: Head { expand_channels: None, mix_channels: None, activation: Activation::Relu },
    }
}

/// A 3x3 convolution, then an MBConv block without expansion.
fn mobile_stem(channels: [usize; 2], stride: usize, activations: [Activation; 2]) -> Vec<StageSpace> {
    let fixed = |block, channels, stride, activation| StageSpace {
        block,
        depths: vec![1],
        kernel_sizes: vec![3],
        expand_ratios: vec![Ratio::ONE],
        ..elastic_mb_conv(channels, stride, activation)
    };
    vec![
        fixed(BlockKind::Conv, channels[0], stride, activations[0]),
        fixed(BlockKind::MbConv, channels[1], 1, activations[1]),
    ]
}

/// A stage with the choices of the published mobile spaces, without squeeze-and-excitation.
fn elastic_mb_conv(channels: usize, stride: usize, activation: Activation) -> StageSpace {
    StageSpace {
        block: BlockKind::MbConv,
        channels,
        stride,
        activation,
        squeeze_excite: false,
        max_pool: false,
        widths: vec![Ratio::ONE],
        depths: vec![2, 3, 4],
        kernel_sizes: vec![3, 5, 7],
        expand_ratios: [3, 4, 6].map(Ratio::from).to_vec(),
    }
}

fn scaled(channels: usize, width: f64) -> usize {
    make_divisible(channels as f64 * width, 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlockArch;

    #[test]
    fn presets_are_valid() {
        for space in [
            SearchSpace::mobilenet_v3(1.0, 1000),
            SearchSpace::mobilenet_v3(1.2, 1000),
            SearchSpace::proxyless_nas(1.3, 1000),
            SearchSpace::paper_v1(1.0, 1000),
            SearchSpace::resnet50d(1000),
            SearchSpace::small_mobilenet_v3(1, 10),
            SearchSpace::mobilenet_v3_at_28(0.5, 1, 10),
        ] {
            space.validate().unwrap();
            let toml_like = serde_json::to_string(&space).unwrap();
            assert_eq!(serde_json::from_str::<SearchSpace>(&toml_like).unwrap(), space);
        }
    }

    #[test]
    fn the_last_map_is_one_pixel_under_imagenets_strides() {
        let last_map = |space: &SearchSpace| {
            let units = space.units(&space.largest());
            units.iter().rev().nth(1).unwrap().input_size
        };
        let strided = SearchSpace::mobilenet_v3_at_28(0.5, 1, 10);
        assert_eq!((last_map(&strided), last_map(&SearchSpace::small_mobilenet_v3(1, 10))), (1, 7));
        assert_eq!(strided.len(), SearchSpace::mobilenet_v3(1.0, 1000).len());
    }

    #[test]
    fn small_spaces_reach_the_size_of_the_images_and_leave_a_map() {
        let last_map = |space: &SearchSpace| space.units(&space.largest()).iter().rev().nth(1).unwrap().input_size;
        assert_eq!(SearchSpace::small_mobilenet_v3_at(28, 1, 10), SearchSpace::small_mobilenet_v3(1, 10));
        assert_eq!(SearchSpace::small_mobilenet_v3_at(32, 3, 10).resolutions, [24, 28, 32]);
        assert_eq!(SearchSpace::small_mobilenet_v3_at(64, 3, 10).resolutions, [44, 56, 64]);
        for side in 1..=224 {
            let space = SearchSpace::small_mobilenet_v3_at(side, 3, 2);
            space.validate().unwrap();
            let largest = space.resolutions[space.resolutions.len() - 1];
            assert!(largest <= side && largest + 4 > side, "{side}: {:?}", space.resolutions);
            assert!((4..=14).contains(&last_map(&space)) || side < 4, "{side}: {}", last_map(&space));
        }
    }

    #[test]
    fn paper_v1_has_the_macs_of_its_table_1() {
        let space = SearchSpace::paper_v1(1.0, 1000);
        let rows = [(2, 4, 3, 191), (2, 4, 7, 233), (2, 6, 3, 266), (2, 6, 7, 328)];
        let deep = [(4, 4, 3, 329), (4, 4, 7, 419), (4, 6, 3, 473), (4, 6, 7, 607)];
        for (depth, ratio, kernel_size, millions) in rows.into_iter().chain(deep) {
            let mut arch = space.largest();
            for (stage, offered) in arch.stages.iter_mut().zip(&space.stages) {
                let block = BlockArch { kernel_size, expand_ratio: ratio.into() };
                stage.blocks = vec![block; depth.min(offered.greatest_depth())];
            }
            let macs = space.cost(&arch).macs;
            assert!(macs.abs_diff(millions * 1_000_000) < 1_000_000, "D {depth} W {ratio} K {kernel_size}: {macs}");
        }
    }
}
