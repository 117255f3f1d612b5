//! What the original calls each parameter.

use crate::SearchSpace;

/// A key of the original's state dicts in the form that both its naming generations share.
///
/// The older generation calls the body of a block `mobile_inverted_conv`, the newer `conv`; elastic layers wrap an
/// ordinary layer of the same name (`bn.bn.weight`, `conv.conv.weight`, `linear.linear.bias`), static ones do not.
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

/// The key in the original's supernet of a parameter by its canonical name: all blocks but the first are elastic.
pub(super) fn supernet_key(name: &str) -> String {
    if name.starts_with("blocks.") && !name.starts_with("blocks.0.") {
        name.replace(".bn.", ".bn.bn.").replace(".conv.weight", ".conv.conv.weight")
    } else {
        name.to_owned()
    }
}

/// The canonical name, in the original, of the supernet's parameter at `path`.
///
/// The original numbers blocks through all stages, the fixed first block being 0, and gives every stage its greatest
/// depth.
///
/// # Panics
///
/// If a supernet of `space` has no parameter at `path`.
pub(super) fn original_name(path: &[&str], space: &SearchSpace) -> String {
    let name = match path {
        ["stem", layer @ ..] => convolution("first_conv", layer),
        ["first_block", "depthwise", layer @ ..] => convolution("blocks.0.conv.depth_conv", layer),
        ["first_block", "project", layer @ ..] => convolution("blocks.0.conv.point_linear", layer),
        ["stages", stage, "blocks", block, part @ ..] => {
            let (stage, block): (usize, usize) = (index(stage), index(block));
            let before: usize = space.stages[..stage].iter().filter_map(|stage| stage.depths.last()).sum();
            let prefix = format!("blocks.{}.conv", 1 + before + block);
            in_block(&prefix, part, &space.stages[stage].kernel_sizes)
        }
        ["head", "expand", layer @ ..] => convolution("final_expand_layer", layer),
        ["head", "mix_weight"] => Some("feature_mix_layer.conv.weight".into()),
        ["head", "classifier_weight"] => Some("classifier.linear.weight".into()),
        ["head", "classifier_bias"] => Some("classifier.linear.bias".into()),
        _ => None,
    };
    name.unwrap_or_else(|| panic!("the original has no name for `{}`", path.join(".")))
}

fn in_block(prefix: &str, part: &[&str], kernel_sizes: &[usize]) -> Option<String> {
    match part {
        ["expand", layer @ ..] => convolution(&format!("{prefix}.inverted_bottleneck"), layer),
        ["depthwise", "conv", layer @ ..] => convolution(&format!("{prefix}.depth_conv"), layer),
        ["depthwise", "transforms", step] => {
            // Transforms go from the largest kernel size down, the sizes of a space from the smallest up.
            let from = kernel_sizes.len() - 1 - index(step);
            let (from, to) = (kernel_sizes[from], kernel_sizes[from - 1]);
            Some(format!("{prefix}.depth_conv.conv.{from}to{to}_matrix"))
        }
        ["squeeze_excite", "reduce_weight"] => Some(format!("{prefix}.depth_conv.se.fc.reduce.weight")),
        ["squeeze_excite", "reduce_bias"] => Some(format!("{prefix}.depth_conv.se.fc.reduce.bias")),
        ["squeeze_excite", "expand_weight"] => Some(format!("{prefix}.depth_conv.se.fc.expand.weight")),
        ["squeeze_excite", "expand_bias"] => Some(format!("{prefix}.depth_conv.se.fc.expand.bias")),
        ["project", layer @ ..] => convolution(&format!("{prefix}.point_linear"), layer),
        _ => None,
    }
}

fn convolution(prefix: &str, layer: &[&str]) -> Option<String> {
    let name = match layer {
        ["weight"] => "conv.weight",
        ["norm", "gamma"] => "bn.weight",
        ["norm", "beta"] => "bn.bias",
        ["norm", "running_mean"] => "bn.running_mean",
        ["norm", "running_variance"] => "bn.running_var",
        _ => return None,
    };
    Some(format!("{prefix}.{name}"))
}

fn index(part: &str) -> usize {
    part.parse().expect("a list of modules is indexed by numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_naming_generations_have_one_canonical_form() {
        let cases = [
            ("first_conv.bn.running_var", "first_conv.bn.running_var"),
            ("blocks.3.mobile_inverted_conv.point_linear.bn.bn.bias", "blocks.3.conv.point_linear.bn.bias"),
            ("blocks.3.conv.depth_conv.conv.conv.weight", "blocks.3.conv.depth_conv.conv.weight"),
            ("blocks.3.mobile_inverted_conv.depth_conv.conv.7to5_matrix", "blocks.3.conv.depth_conv.conv.7to5_matrix"),
            ("classifier.linear.linear.weight", "classifier.linear.weight"),
        ];
        for (key, expected) in cases {
            assert_eq!(canonical(key), expected);
        }
    }

    #[test]
    fn blocks_are_numbered_through_the_stages() {
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let name = |path: &str| original_name(&path.split('.').collect::<Vec<_>>(), &space);
        assert_eq!(name("stages.0.blocks.0.expand.weight"), "blocks.1.conv.inverted_bottleneck.conv.weight");
        assert_eq!(name("stages.2.blocks.3.depthwise.transforms.0"), "blocks.12.conv.depth_conv.conv.7to5_matrix");
        assert_eq!(name("stages.4.blocks.3.depthwise.transforms.1"), "blocks.20.conv.depth_conv.conv.5to3_matrix");
        assert_eq!(name("first_block.project.norm.running_variance"), "blocks.0.conv.point_linear.bn.running_var");
    }
}
