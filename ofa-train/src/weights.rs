//! Weights by their bytes: what identifies them, and how they come out of a checkpoint.

use crate::TrainError;
use crate::checkpoint::hexadecimal;
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Tensor};
use ofa_model::Supernet;
use sha2::{Digest, Sha256};

/// SHA-256, in hexadecimal, of all parameters of `module`, to the last bit.
pub fn weights_sha256<M: Module>(module: &M) -> String {
    struct Fingerprint(Sha256);
    impl ModuleVisitor for Fingerprint {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.update(parameter.val().into_data().as_bytes());
        }
    }
    let mut weights = Fingerprint(Sha256::new());
    module.visit(&mut weights);
    hexadecimal(&weights.0.finalize())
}

/// `blank`, a supernet of the same space, with the weights that `bytes`, the file `name` of a checkpoint, hold.
pub(crate) fn filled(blank: Supernet, name: &'static str, bytes: Vec<u8>) -> Result<Supernet, TrainError> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(record_error(name))?;
    blank.try_load_record(record).map_err(record_error(name))
}

/// The bytes of a supernet's weights for the file `name` of a checkpoint.
pub(crate) fn bytes(supernet: &Supernet, name: &'static str) -> Result<Vec<u8>, TrainError> {
    let bytes = supernet.clone().into_record().into_bytes().map_err(record_error(name))?;
    Ok(bytes.to_vec())
}

pub(crate) fn record_error<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> TrainError {
    move |error| TrainError::Record { what, problem: error.to_string() }
}
