//! The original's name for each parameter.

use super::family::Family;
use crate::{Arch, SearchSpace, UnitLayers};

/// A state-dict key of the original in a canonical form shared by all its naming generations.
///
/// The older generation calls the body of a block `mobile_inverted_conv`, the newer `conv`. Elastic layers wrap an
/// ordinary layer of the same name (`bn.bn.weight`, `conv.conv.weight`, `linear.linear.bias`); static ones do not.
pub(super) fn canonical(key: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in key.split('.') {
        let part = if part == "mobile_inverted_conv" { "conv" } else { part };
        if parts.last() != Some(&part) {
            parts.push(part);
        }
    }
    parts.join(".")
}

/// The original's names for the parameters of one of our networks.
pub(super) struct Names {
    family: Family,
    /// Whether there is feature mixing after pooling.
    mixes: bool,
    blocks: Vec<BlockName>,
    /// Index in `blocks` of the first block of every elastic stage; empty for a subnet.
    stages: Vec<usize>,
}

/// The original's name for a block.
struct BlockName {
    /// Path of the block's layers.
    prefix: String,
    /// Whether its layers are elastic and therefore wrapped.
    elastic: bool,
    /// Kernel sizes, ascending.
    kernel_sizes: Vec<usize>,
}

impl Names {
    /// The names for a supernet of `space`.
    ///
    /// The original numbers blocks across all stages and gives every stage its greatest depth.
    pub(super) fn of_supernet(space: &SearchSpace) -> Self {
        let mut names = Self::of_subnet(space, &space.largest());
        // A supernet stores no pooling layers: they have no weights.
        names.blocks.retain(|block| !block.prefix.is_empty());
        let mut first = space.stem.iter().map(|stage| stage.depths[0]).sum();
        for stage in &space.stages {
            names.stages.push(first);
            let depth = stage.depths[stage.depths.len() - 1];
            for block in &mut names.blocks[first..first + depth] {
                block.elastic = true;
                block.kernel_sizes = stage.kernel_sizes.clone();
            }
            first += depth;
        }
        names
    }

    /// The names for subnet `arch`, which is a static network in the original.
    pub(super) fn of_subnet(space: &SearchSpace, arch: &Arch) -> Self {
        let family = Family::of(space);
        let (mut convolutions, mut blocks) = (0.., 0..);
        let number = |numbers: &mut std::ops::RangeFrom<usize>| numbers.next().expect("there are always more");
        let mut prefix = |layers: &UnitLayers| match (layers, family) {
            (UnitLayers::Conv(conv), Family::ResNet) => {
                let wrapper = if conv.residual { ".conv" } else { "" };
                format!("input_stem.{}{wrapper}", number(&mut convolutions))
            }
            // The original has one first convolution; a user-defined space may have more.
            (UnitLayers::Conv(_), _) => match number(&mut convolutions) {
                0 => "first_conv".to_owned(),
                more => format!("first_conv_{more}"),
            },
            (UnitLayers::MbConv(_), _) => format!("blocks.{}.conv", number(&mut blocks)),
            (UnitLayers::Bottleneck(_), _) => format!("blocks.{}", number(&mut blocks)),
            (UnitLayers::MaxPool { .. } | UnitLayers::Head(_), _) => String::new(),
        };
        let units = space.units(arch);
        let mut name = |layers| BlockName { prefix: prefix(layers), elastic: false, kernel_sizes: vec![] };
        let mixes = space.head.mix_channels.is_some();
        Self { family, mixes, blocks: units.iter().map(|unit| name(&unit.layers)).collect(), stages: vec![] }
    }

    /// Paths of the blocks in the original, stem first.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().map(|block| block.prefix.as_str())
    }

    /// The original's state-dict key for our parameter at `path`.
    ///
    /// # Panics
    ///
    /// If our network has no parameter at `path`.
    pub(super) fn key(&self, path: &[&str]) -> String {
        let key = match path {
            ["stem", block, kind, part @ ..] => self.blocks[index(block)].key(kind, part),
            ["stages", stage, "blocks", block, kind, part @ ..] => {
                self.blocks[self.stages[index(stage)] + index(block)].key(kind, part)
            }
            ["blocks", block, kind, part @ ..] => self.blocks[index(block)].key(kind, part),
            ["head", "expand", layer @ ..] if self.mixes => convolution("final_expand_layer", layer, false),
            ["head", "expand", layer @ ..] => convolution("feature_mix_layer", layer, false),
            ["head", "mix_weight"] => Some("feature_mix_layer.conv.weight".into()),
            ["head", "classifier_weight"] => Some(format!("{}.weight", self.classifier())),
            ["head", "classifier_bias"] => Some(format!("{}.bias", self.classifier())),
            _ => None,
        };
        key.unwrap_or_else(|| panic!("the original has no name for `{}`", path.join(".")))
    }

    fn classifier(&self) -> &'static str {
        let elastic = self.family == Family::ResNet && !self.stages.is_empty();
        if elastic { "classifier.linear.linear" } else { "classifier.linear" }
    }
}

