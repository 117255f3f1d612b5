//! The weights of a supernet or a subnet as a state dict of the original.

use super::names::Names;
use crate::{Subnet, Supernet};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

impl Supernet {
    /// The weights and running statistics under the keys, and in the shapes, of the original's supernet: its
    /// `OFAMobileNetV3`, `OFAProxylessNASNets` or `OFAResNets`.
    ///
    /// Keys are those of its newer naming generation, all that a strict load wants: every batch norm gets PyTorch's
    /// counter `num_batches_tracked` (i64) too, at 0. The way back is [`Supernet::import_original`], the
    /// way into a file [`write_state_dict`](crate::write_state_dict).
    pub fn to_original(&self) -> Vec<(String, TensorData)> {
        export(self, Names::of_supernet(self.space()))
    }
}

impl Subnet {
    /// The weights and running statistics under the keys, and in the shapes, of the original's static net: what its
    /// `get_active_subnet` returns for this arch loads them strictly.
    pub fn to_original(&self) -> Vec<(String, TensorData)> {
        export(self, Names::of_subnet(self.space(), self.arch()))
    }
}

fn export(network: &impl Module, names: Names) -> Vec<(String, TensorData)> {
    let mut export = Export { names, path: Vec::new(), tensors: Vec::new() };
    network.visit(&mut export);
    export.tensors
}

/// Collects every parameter on a walk over the network.
struct Export {
    names: Names,
    path: Vec<String>,
    tensors: Vec<(String, TensorData)>,
}

impl ModuleVisitor for Export {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let key = self.names.key(&path);
        let (bytes, mut shape, dtype) = parameter.val().into_data().into_parts();
        if D == 2 && (key.contains(".se.") || key.ends_with("conv.weight")) {
            // The original has 1x1 convolutions of pooled maps where these are matrices.
            shape = [shape[0], shape[1], 1, 1].into();
        }
        let counter = key.strip_suffix("running_var").map(|norm| format!("{norm}num_batches_tracked"));
        self.tensors.push((key, TensorData::from_bytes(bytes, shape, dtype)));
        self.tensors.extend(counter.map(|key| (key, TensorData::new(vec![0i64], [0; 0]))));
    }
}
