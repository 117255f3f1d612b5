//! Rewrites exported graphs: chains of plain operations become single operators again.

use onnx_ir::{AttributeProto, AttributeType, GraphProto, NodeProto, TensorProto};
use std::collections::{HashMap, HashSet};

/// Renames the only input and the only output of `graph`.
pub(super) fn rename_ends(graph: &mut GraphProto, input: &str, output: &str) {
    for (ends, name) in [(&mut graph.input, input), (&mut graph.output, output)] {
        let [end] = &mut ends[..] else { panic!("a network has one input and one output, found {}", ends.len()) };
        let old = std::mem::replace(&mut end.name, name.to_owned());
        for node in &mut graph.node {
            let places = node.input.iter_mut().chain(&mut node.output);
            places.filter(|place| **place == old).for_each(|place| *place = name.to_owned());
        }
    }
}

/// Replaces the chains that compute ReLU6, hard sigmoid and, if `has_hard_swish`, hard swish with `Clip`, `HardSigmoid`
/// and `HardSwish`, and removes what is no longer used.
pub(super) fn fuse_activations(graph: &mut GraphProto, has_hard_swish: bool) {
    let replacements = [clip, hard_sigmoid, hard_swish];
    for replace in &replacements[..if has_hard_swish { 3 } else { 2 }] {
        let known = Known::of(graph);
        let fused: Vec<_> = (0..graph.node.len()).filter_map(|i| Some((i, replace(&known, &graph.node[i])?))).collect();
        for (i, node) in fused {
            graph.node[i] = node;
        }
        drop_unused(graph);
    }
    if graph.node.iter().any(|node| node.op_type == "Clip") {
        graph.initializer.push(scalar(ZERO, 0.0));
        graph.initializer.push(scalar(SIX, 6.0));
    }
}

/// Numbers the intermediate values in the order of their computation. The exporter's own names depend on what the
/// process did before; with these, equal networks give equal files.
pub(super) fn number_values(graph: &mut GraphProto) {
    let ends: HashSet<&String> = graph.output.iter().map(|end| &end.name).collect();
    let values = graph.node.iter().flat_map(|node| &node.output).filter(|name| !ends.contains(name));
    let names: HashMap<String, String> = values.cloned().zip((0..).map(|i| format!("value_{i}"))).collect();
    for (node, i) in graph.node.iter_mut().zip(0..) {
        node.name = format!("{}_{i}", node.op_type);
        for name in node.input.iter_mut().chain(&mut node.output) {
            names.get(name).inspect(|new| name.clone_from(new));
        }
    }
    for value in &mut graph.value_info {
        names.get(&value.name).inspect(|new| value.name.clone_from(new));
    }
}

pub(super) const ZERO: &str = "zero";
pub(super) const SIX: &str = "six";

/// The nodes and scalar constants of a graph, by name.
struct Known<'a> {
    nodes: HashMap<&'a str, &'a NodeProto>,
    scalars: HashMap<&'a str, f32>,
}

impl<'a> Known<'a> {
    fn of(graph: &'a GraphProto) -> Self {
        let nodes = graph.node.iter().flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)));
        let scalars = graph.initializer.iter().filter_map(|tensor| Some((tensor.name.as_str(), number(tensor)?)));
        Self { nodes: nodes.collect(), scalars: scalars.collect() }
    }

    /// The input of the node that outputs `name`, if that node is a one-input `operation`.
    fn unary(&self, name: &str, operation: &str) -> Option<&'a str> {
        let node = self.nodes.get(name).filter(|node| node.op_type == operation)?;
        node.input.first().map(String::as_str)
    }

    /// The input and the constant of the node that outputs `name`, if that node is an `operation` with a scalar
    /// constant.
    fn with_number(&self, name: &str, operation: &str) -> Option<(&'a str, f32)> {
        let node = self.nodes.get(name).filter(|node| node.op_type == operation)?;
        let [a, b] = &node.input[..] else { return None };
        let number = |name: &String| self.scalars.get(name.as_str()).copied();
        number(b).map(|n| (a.as_str(), n)).or_else(|| number(a).map(|n| (b.as_str(), n)))
    }

    /// `x` and `top` if `name` is computed as `relu(6 - relu(top - x))`.
    fn clamped(&self, name: &str) -> Option<(&'a str, f32)> {
        let (negated, six) = self.with_number(self.unary(name, "Relu")?, "Add")?;
        let (minus_x, top) = self.with_number(self.unary(self.unary(negated, "Neg")?, "Relu")?, "Add")?;
        (six == 6.0).then_some((self.unary(minus_x, "Neg")?, top))
    }
}

