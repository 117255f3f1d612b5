//! Exports a subnet as an ONNX model.

mod fuse;

use crate::{FoldedSubnet, ModelError};
use burn::module::Module;
use burn::tensor::Tensor;
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter};
use onnx_ir::{Message, ModelProto};

/// Name of the model's input, f32 `[batch, channels, resolution, resolution]`.
pub const ONNX_INPUT: &str = "image";
/// Name of the model's output, f32 `[batch, classes]`.
pub const ONNX_OUTPUT: &str = "logits";

impl FoldedSubnet {
    /// Exports this network as an ONNX model (operator set 18).
    ///
    /// Hard sigmoid, hard swish and ReLU6 become single operators. The metadata holds the arch and the space's name.
    ///
    /// # Shapes
    ///
    /// - input `image`: `[batch, channels, resolution, resolution]`, for any batch size
    /// - output `logits`: `[batch, classes]`
    ///
    /// # Errors
    ///
    /// [`ModelError::Onnx`] if the exporter does not support an operation of this network.
    pub fn to_onnx(&self) -> Result<Vec<u8>, ModelError> {
        let fail = |problem: String| ModelError::Onnx { arch: self.arch().to_string(), problem };
        let dynamic = [AxisSpec::dynamic("batch"), AxisSpec::Static, AxisSpec::Static, AxisSpec::Static];
        let size = self.arch().resolution;
        let device = self.devices().remove(0);
        // The exporter compares two traces to find out which dimensions depend on the batch size.
        let images = |n| Tensor::<4>::zeros([n, self.space().image_channels, size, size], &device);
        let traced = OnnxExporter::new().export_dynamic(
            self,
            images(2),
            images(5),
            &[InputSpec::new(dynamic)],
            |network, images| network.forward(images),
        );
        let bytes = traced.map_err(|error| fail(error.to_string()))?.into_bytes();
        let mut model = ModelProto::parse_from_bytes(&bytes).map_err(|error| fail(error.to_string()))?;
        let graph = model.graph.mut_or_insert_default();
        fuse::rename_ends(graph, ONNX_INPUT, ONNX_OUTPUT);
        fuse::fuse_activations(graph);
        fuse::number_values(graph);
        for (key, value) in [("arch", self.arch().to_string()), ("space", self.space().name.clone())] {
            model.metadata_props.push(Default::default());
            let entry = model.metadata_props.last_mut().expect("an entry was pushed");
            (entry.key, entry.value) = (key.to_owned(), value);
        }
        model.write_to_bytes().map_err(|error| fail(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SearchSpace, SupernetConfig};
    use burn::tensor::Device;
    use std::collections::BTreeMap;

    /// Number of uses of each operator in the ONNX model of a space's smallest subnet, and the model.
    fn operators(space: &SearchSpace) -> (BTreeMap<String, usize>, ModelProto) {
        let supernet = SupernetConfig::new(space.clone()).unwrap().init(&Device::flex());
        let folded = supernet.subnet(&space.smallest()).fold();
        let bytes = folded.to_onnx().unwrap();
        assert_eq!(folded.to_onnx().unwrap(), bytes, "exporting twice gives the same bytes");
        let model = ModelProto::parse_from_bytes(&bytes).unwrap();
        let mut counts = BTreeMap::new();
        for node in &model.graph.node {
            *counts.entry(node.op_type.clone()).or_insert(0) += 1;
        }
        (counts, model)
    }

    #[test]
    fn activations_are_single_operators() {
        let (counts, model) = operators(&SearchSpace::small_mobilenet_v3(1, 10));
        // Stem, then 3 convolutions per block, 2 more per gate in two stages, and the expansion of the head.
        assert_eq!(counts["Conv"], 1 + 2 + 6 * 3 + 4 * 2 + 1);
        // Stem, two per block in two stages, expansion and mixing; then the gates of these stages.
        assert_eq!((counts["HardSwish"], counts["HardSigmoid"]), (1 + 4 * 2 + 2, 4));
        assert!(!counts.contains_key("Neg") && !counts.contains_key("BatchNormalization"), "{counts:?}");
        let graph = &model.graph;
        assert_eq!((graph.input[0].name.as_str(), graph.output[0].name.as_str()), (ONNX_INPUT, ONNX_OUTPUT));
        assert!(model.metadata_props.iter().any(|entry| entry.key == "arch" && entry.value.starts_with("r20-")));
    }

    #[test]
    fn relu6_is_a_clip_and_a_resnet_pools() {
        let (counts, _) = operators(&SearchSpace { resolutions: vec![32], ..SearchSpace::proxyless_nas(0.5, 10) });
        assert_eq!((counts["Clip"], counts.get("Relu")), (1 + 1 + 11 * 2 + 1, None));
        let (counts, _) = operators(&SearchSpace { resolutions: vec![33], ..SearchSpace::resnet50d(10) });
        assert_eq!((counts["MaxPool"], counts["AveragePool"], counts["GlobalAveragePool"]), (1, 3, 1));
    }
}
