//! A subnet as an ONNX model, for every runtime that reads one.

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
    /// This network as an ONNX model (operator set 18): images `image` `[batch, channels, resolution, resolution]` in,
    /// logits `logits` `[batch, classes]` out, for any number of images.
    ///
    /// Hard sigmoid, hard swish and ReLU6 are single operators of it. The arch and the space's name stand in its
    /// metadata.
    ///
    /// # Errors
    ///
    /// [`ModelError::Onnx`] if the exporter does not know an operation of this network.
    pub fn to_onnx(&self) -> Result<Vec<u8>, ModelError> {
        let fail = |problem: String| ModelError::Onnx { arch: self.arch().to_string(), problem };
        let dynamic = [AxisSpec::dynamic("batch"), AxisSpec::Static, AxisSpec::Static, AxisSpec::Static];
        let size = self.arch().resolution;
        let device = self.devices().remove(0);
        // The exporter compares two traces to see where the number of images matters.
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
        for (key, value) in [("arch", self.arch().to_string()), ("space", self.space().name.clone())] {
            model.metadata_props.push(Default::default());
            let entry = model.metadata_props.last_mut().expect("an entry was pushed");
            (entry.key, entry.value) = (key.to_owned(), value);
        }
        model.write_to_bytes().map_err(|error| fail(error.to_string()))
    }
}
