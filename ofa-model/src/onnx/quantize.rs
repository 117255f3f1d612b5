//! Writes a quantised network as a graph of `QuantizeLinear` and `DequantizeLinear` around the operators of a float
//! model, the form that runtimes turn into integer operators.

use super::fuse::{FLOAT, SIX, ZERO, attribute, scalar};
use super::{HARD_SWISH, ONNX_INPUT, ONNX_OUTPUT};
use crate::folded::Step;
use crate::quantized::{Grid, IntegerLayer};
use crate::{Activation, QuantizedSubnet};
use burn::tensor::Tensor;
use onnx_ir::{AttributeProto, AttributeType, GraphProto, NodeProto, TensorProto, ValueInfoProto};

const UINT8: i32 = 2;
const INT8: i32 = 3;
const INT32: i32 = 6;

/// The graph of `network`, for images of shape `[batch, channels, height, width]`; `None` is any batch.
pub(super) fn graph(network: &QuantizedSubnet, shape: [Option<usize>; 4], opset: u8) -> GraphProto {
    let mut writer = Writer { graph: GraphProto::default(), opset };
    writer.graph.name = "quantized".into();
    writer.graph.input.push(end(ONNX_INPUT, &shape));
    writer.graph.output.push(end(ONNX_OUTPUT, &[shape[0], Some(network.space().classes)]));
    if let Some(grid) = network.grid(0) {
        writer.quantise(0, ONNX_INPUT, grid);
    }
    for (number, step) in network.steps().iter().enumerate() {
        let value = number + 1;
        let grid = network.grid(value);
        let result = if grid.is_some() { real(value) } else { ONNX_OUTPUT.to_owned() };
        writer.step(value, step, &result, |value| network.grid(value).map_or(1.0, |grid| grid.scale));
        if let Some(grid) = grid {
            writer.quantise(value, &result, grid);
        }
    }
    for (name, value) in [(ZERO, 0.0), (SIX, 6.0)] {
        if writer.graph.node.iter().any(|node| node.input.iter().any(|input| input == name)) {
            writer.graph.initializer.push(scalar(name, value));
        }
    }
    for (node, i) in writer.graph.node.iter_mut().zip(0..) {
        node.name = format!("{}_{i}", node.op_type);
    }
    writer.graph
}

struct Writer {
    graph: GraphProto,
    opset: u8,
}

