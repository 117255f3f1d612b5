//! Imports a state dict of the original into a supernet or a subnet.

use super::names::{Names, canonical};
use super::{ImportReport, MisShaped, nearest};
use crate::soundness::check_numbers;
use crate::{ModelError, SearchSpace, Subnet, Supernet};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

impl Supernet {
    /// Replaces the weights and running statistics with those of a state dict of the original's `OFAMobileNetV3`,
    /// `OFAProxylessNASNets` or `OFAResNets`.
    ///
    /// `tensors` are its entries by key, as [`read_state_dict`](crate::read_state_dict) returns them; both naming
    /// generations are understood. Any float type is converted to f32. The counters `num_batches_tracked` are skipped:
    /// with the original's fixed momentum, nothing is computed from them.
    ///
    /// A checkpoint has one set of running statistics for all subnets. [`Statistics::Running`](crate::Statistics) uses
    /// them as they are; a subnet they were not measured on needs [`Subnet::calibrate`].
    ///
    /// What does not fit is reported, not guessed: see [`ImportReport`].
    ///
    /// # Shapes
    ///
    /// The original's:
    ///
    /// - convolutions: `[out, in / groups, height, width]`
    /// - linear layers: `[out, in]`
    /// - kernel transforms: `[to * to, to * to]`, used as `flattened kernel * transposed matrix`
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidTensor`] if a tensor does not hold floats, holds NaN, an infinity or a variance below zero,
    /// or if two keys name the same parameter.
    pub fn import_original(
        self,
        tensors: impl IntoIterator<Item = (String, TensorData)>,
    ) -> Result<(Self, ImportReport), ModelError> {
        let (names, space) = (Names::of_supernet(self.space()), self.space().clone());
        import(self, &space, names, tensors)
    }
}

impl Subnet {
    /// Replaces the weights and running statistics with those of a state dict of the original's static `MobileNetV3`,
    /// `ProxylessNASNets` or `ResNets` of the same arch: a published specialised net, for example.
    ///
    /// # Errors
    ///
    /// As for [`Supernet::import_original`].
    pub fn import_original(
        self,
        tensors: impl IntoIterator<Item = (String, TensorData)>,
    ) -> Result<(Self, ImportReport), ModelError> {
        let (names, space) = (Names::of_subnet(self.space(), self.arch()), self.space().clone());
        import(self, &space, names, tensors)
    }
}

fn import<M: Module>(
    network: M,
    space: &SearchSpace,
    names: Names,
    tensors: impl IntoIterator<Item = (String, TensorData)>,
) -> Result<(M, ImportReport), ModelError> {
    let mut waiting = BTreeMap::new();
    for (key, data) in tensors {
        if key.ends_with("num_batches_tracked") {
            continue;
        }
        if !data.dtype().is_float() {
            let problem = format!("its dtype is {:?}, expected a float type", data.dtype());
            return Err(ModelError::InvalidTensor { key, problem });
        }
        if let Some((twin, _)) = waiting.insert(canonical(&key), (key.clone(), data)) {
            let problem = format!("`{twin}` names the same parameter; keep only one of the two");
            return Err(ModelError::InvalidTensor { key, problem });
        }
    }
    let shapes: BTreeMap<String, Vec<usize>> =
        waiting.iter().map(|(name, (_, data))| (name.clone(), data.shape().to_vec())).collect();
    let mut import = Import { names, waiting, path: Vec::new(), report: ImportReport::default(), sound: Ok(()) };
    let network = network.map(&mut import);
    let Import { waiting, mut report, sound, .. } = import;
    sound?;
    report.unused = waiting.into_values().map(|(key, _)| key).collect();
    if !report.is_complete() {
        report.nearest = nearest::fitting(&shapes, space);
    }
    Ok((network, report))
}

/// Walks the network and gives each parameter its tensor.
struct Import {
    names: Names,
    /// Key and values of the tensors not yet assigned to a parameter, by canonical name.
    waiting: BTreeMap<String, (String, TensorData)>,
    path: Vec<String>,
    report: ImportReport,
    /// The first tensor that holds something other than weights.
    sound: Result<(), ModelError>,
}

impl ModuleMapper for Import {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let key = self.names.key(&path);
        let Some((key, data)) = self.waiting.remove(&canonical(&key)) else {
            self.report.missing.push(key);
            return parameter;
        };
        let shape = parameter.dims();
        let found = data.shape().to_vec();
        if !holds(&found, &shape) {
            self.report.mis_shaped.push(MisShaped { key, found, expected: shape.to_vec() });
            return parameter;
        }
        let numbers: Vec<f32> =
            data.convert::<f32>().try_into_vec().expect("a tensor converted to f32 holds f32 of its own shape");
        if self.sound.is_ok() {
            self.sound = check_numbers(&key, numbers.iter().copied());
        }
        let trainable = parameter.is_require_grad();
        parameter.map(|old| {
            let new = Tensor::from_data(TensorData::new(numbers, shape), &old.device());
            new.set_require_grad(trainable)
        })
    }
}

/// Whether a tensor of shape `found` fits a parameter of shape `expected`; a 1x1 convolution on a pooled map fits a
/// matrix.
fn holds(found: &[usize], expected: &[usize]) -> bool {
    found == expected || found.strip_suffix(&[1, 1]) == Some(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SearchSpace, SupernetConfig};
    use burn::module::ModuleVisitor;
    use burn::tensor::{Device, Int};

    fn supernet(seed: u64, classes: usize, device: &Device) -> Supernet {
        let space = SearchSpace::small_mobilenet_v3(1, classes);
        SupernetConfig::new(space).unwrap().with_seed(seed).init(device)
    }

    /// The state dict of a supernet in the original's older naming generation, without the counters.
    fn state_dict(supernet: &Supernet) -> Vec<(String, TensorData)> {
        let mut tensors = supernet.to_original();
        tensors.retain(|(key, _)| !key.ends_with("num_batches_tracked"));
        let old = |key: String| match key.strip_prefix("blocks.") {
            Some(rest) => format!("blocks.{}", rest.replacen(".conv.", ".mobile_inverted_conv.", 1)),
            None => key,
        };
        tensors.into_iter().map(|(key, data)| (old(key), data)).collect()
    }

    #[test]
    fn every_parameter_takes_part_and_stays_trainable_or_not() {
        let device = Device::flex().autodiff();
        let source = state_dict(&supernet(1, 10, &Device::flex()));
        let (imported, report) = supernet(2, 10, &device).import_original(source.clone()).unwrap();
        assert!(report.is_complete(), "{report}");
        assert_eq!(state_dict(&imported), source);

        struct Trainable(usize, usize);
        impl ModuleVisitor for Trainable {
            fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
                if parameter.is_require_grad() { self.0 += 1 } else { self.1 += 1 }
            }
        }
        let count = |supernet: &Supernet| {
            let mut count = Trainable(0, 0);
            supernet.visit(&mut count);
            (count.0, count.1)
        };
        assert_eq!(count(&imported), count(&supernet(2, 10, &device)));
    }

    #[test]
    fn all_that_does_not_fit_is_listed_at_once() {
        let device = Device::flex();
        let mut source = state_dict(&supernet(1, 5, &device));
        source.retain(|(key, _)| key != "first_conv.bn.weight");
        source.push(("teacher.weight".into(), TensorData::from([1.0f32])));
        source.push(("first_conv.bn.bn.num_batches_tracked".into(), TensorData::from([7i64])));
        let (imported, report) = supernet(2, 10, &device).import_original(source).unwrap();
        assert_eq!(report.missing, ["first_conv.bn.weight"]);
        assert_eq!(report.unused, ["teacher.weight"]);
        let message = report.check().unwrap_err().to_string();
        for part in [
            "1 missing: first_conv.bn.weight",
            "1 unused: teacher.weight",
            "2 mis-shaped: ",
            "classifier.linear.weight is [5, 192], expected [10, 192]",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let classifier = |supernet: &Supernet| state_dict(supernet).pop();
        assert_eq!(classifier(&imported), classifier(&supernet(2, 10, &device)), "what does not fit stays unchanged");
    }

    #[test]
    fn ambiguous_and_integer_tensors_are_refused() {
        let device = Device::flex();
        let one = || TensorData::from([1.0f32]);
        let message = |tensors: Vec<(&str, TensorData)>| {
            let tensors = tensors.into_iter().map(|(key, data)| (key.to_owned(), data));
            supernet(1, 10, &device).import_original(tensors).unwrap_err().to_string()
        };
        let twins = message(vec![("first_conv.bn.bias", one()), ("first_conv.bn.bn.bias", one())]);
        assert!(twins.contains("`first_conv.bn.bn.bias`: `first_conv.bn.bias` names the same"), "{twins}");
        let integer = Tensor::<1, Int>::from_ints([1, 2], &device).into_data();
        let integer = message(vec![("first_conv.bn.bias", integer)]);
        assert!(integer.contains("expected a float type"), "{integer}");
    }
}
