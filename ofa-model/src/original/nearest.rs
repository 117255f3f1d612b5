//! Which space tensors belong to, told by their shapes.

use super::names::{Names, canonical};
use crate::{SearchSpace, UnitLayers};
use std::collections::BTreeMap;

/// Widths to try, the published ones first.
const WIDTHS: [f64; 17] = [1.0, 1.2, 1.3, 0.25, 0.35, 0.5, 0.6, 0.65, 0.75, 0.8, 0.9, 1.1, 1.25, 1.4, 1.5, 1.75, 2.0];

/// What tensors of these shapes, by canonical name, would fit instead of `space`, in words.
pub(super) fn fitting(shapes: &BTreeMap<String, Vec<usize>>, space: &SearchSpace) -> Option<String> {
    let classes = shapes.get("classifier.linear.bias").and_then(|shape| shape.first()).copied()?;
    let channels =
        ["first_conv.conv.weight", "input_stem.0.conv.weight"].iter().find_map(|key| shapes.get(*key)?.get(1));
    let image_channels = channels.copied().unwrap_or(space.image_channels);
    let here = SearchSpace { image_channels, ..space.clone() };
    if score(shapes, &here).is_whole() {
        return of_same_space(space, classes, image_channels);
    }
    let scored =
        candidates(classes.max(1), image_channels).into_iter().map(|(name, space)| (score(shapes, &space), name));
    let (best, name) = scored.min_by_key(|(score, _)| score.wrong)?;
    match best {
        _ if best.is_whole() => Some(format!("they fit the space {name} with {classes} classes")),
        _ if best.wrong * 2 < best.layers => {
            Some(format!("nearest is the space {name}, which {} of {} layers do not fit", best.wrong, best.layers))
        }
        _ => None,
    }
}

/// What differs if all layers before the classifier fit.
fn of_same_space(space: &SearchSpace, classes: usize, image_channels: usize) -> Option<String> {
    if classes != space.classes {
        return Some(format!(
            "everything before the classifier fits: they have {classes} classes, this space {} (`--new-head` keeps \
             the rest)",
            space.classes
        ));
    }
    (image_channels != space.image_channels)
        .then(|| format!("they take images of {image_channels} channels, this space of {}", space.image_channels))
}

fn candidates(classes: usize, image_channels: usize) -> Vec<(String, SearchSpace)> {
    let at = |name: &str, width: f64, space: SearchSpace| (format!("{name} at width {width}"), space);
    let mut candidates: Vec<_> = WIDTHS
        .into_iter()
        .flat_map(|width| {
            [
                at("mobilenet_v3", width, SearchSpace::mobilenet_v3(width, classes)),
                at("proxyless_nas", width, SearchSpace::proxyless_nas(width, classes)),
                at("paper_v1", width, SearchSpace::paper_v1(width, classes)),
            ]
        })
        .collect();
    candidates.push(("resnet50d".to_owned(), SearchSpace::resnet50d(classes)));
    candidates.push(("small_mobilenet_v3".to_owned(), SearchSpace::small_mobilenet_v3(image_channels, classes)));
    candidates.iter_mut().for_each(|(_, space)| space.image_channels = image_channels);
    candidates
}

/// How many layers of a space have no tensor of their shape.
#[derive(Clone, Copy)]
struct Score {
    wrong: usize,
    layers: usize,
}

impl Score {
    fn is_whole(self) -> bool {
        self.wrong == 0
    }
}

/// Compares the convolutions of a supernet of `space` with shapes.
fn score(shapes: &BTreeMap<String, Vec<usize>>, space: &SearchSpace) -> Score {
    let stem = space.stem_units(space.resolutions[0]).into_iter().map(|unit| unit.layers);
    let stem = stem.filter(|layers| !matches!(layers, UnitLayers::MaxPool { .. }));
    let stages = space.stages.iter().enumerate();
    let elastic = stages.flat_map(|(s, stage)| (0..stage.greatest_depth()).map(move |b| space.largest_layers(s, b)));
    let names = Names::of_supernet(space);
    let mut expected: Vec<(String, Vec<usize>)> =
        names.prefixes().zip(stem.chain(elastic)).flat_map(|(prefix, layers)| convolutions(prefix, &layers)).collect();
    let features = space.head_shape(space.largest_channels()).feature_channels();
    let found = shapes.get("classifier.linear.weight").and_then(|shape| shape.get(1)).copied();
    let mut wrong = usize::from(found != Some(features));
    // A network with more blocks has a tensor under the next number.
    let next = format!("blocks.{}.", names.prefixes().filter(|prefix| prefix.starts_with("blocks.")).count());
    wrong += usize::from(shapes.keys().any(|key| key.starts_with(&next)));
    let layers = expected.len() + 1;
    expected.retain(|(key, shape)| shapes.get(&canonical(key)) != Some(shape));
    wrong += expected.len();
    Score { wrong, layers }
}

/// Keys and shapes of the convolutions that show a block's channels.
fn convolutions(prefix: &str, layers: &UnitLayers) -> Vec<(String, Vec<usize>)> {
    let named = |layer: &str, shape: [usize; 4]| (format!("{prefix}{layer}.conv.weight"), shape.to_vec());
    match *layers {
        UnitLayers::Conv(conv) => {
            vec![named("", [conv.out_channels, conv.in_channels, conv.kernel_size, conv.kernel_size])]
        }
        UnitLayers::MbConv(block) => vec![
            named(".depth_conv", [block.mid_channels, 1, block.kernel_size, block.kernel_size]),
            named(".point_linear", [block.out_channels, block.mid_channels, 1, 1]),
        ],
        UnitLayers::Bottleneck(block) => vec![
            named(".conv2", [block.mid_channels, block.mid_channels, block.kernel_size, block.kernel_size]),
            named(".conv3", [block.out_channels, block.mid_channels, 1, 1]),
        ],
        UnitLayers::MaxPool { .. } | UnitLayers::Head(_) => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SupernetConfig;
    use burn::tensor::Device;

    #[test]
    fn shapes_tell_the_space_and_its_width() {
        let shapes = |space: SearchSpace| -> BTreeMap<String, Vec<usize>> {
            let supernet = SupernetConfig::new(space).unwrap().init(&Device::flex());
            let tensors = supernet.to_original().into_iter();
            tensors.map(|(key, data)| (canonical(&key), data.shape().to_vec())).collect()
        };
        let small = SearchSpace::small_mobilenet_v3(1, 10);
        let found = |space: SearchSpace| fitting(&shapes(space), &small);
        let cases = [
            (SearchSpace::mobilenet_v3(1.2, 7), "they fit the space mobilenet_v3 at width 1.2 with 7 classes"),
            (SearchSpace::proxyless_nas(0.5, 7), "they fit the space proxyless_nas at width 0.5 with 7 classes"),
            (SearchSpace::resnet50d(7), "they fit the space resnet50d with 7 classes"),
            (SearchSpace::small_mobilenet_v3(1, 7), "they have 7 classes, this space 10 (`--new-head`"),
            (SearchSpace::small_mobilenet_v3(3, 10), "they take images of 3 channels, this space of 1"),
        ];
        for (space, expected) in cases {
            let found = found(space).unwrap();
            assert!(found.contains(expected), "{found}");
        }
        let mut odd = SearchSpace::mobilenet_v3(1.0, 7);
        odd.stages[4].channels = 168;
        let found = found(odd).unwrap();
        assert!(found.starts_with("nearest is the space mobilenet_v3 at width 1, which "), "{found}");
    }
}