/// Rewrites `relu(6 - relu(6 - x))` as `Clip(x, 0, 6)`.
fn clip(known: &Known, node: &NodeProto) -> Option<NodeProto> {
    let (x, top) = known.clamped(node.output.first()?)?;
    (top == 6.0).then(|| operator("Clip", &[x, ZERO, SIX], node))
}

/// Rewrites `relu(6 - relu(3 - x)) / 6` as `HardSigmoid(x)` with slope 1/6.
fn hard_sigmoid(known: &Known, node: &NodeProto) -> Option<NodeProto> {
    let (clamped, factor) = known.with_number(node.output.first()?, "Mul")?;
    let (x, top) = known.clamped(clamped)?;
    if top != 3.0 || factor != 1.0 / 6.0 {
        return None;
    }
    let mut fused = operator("HardSigmoid", &[x], node);
    fused.attribute = vec![attribute("alpha", 1.0 / 6.0), attribute("beta", 0.5)];
    Some(fused)
}

/// Rewrites `x * HardSigmoid(x)` as `HardSwish(x)`.
fn hard_swish(known: &Known, node: &NodeProto) -> Option<NodeProto> {
    let [a, b] = &node.input[..] else { return None };
    let gates = |x: &str, gate: &str| known.unary(gate, "HardSigmoid") == Some(x);
    let x = if gates(a, b) { a } else { b };
    (node.op_type == "Mul" && (gates(a, b) || gates(b, a))).then(|| operator("HardSwish", &[x], node))
}

/// An operator that replaces `node`.
fn operator(operation: &str, inputs: &[&str], node: &NodeProto) -> NodeProto {
    NodeProto {
        op_type: operation.to_owned(),
        name: node.name.clone(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: node.output.clone(),
        ..NodeProto::default()
    }
}

/// Removes nodes and tensors that no output depends on. Nodes are in computation order.
fn drop_unused(graph: &mut GraphProto) {
    let mut used: HashSet<String> = graph.output.iter().map(|end| end.name.clone()).collect();
    let mut kept = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|name| used.contains(name)) {
            used.extend(node.input.iter().cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    graph.initializer.retain(|tensor| used.contains(&tensor.name));
    graph.value_info.retain(|value| used.contains(&value.name));
}

pub(super) const FLOAT: i32 = 1;

/// The value of a tensor that holds a single f32.
fn number(tensor: &TensorProto) -> Option<f32> {
    if tensor.data_type != FLOAT || tensor.dims.iter().product::<i64>() != 1 {
        return None;
    }
    let raw = || tensor.raw_data[..].try_into().ok().map(f32::from_le_bytes);
    tensor.float_data.first().copied().or_else(raw)
}

pub(super) fn attribute(name: &str, value: f32) -> AttributeProto {
    let (name, type_) = (name.to_owned(), AttributeType::FLOAT.into());
    AttributeProto { name, f: value, type_, ..AttributeProto::default() }
}

pub(super) fn scalar(name: &str, value: f32) -> TensorProto {
    TensorProto { name: name.to_owned(), data_type: FLOAT, float_data: vec![value], ..TensorProto::default() }
}