impl Writer {
    fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            op_type: operator.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    fn tensor(&mut self, name: &str, data_type: i32, dims: &[usize], bytes: Vec<u8>) {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            data_type,
            dims: dims.iter().map(|&size| size as i64).collect(),
            raw_data: bytes.into(),
            ..TensorProto::default()
        });
    }

    /// Quantises `name`, the real result of a step, and gives back real numbers.
    fn quantise(&mut self, value: usize, name: &str, grid: Grid) {
        let [scale, zero, integers] = ["scale", "zero_point", "integers"].map(|what| format!("value_{value}_{what}"));
        self.tensor(&scale, FLOAT, &[], grid.scale.to_le_bytes().into());
        let data_type = if grid.signed { INT8 } else { UINT8 };
        self.tensor(&zero, data_type, &[], vec![grid.zero_point as u8]);
        self.node("QuantizeLinear", &[name, &scale, &zero], &integers, vec![]);
        self.node("DequantizeLinear", &[&integers, &scale, &zero], &quantised(value), vec![]);
    }

    /// The weights or biases of a step as integers, with a scale per output channel.
    fn parameter(
        &mut self,
        name: &str,
        [data_type, width]: [i32; 2],
        tensor: &[usize],
        integers: &[f32],
        scales: &[f32],
    ) {
        let [scale, zero, stored] = ["scale", "zero_point", "integers"].map(|what| format!("{name}_{what}"));
        let bytes = |integer: &f32| (*integer as i32).to_le_bytes()[..width as usize].to_vec();
        self.tensor(&stored, data_type, tensor, integers.iter().flat_map(bytes).collect());
        self.tensor(&scale, FLOAT, &[scales.len()], scales.iter().flat_map(|scale| scale.to_le_bytes()).collect());
        self.tensor(&zero, data_type, &[scales.len()], vec![0; scales.len() * width as usize]);
        self.node("DequantizeLinear", &[&stored, &scale, &zero], name, vec![int("axis", 0)]);
    }

    /// The operators of a step; `scale` gives the size of a step of a value.
    fn step(&mut self, value: usize, step: &Step<IntegerLayer>, result: &str, scale: impl Fn(usize) -> f32) {
        let inputs: Vec<String> = step.inputs().into_iter().map(quantised).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        match step {
            Step::Conv { layer, input } => {
                let [.., k, _] = layer.weight.dims();
                let attributes = vec![
                    ints("kernel_shape", &[k; 2]),
                    ints("strides", &[layer.stride; 2]),
                    ints("pads", &[k / 2; 4]),
                    int("group", layer.groups),
                ];
                self.layer(("Conv", attributes), (value, inputs[0], result), layer, scale(*input));
            }
            Step::Linear { layer, input } => {
                self.layer(("Gemm", vec![int("transB", 1)]), (value, inputs[0], result), layer, scale(*input));
            }
            Step::HardSwish { .. } if self.opset >= HARD_SWISH => self.node("HardSwish", &inputs, result, vec![]),
            Step::HardSwish { .. } => {
                let gate = format!("value_{value}_gate");
                self.hard_sigmoid(&inputs, &gate);
                self.node("Mul", &[inputs[0], &gate], result, vec![]);
            }
            Step::HardSigmoid { .. } => self.hard_sigmoid(&inputs, result),
            Step::Add { activation, .. } => {
                self.activated(value, *activation, result, ("Add", vec![]), &inputs);
            }
            Step::Mul { .. } => self.node("Mul", &inputs, result, vec![]),
            Step::GlobalAveragePool { .. } => self.node("GlobalAveragePool", &inputs, result, vec![]),
            Step::AveragePool { stride, .. } => {
                let [window, strides] = ["kernel_shape", "strides"].map(|name| ints(name, &[*stride; 2]));
                self.node("AveragePool", &inputs, result, vec![window, strides, int("ceil_mode", 1)]);
            }
            Step::MaxPool { .. } => {
                let attributes = vec![ints("kernel_shape", &[3; 2]), ints("strides", &[2; 2]), ints("pads", &[1; 4])];
                self.node("MaxPool", &inputs, result, attributes);
            }
            Step::Flatten { .. } => self.node("Flatten", &inputs, result, vec![int("axis", 1)]),
        }
    }

    fn layer(
        &mut self,
        operator: (&str, Vec<AttributeProto>),
        (value, input, result): (usize, &str, &str),
        layer: &IntegerLayer,
        input_scale: f32,
    ) {
        let [weight, bias] = ["weight", "bias"].map(|what| format!("value_{value}_{what}"));
        let dims = layer.weight.dims();
        let dims = if operator.0 == "Gemm" { &dims[..2] } else { &dims[..] };
        self.parameter(&weight, [INT8, 1], dims, &numbers(&layer.weight), &layer.scales);
        let scales: Vec<f32> = layer.scales.iter().map(|scale| input_scale * scale).collect();
        self.parameter(&bias, [INT32, 4], &[scales.len()], &numbers(&layer.bias), &scales);
        self.activated(value, layer.activation, result, operator, &[input, &weight, &bias]);
    }

    /// An operator, and the activation that limits its result; a curve is a step of its own.
    fn activated(
        &mut self,
        value: usize,
        activation: Activation,
        result: &str,
        (operator, attributes): (&str, Vec<AttributeProto>),
        inputs: &[&str],
    ) {
        let before = format!("value_{value}_before");
        match activation {
            Activation::Identity | Activation::HardSwish => self.node(operator, inputs, result, attributes),
            Activation::Relu => {
                self.node(operator, inputs, &before, attributes);
                self.node("Relu", &[&before], result, vec![]);
            }
            Activation::Relu6 => {
                self.node(operator, inputs, &before, attributes);
                self.node("Clip", &[&before, ZERO, SIX], result, vec![]);
            }
        }
    }

    fn hard_sigmoid(&mut self, inputs: &[&str], result: &str) {
        self.node("HardSigmoid", inputs, result, vec![attribute("alpha", 1.0 / 6.0), attribute("beta", 0.5)]);
    }
}

/// Name of the real result of a step.
fn real(value: usize) -> String {
    format!("value_{value}")
}

/// Name of a value after it was quantised, as real numbers.
fn quantised(value: usize) -> String {
    format!("value_{value}_quantized")
}

fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

fn int(name: &str, value: usize) -> AttributeProto {
    let (name, i) = (name.to_owned(), value as i64);
    AttributeProto { name, i, type_: AttributeType::INT.into(), ..AttributeProto::default() }
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: name.to_owned(), ints, type_: AttributeType::INTS.into(), ..AttributeProto::default() }
}

/// An input or output of f32; `None` is the batch.
fn end(name: &str, shape: &[Option<usize>]) -> ValueInfoProto {
    let mut end = ValueInfoProto { name: name.to_owned(), ..ValueInfoProto::default() };
    let tensor = end.type_.mut_or_insert_default().mut_tensor_type();
    tensor.elem_type = FLOAT;
    let dims = &mut tensor.shape.mut_or_insert_default().dim;
    for size in shape {
        dims.push(Default::default());
        let dim = dims.last_mut().expect("a dimension was pushed");
        match size {
            Some(size) => dim.set_dim_value(*size as i64),
            None => dim.set_dim_param("batch".into()),
        }
    }
    end
}
