//! Exports the weights of a supernet or a subnet as a state dict of the original.

use super::names::Names;
use crate::{Subnet, Supernet};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

impl Supernet {
    /// Exports the weights and running statistics with the keys and shapes of the original's supernet:
    /// `OFAMobileNetV3`, `OFAProxylessNASNets` or `OFAResNets`.
    ///
    /// Keys follow its newer naming generation and satisfy a strict load: every batch norm also gets PyTorch's counter
    /// `num_batches_tracked` (i64), set to 0. [`Supernet::import_original`] reads the result back;
    /// [`write_state_dict`](crate::write_state_dict) writes it to a file.
    pub fn to_original(&self) -> Vec<(String, TensorData)> {
        export(self, Names::of_supernet(self.space()))
    }
}

impl Subnet {
    /// Exports the weights and running statistics with the keys and shapes of the original's static net. The net that
    /// its `get_active_subnet` returns for this arch loads them strictly.
    pub fn to_original(&self) -> Vec<(String, TensorData)> {
        export(self, Names::of_subnet(self.space(), self.arch()))
    }
}

fn export(network: &impl Module, names: Names) -> Vec<(String, TensorData)> {
    let mut export = Export { names, path: Vec::new(), tensors: Vec::new() };
    network.visit(&mut export);
    export.tensors
}

/// Walks the network and collects every parameter.
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
            // The original has 1x1 convolutions on pooled maps where we have matrices.
            shape = [shape[0], shape[1], 1, 1].into();
        }
        let counter = key.strip_suffix("running_var").map(|norm| format!("{norm}num_batches_tracked"));
        self.tensors.push((key, TensorData::from_bytes(bytes, shape, dtype)));
        self.tensors.extend(counter.map(|key| (key, TensorData::new(vec![0i64], [0; 0]))));
    }
}
