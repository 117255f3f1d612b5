//! Exports a subnet as an ONNX model.

mod fuse;
mod quantize;

use crate::{Arch, FoldedSubnet, ModelError, QuantizedSubnet, SearchSpace};
use burn::module::Module;
use burn::tensor::Tensor;
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter};
use onnx_ir::{Message, ModelProto};
use std::ops::RangeInclusive;

/// Name of the model's input, f32 `[batch, channels, resolution, resolution]`.
pub const ONNX_INPUT: &str = "image";
/// Name of the model's output, f32 `[batch, classes]`.
pub const ONNX_OUTPUT: &str = "logits";

/// Form of an ONNX model, for runtimes that do not take the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnnxForm {
    /// Operator set, 12 to 18. Below 14, hard swish is spelled out as `x * HardSigmoid(x)`.
    pub opset: u8,
    /// Batch size; `None` for any.
    pub batch: Option<usize>,
}

impl Default for OnnxForm {
    fn default() -> Self {
        Self { opset: *OPSETS.end(), batch: None }
    }
}

/// Operator sets in which the operators of our networks mean the same, but for `HardSwish`, which came with 14. The
/// last one is that of the exporter.
const OPSETS: RangeInclusive<u8> = 12..=18;
/// First operator set with `HardSwish`.
const HARD_SWISH: u8 = 14;
/// First operator set whose `DequantizeLinear` takes a scale per channel.
const PER_CHANNEL: u8 = 13;

impl FoldedSubnet {
    /// Exports this network as an ONNX model (operator set 18, any batch size).
    ///
    /// # Errors
    ///
    /// Those of [`FoldedSubnet::to_onnx_as`].
    pub fn to_onnx(&self) -> Result<Vec<u8>, ModelError> {
        self.to_onnx_as(&OnnxForm::default())
    }

    /// Exports this network as an ONNX model of a chosen form.
    ///
    /// Hard sigmoid, hard swish and ReLU6 become single operators. The metadata holds the arch and the space's name.
    ///
    /// # Shapes
    ///
    /// - input `image`: `[batch, channels, resolution, resolution]`
    /// - output `logits`: `[batch, classes]`
    ///
    /// # Errors
    ///
    /// [`ModelError::Onnx`] if the exporter does not support an operation of this network or the form.
    pub fn to_onnx_as(&self, form: &OnnxForm) -> Result<Vec<u8>, ModelError> {
        let fail = |problem: String| failed(self.arch(), problem);
        form.check(OPSETS).map_err(fail)?;
        let dynamic = [AxisSpec::dynamic("batch"), AxisSpec::Static, AxisSpec::Static, AxisSpec::Static];
        let size = self.arch().resolution;
        let device = self.devices().remove(0);
        let images = |batch| Tensor::<4>::zeros([batch, self.space().image_channels, size, size], &device);
        let forward = |network: &Self, images: Tensor<4>| network.forward(images);
        let traced = match form.batch {
            Some(batch) => OnnxExporter::new().export(self, images(batch), forward),
            // The exporter compares two traces to find out which dimensions depend on the batch size.
            None => OnnxExporter::new().export_dynamic(self, images(2), images(5), &[InputSpec::new(dynamic)], forward),
        };
        let bytes = traced.map_err(|error| fail(error.to_string()))?.into_bytes();
        let mut model = ModelProto::parse_from_bytes(&bytes).map_err(|error| fail(error.to_string()))?;
        let graph = model.graph.mut_or_insert_default();
        fuse::rename_ends(graph, ONNX_INPUT, ONNX_OUTPUT);
        fuse::fuse_activations(graph, form.opset >= HARD_SWISH);
        fuse::number_values(graph);
        form.finish(model, self.arch(), self.space())
    }
}

impl QuantizedSubnet {
    /// Exports this network as an ONNX model of a chosen form, with `QuantizeLinear` and `DequantizeLinear` around every
    /// operator; runtimes turn them into integer operators. Shapes and metadata are those of
    /// [`FoldedSubnet::to_onnx_as`].
    ///
    /// # Errors
    ///
    /// [`ModelError::Onnx`] if the operator set is below 13, which has no scales per channel, or beyond the known ones.
    pub fn to_onnx_as(&self, form: &OnnxForm) -> Result<Vec<u8>, ModelError> {
        form.check(PER_CHANNEL..=*OPSETS.end()).map_err(|problem| failed(self.arch(), problem))?;
        let size = self.arch().resolution;
        let shape = [form.batch, Some(self.space().image_channels), Some(size), Some(size)];
        let mut model = ModelProto { producer_name: "ofa-model".into(), ir_version: 8, ..ModelProto::default() };
        model.opset_import.push(Default::default());
        model.graph = Some(quantize::graph(self, shape, form.opset)).into();
        form.finish(model, self.arch(), self.space())
    }
}

impl OnnxForm {
    fn check(&self, opsets: RangeInclusive<u8>) -> Result<(), String> {
        if opsets.contains(&self.opset) && self.batch != Some(0) {
            return Ok(());
        }
        Err(format!("{self:?}: expected an opset of {opsets:?} and a batch above 0"))
    }