impl BlockName {
    fn key(&self, kind: &str, part: &[&str]) -> Option<String> {
        let Self { prefix, elastic, .. } = self;
        let convolution = |name: &str, layer: &[&str]| convolution(&format!("{prefix}{name}"), layer, *elastic);
        match (kind, part) {
            ("Conv", ["conv", layer @ ..]) => convolution("", layer),
            ("MbConv", ["expand", layer @ ..]) => convolution(".inverted_bottleneck", layer),
            ("MbConv", ["depthwise", "transforms", step]) => {
                // Transforms are ordered from the largest kernel size down, the sizes of a space from the smallest up.
                let from = self.kernel_sizes.len() - 1 - index(step);
                let (from, to) = (self.kernel_sizes[from], self.kernel_sizes[from - 1]);
                Some(format!("{prefix}.depth_conv.conv.{from}to{to}_matrix"))
            }
            ("MbConv", ["depthwise", "conv", layer @ ..] | ["depthwise", layer @ ..]) => {
                convolution(".depth_conv", layer)
            }
            ("MbConv", ["squeeze_excite", weight]) => {
                let (layer, leaf) = weight.split_once('_')?;
                Some(format!("{prefix}.depth_conv.se.fc.{layer}.{leaf}"))
            }
            ("MbConv", ["project", layer @ ..]) => convolution(".point_linear", layer),
            ("Bottleneck", ["reduce", layer @ ..]) => convolution(".conv1", layer),
            ("Bottleneck", ["filter", layer @ ..]) => convolution(".conv2", layer),
            ("Bottleneck", ["expand", layer @ ..]) => convolution(".conv3", layer),
            ("Bottleneck", ["downsample", layer @ ..]) => convolution(".downsample", layer),
            _ => None,
        }
    }
}

fn convolution(prefix: &str, layer: &[&str], elastic: bool) -> Option<String> {
    let (norm, leaf) = match layer {
        ["weight"] => ("conv", "weight"),
        ["norm", "gamma"] => ("bn", "weight"),
        ["norm", "beta"] => ("bn", "bias"),
        ["norm", "running_mean"] => ("bn", "running_mean"),
        ["norm", "running_variance"] => ("bn", "running_var"),
        _ => return None,
    };
    Some(if elastic { format!("{prefix}.{norm}.{norm}.{leaf}") } else { format!("{prefix}.{norm}.{leaf}") })
}

fn index(part: &str) -> usize {
    part.parse().expect("a list of modules is indexed by numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_naming_generations_have_one_canonical_form() {
        let cases = [
            ("first_conv.bn.running_var", "first_conv.bn.running_var"),
            ("blocks.3.mobile_inverted_conv.point_linear.bn.bn.bias", "blocks.3.conv.point_linear.bn.bias"),
            ("blocks.3.conv.depth_conv.conv.conv.weight", "blocks.3.conv.depth_conv.conv.weight"),
            ("blocks.3.mobile_inverted_conv.depth_conv.conv.7to5_matrix", "blocks.3.conv.depth_conv.conv.7to5_matrix"),
            ("classifier.linear.linear.weight", "classifier.linear.weight"),
            ("input_stem.1.conv.conv.conv.weight", "input_stem.1.conv.weight"),
        ];
        for (key, expected) in cases {
            assert_eq!(canonical(key), expected);
        }
    }

    fn check(names: &Names, cases: &[(&str, &str)]) {
        for (path, expected) in cases {
            assert_eq!(names.key(&path.split('.').collect::<Vec<_>>()), *expected);
        }
    }

    #[test]
    fn blocks_are_numbered_through_the_stages() {
        let cases = [
            ("stages.0.blocks.0.MbConv.expand.weight", "blocks.1.conv.inverted_bottleneck.conv.conv.weight"),
            ("stages.2.blocks.3.MbConv.depthwise.transforms.0", "blocks.12.conv.depth_conv.conv.7to5_matrix"),
            ("stages.4.blocks.3.MbConv.depthwise.transforms.1", "blocks.20.conv.depth_conv.conv.5to3_matrix"),
            ("stages.1.blocks.0.MbConv.squeeze_excite.expand_bias", "blocks.5.conv.depth_conv.se.fc.expand.bias"),
            ("stem.0.Conv.conv.norm.beta", "first_conv.bn.bias"),
            ("stem.1.MbConv.project.norm.running_variance", "blocks.0.conv.point_linear.bn.running_var"),
        ];
        check(&Names::of_supernet(&SearchSpace::mobilenet_v3(1.0, 1000)), &cases);
    }

    #[test]
    fn the_stem_of_a_resnet_is_numbered_apart() {
        let cases = [
            ("stages.0.blocks.1.Conv.conv.weight", "input_stem.1.conv.conv.conv.weight"),
            ("stages.1.blocks.0.Conv.conv.norm.gamma", "input_stem.2.bn.bn.weight"),
            ("stages.2.blocks.0.Bottleneck.downsample.weight", "blocks.0.downsample.conv.conv.weight"),
            ("stages.5.blocks.3.Bottleneck.filter.norm.beta", "blocks.17.conv2.bn.bn.bias"),
            ("head.classifier_weight", "classifier.linear.linear.weight"),
        ];
        check(&Names::of_supernet(&SearchSpace::resnet50d(1000)), &cases);
    }

    #[test]
    fn a_subnet_is_numbered_by_its_own_blocks() {
        let space = SearchSpace::resnet50d(1000);
        let cases = [
            ("blocks.1.Conv.conv.weight", "input_stem.1.conv.weight"),
            ("blocks.3.Bottleneck.expand.weight", "blocks.0.conv3.conv.weight"),
            ("head.classifier_bias", "classifier.linear.bias"),
        ];
        check(&Names::of_subnet(&space, &space.smallest()), &cases);
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let cases = [
            ("blocks.4.MbConv.depthwise.norm.gamma", "blocks.3.conv.depth_conv.bn.weight"),
            ("head.expand.weight", "final_expand_layer.conv.weight"),
        ];
        check(&Names::of_subnet(&space, &space.smallest()), &cases);
    }
}
