//! Whether all ranks have the same weights.

use super::{Ranks, same_on_all};
use crate::TrainError;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use sha2::{Digest, Sha256};

/// Makes sure that the weights of `module`, which are called `what`, are the same on all ranks, to the last bit.
///
/// # Errors
///
/// [`TrainError::RanksDiffer`], on all ranks.
pub(crate) fn same_weights<M: Module>(ranks: &dyn Ranks, what: &'static str, module: &M) -> Result<(), TrainError> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let mut weights = Fingerprint(Sha256::new());
    module.visit(&mut weights);
    same_on_all(ranks, what, &weights.0.finalize())
}

struct Fingerprint(Sha256);

impl ModuleVisitor for Fingerprint {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.0.update(parameter.val().into_data().as_bytes());
    }
}
