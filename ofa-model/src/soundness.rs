//! Refuses weights that no training leaves: numbers that are not finite, and variances below zero.

use crate::ModelError;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};

/// Checks the parameters of a network.
///
/// # Errors
///
/// [`ModelError::InvalidTensor`] names the first parameter that holds NaN, an infinity or a variance below zero.
pub fn check_weights(network: &impl Module) -> Result<(), ModelError> {
    struct Check {
        path: Vec<String>,
        found: Result<(), ModelError>,
    }
    impl ModuleVisitor for Check {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            if self.found.is_ok() {
                self.found = check_tensor(&self.path.join("."), &parameter.val().into_data());
            }
        }
    }
    let mut check = Check { path: Vec::new(), found: Ok(()) };
    network.visit(&mut check);
    check.found
}

/// Checks the tensor called `key`, in the original's names or in ours. Tensors of integers pass.
pub(crate) fn check_tensor(key: &str, data: &TensorData) -> Result<(), ModelError> {
    match data.dtype() {
        DType::F32 => {
            let number = |bytes: &[u8]| f32::from_ne_bytes(bytes.try_into().expect("chunks of four bytes"));
            check_numbers(key, data.bytes().chunks_exact(4).map(number))
        }
        dtype if dtype.is_float() => check_numbers(key, data.iter::<f32>().collect::<Vec<_>>().into_iter()),
        _ => Ok(()),
    }
}

/// Checks the numbers of the tensor called `key`.
pub(crate) fn check_numbers(key: &str, numbers: impl Iterator<Item = f32> + Clone) -> Result<(), ModelError> {
    let least = if key.ends_with("running_var") || key.ends_with("running_variance") { 0.0 } else { f32::MIN };
    let sound = |number: f32| number.is_finite() & (number >= least);
    // One pass without an early exit, which the compiler turns into vector code.
    if numbers.clone().fold(true, |all, number| all & sound(number)) {
        return Ok(());
    }
    let bad: Vec<(usize, f32)> = numbers.enumerate().filter(|(_, number)| !sound(*number)).collect();
    let (index, number) = bad[0];
    let what = if number.is_finite() { "a variance below zero" } else { "not finite" };
    let others =
        if bad.len() > 1 { format!(" ({} numbers of this tensor are no weights)", bad.len()) } else { String::new() };
    let problem = format!("number {index} is {number}, {what}{others}: the file is damaged or its training diverged");
    Err(ModelError::InvalidTensor { key: key.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_that_is_no_weight_is_named() {
        let message = |key: &str, numbers: &[f32]| {
            check_tensor(key, &TensorData::from(numbers)).map_err(|error| error.to_string()).unwrap_err()
        };
        let nan = message("a.weight", &[1.0, f32::NAN, f32::INFINITY]);
        assert!(nan.starts_with("tensor `a.weight`: number 1 is NaN, not finite (2 numbers"), "{nan}");
        let negative = message("a.bn.running_var", &[0.0, 1.0, -0.5]);
        assert!(negative.contains("number 2 is -0.5, a variance below zero: the file"), "{negative}");
        assert!(message("a.norm.running_variance", &[-1e-9]).contains("below zero"));
        assert!(check_tensor("a.bn.running_mean", &TensorData::from([-0.5f32, f32::MAX, f32::MIN])).is_ok());
        assert!(check_tensor("a.bn.num_batches_tracked", &TensorData::from([-1i64])).is_ok());
    }
}
