//! Weights as bytes: their digest, and their storage in checkpoints.

use crate::TrainError;
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::ModuleRecord;
use burn::tensor::{Bool, Bytes, Tensor, Transaction};
use ofa_data::transfer::{read_back, read_one};
use sha2::{Digest, Sha256};

/// SHA-256 of all parameters of `module`, bit for bit, in hexadecimal.
pub fn weights_sha256<M: Module>(module: &M) -> String {
    struct Weights(Transaction);
    impl ModuleVisitor for Weights {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let so_far = std::mem::take(&mut self.0);
            self.0 = so_far.register(parameter.val().inner());
        }
    }
    let mut weights = Weights(Transaction::default());
    module.visit(&mut weights);
    let digest = read_back(weights.0).iter().fold(Sha256::new(), |digest, data| digest.chain_update(data.as_bytes()));
    hex::encode(digest.finalize())
}

/// Whether all parameters of `module` are finite. The device checks them; one answer is read.
pub(crate) fn are_finite<M: Module>(module: &M) -> bool {
    struct Finite(Vec<Tensor<1, Bool>>);
    impl ModuleVisitor for Finite {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.push(parameter.val().inner().is_finite().all());
        }
    }
    let mut finite = Finite(Vec::new());
    module.visit(&mut finite);
    finite.0.is_empty() || read_one(Tensor::cat(finite.0, 0).all()).iter::<bool>().all(|finite| finite)
}

/// Loads `bytes`, the file `name` of a checkpoint, into `blank`, a network of the same space.
pub(crate) fn filled<M: Module>(blank: M, name: &'static str, bytes: Vec<u8>) -> Result<M, TrainError> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(record_error(name))?;
    blank.try_load_record(record).map_err(record_error(name))
}

/// Serialises a network's weights for the file `name` of a checkpoint.
pub(crate) fn bytes<M: Module>(module: &M, name: &'static str) -> Result<Vec<u8>, TrainError> {
    let bytes = module.clone().into_record().into_bytes().map_err(record_error(name))?;
    Ok(bytes.to_vec())
}

pub(crate) fn record_error<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> TrainError {
    move |error| TrainError::Record { what, problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::ModuleMapper;
    use burn::tensor::Device;
    use ofa_model::{SearchSpace, SupernetConfig};

    /// Sets every parameter of shape `[10]`, here the classifier bias, to a value.
    struct Broken(f32);
    impl ModuleMapper for Broken {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if parameter.val().dims()[..] != [10] {
                return parameter;
            }
            parameter.map(|value| value * 0.0 + self.0)
        }
    }

    #[test]
    fn one_parameter_that_is_no_number_is_found() {
        let config = SupernetConfig::new(SearchSpace::small_mobilenet_v3(1, 10)).unwrap();
        let supernet = config.init(&Device::flex());
        assert!(are_finite(&supernet));
        let with = |value| supernet.clone().map(&mut Broken(value));
        assert!(are_finite(&with(1e30)));
        assert!(!are_finite(&with(f32::NAN)) && !are_finite(&with(f32::INFINITY)));
    }
}