    /// The model as bytes, with its versions and metadata.
    fn finish(&self, mut model: ModelProto, arch: &Arch, space: &SearchSpace) -> Result<Vec<u8>, ModelError> {
        for set in &mut model.opset_import {
            set.version = self.opset.into();
        }
        // Versions of the file format that came with the operator sets; runtimes of their time take no later one.
        model.ir_version = model.ir_version.min(if self.opset < 15 { 7 } else { 8 });
        for (key, value) in [("arch", arch.to_string()), ("space", space.name.clone())] {
            model.metadata_props.push(Default::default());
            let entry = model.metadata_props.last_mut().expect("an entry was pushed");
            (entry.key, entry.value) = (key.to_owned(), value);
        }
        model.write_to_bytes().map_err(|error| failed(arch, error.to_string()))
    }
}

fn failed(arch: &Arch, problem: String) -> ModelError {
    ModelError::Onnx { arch: arch.to_string(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Quantization, SearchSpace, SupernetConfig};
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
    fn older_operator_sets_and_a_fixed_batch() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let supernet = SupernetConfig::new(space.clone()).unwrap().init(&Device::flex());
        let folded = supernet.subnet(&space.smallest()).fold();
        let model = |opset, batch| {
            let bytes = folded.to_onnx_as(&OnnxForm { opset, batch }).unwrap();
            let model = ModelProto::parse_from_bytes(&bytes).unwrap();
            let count = |name: &str| model.graph.node.iter().filter(|node| node.op_type == name).count();
            let found = [count("HardSwish"), count("HardSigmoid"), count("Shape")];
            (model.opset_import[0].version, model.ir_version, found, model)
        };
        for (opset, ir, swishes) in [(12, 7, 0), (13, 7, 0), (14, 7, 11), (18, 8, 11)] {
            let (found, ir_version, [swish, sigmoid, shapes], _) = model(opset, None);
            assert_eq!((found, ir_version), (i64::from(opset), ir));
            assert_eq!((swish, sigmoid, shapes), (swishes, 4 + 11 - swishes, 1));
        }
        let (_, _, [.., shapes], fixed) = model(12, Some(3));
        assert_eq!(shapes, 0, "a fixed batch needs no arithmetic on shapes");
        let text = format!("{:?}", fixed.graph.input[0]);
        assert!(!text.contains("batch"), "{text}");
        for (opset, batch) in [(11, None), (19, None), (18, Some(0))] {
            let message = folded.to_onnx_as(&OnnxForm { opset, batch }).unwrap_err().to_string();
            assert!(message.contains("expected an opset of 12..=18"), "{message}");
        }
    }

    #[test]
    fn a_quantised_network_has_integers_around_every_operator() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let supernet = SupernetConfig::new(space.clone()).unwrap().init(&Device::flex());
        let images = Tensor::ones([2, 1, 20, 20], &Device::flex());
        let settings = Quantization { images: 2, ..Quantization::default() };
        let quantised = supernet.subnet(&space.smallest()).quantize([&images], &settings).unwrap();
        let model =
            |opset| ModelProto::parse_from_bytes(&quantised.to_onnx_as(&OnnxForm { opset, batch: None }).unwrap());
        for (opset, swishes) in [(13, 0), (14, 11), (18, 11)] {
            let model = model(opset).unwrap();
            let count = |name: &str| model.graph.node.iter().filter(|node| node.op_type == name).count();
            // As in `activations_are_single_operators`; residual sums in every block but the first of a stage.
            let layers = 1 + 2 + 6 * 3 + 4 * 2 + 1 + 2;
            assert_eq!((count("Conv") + count("Gemm"), count("HardSwish")), (layers, swishes));
            // The image, layers but the last, curves, gates, products, sums, pooling, flattening.
            let tensors = 1 + (layers - 1) + (11 + 4) + 4 + count("Add") + (4 + 1) + 1;
            assert_eq!(count("QuantizeLinear"), tensors);
            assert_eq!(count("DequantizeLinear"), tensors + 2 * layers);
            assert_eq!(model.opset_import[0].version, i64::from(opset));
            assert!(model.metadata_props.iter().any(|entry| entry.key == "arch"));
        }
        let old = quantised.to_onnx_as(&OnnxForm { opset: 12, batch: None }).unwrap_err().to_string();
        assert!(old.contains("expected an opset of 13..=18"), "{old}");
    }

    #[test]
    fn relu6_is_a_clip_and_a_resnet_pools() {
        let (counts, _) = operators(&SearchSpace { resolutions: vec![32], ..SearchSpace::proxyless_nas(0.5, 10) });
        assert_eq!((counts["Clip"], counts.get("Relu")), (1 + 1 + 11 * 2 + 1, None));
        let (counts, _) = operators(&SearchSpace { resolutions: vec![33], ..SearchSpace::resnet50d(10) });
        assert_eq!((counts["MaxPool"], counts["AveragePool"], counts["GlobalAveragePool"]), (1, 3, 1));
    }
}
