//! Operations on all gradients of a module as one vector.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor, TensorData, Transaction};
use ofa_data::transfer::{is_on_host, read_back};
use ofa_model::ElasticNetwork;

/// Drops the gradients of a network's kernel transforms, so the optimizer leaves these unchanged.
pub(crate) fn without_kernel_transforms(
    mut gradients: GradientsParams,
    network: &impl ElasticNetwork,
) -> GradientsParams {
    for id in network.kernel_transforms() {
        gradients.remove::<2>(id);
    }
    gradients
}

/// Scales the gradients of `module` down so that their global norm is at most `most`; unchanged if `None`. Only flex,
/// which has nothing to wait for, computes the norm on the host.
pub(crate) fn clipped<M: Module>(gradients: GradientsParams, module: &M, most: Option<f64>) -> GradientsParams {
    let devices = module.devices();
    let (Some(most), Some(device), false) = (most, devices.first(), gradients.is_empty()) else { return gradients };
    let device = device.clone().inner();
    let factor = match is_on_host(&device) {
        true => Tensor::full([1], factor(norm(&gradients, module), most), &device),
        false => factor_on_device(&gradients, module, most),
    };
    mapped(gradients, module, Scale(factor))
}

/// What brings gradients of this norm down to `most`. Non-finite norms are left to the loss check, whose error names the
/// step.
fn factor(norm: f64, most: f64) -> f64 {
    if norm > most && norm.is_finite() { most / norm } else { 1.0 }
}

/// The same, `[1]`, without waiting for the device. The norm is summed in `f32`.
fn factor_on_device<M: Module>(gradients: &GradientsParams, module: &M, most: f64) -> Tensor<1> {
    struct Squares<'a>(&'a GradientsParams, Vec<Tensor<1>>);
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.1.extend(self.0.get::<D>(parameter.id).map(|gradient| gradient.square().sum()));
        }
    }
    let mut squares = Squares(gradients, Vec::new());
    module.visit(&mut squares);
    let norm = Tensor::cat(squares.1, 0).sum().sqrt();
    let keeps = norm.clone().lower_equal_elem(most).bool_or(norm.clone().is_finite().bool_not());
    (norm.recip() * most).mask_fill(keeps, 1.0)
}

/// Global Euclidean norm of the gradients, summed in a fixed order in `f64` on the host.
fn norm<M: Module>(gradients: &GradientsParams, module: &M) -> f64 {
    struct Registered<'a>(&'a GradientsParams, Transaction);
    impl ModuleVisitor for Registered<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(parameter.id) {
                self.1 = std::mem::take(&mut self.1).register(gradient);
            }
        }
    }
    let mut registered = Registered(gradients, Transaction::default());
    module.visit(&mut registered);
    let squares = |data: TensorData| data.iter::<f32>().map(f64::from).map(|number| number * number).sum::<f64>();
    read_back(registered.1).into_iter().map(squares).fold(0.0, |sum, squares| sum + squares).sqrt()
}

/// Converts all gradients to `f32`.
pub(crate) fn widened<M: Module>(gradients: GradientsParams, module: &M) -> GradientsParams {
    mapped(gradients, module, Widen)
}

/// What becomes of a gradient.
trait Rule {
    fn apply<const D: usize>(&self, gradient: Tensor<D>) -> Tensor<D>;
}

/// Multiplies by a factor, `[1]`.
struct Scale(Tensor<1>);

impl Rule for Scale {
    fn apply<const D: usize>(&self, gradient: Tensor<D>) -> Tensor<D> {
        gradient * self.0.clone().reshape([1; D])
    }
}

/// Converts to `f32`.
struct Widen;

impl Rule for Widen {
    fn apply<const D: usize>(&self, gradient: Tensor<D>) -> Tensor<D> {
        gradient.cast(FloatDType::F32)
    }
}

fn mapped<M: Module>(gradients: GradientsParams, module: &M, rule: impl Rule) -> GradientsParams {
    struct Map<R> {
        from: GradientsParams,
        to: GradientsParams,
        rule: R,
    }
    impl<R: Rule> ModuleVisitor for Map<R> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            if let Some(gradient) = self.from.remove::<D>(parameter.id) {
                self.to.register(parameter.id, self.rule.apply(gradient));
            }
        }
    }
    let mut map = Map { from: gradients, to: GradientsParams::new(), rule };
    module.visit(&mut map);
    map.to
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::ParamId;
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Pair {
        first: Param<Tensor<1>>,
        second: Param<Tensor<2>>,
        unused: Param<Tensor<1>>,
    }

    fn pair() -> (Pair, GradientsParams, [ParamId; 3]) {
        let device = Device::flex().autodiff();
        let pair = Pair {
            first: Param::from_tensor(Tensor::from_floats([1.0, 2.0], &device)),
            second: Param::from_tensor(Tensor::from_floats([[3.0]], &device)),
            unused: Param::from_tensor(Tensor::from_floats([4.0], &device)),
        };
        // Gradients: 3, 0 and 4; norm 5.
        let loss = pair.first.val().narrow(0, 0, 1).sum() * 3.0 + pair.second.val().sum() * 4.0;
        let gradients = GradientsParams::from_grads(loss.backward(), &pair);
        let ids = [pair.first.id, pair.second.id, pair.unused.id];
        (pair, gradients, ids)
    }

    #[test]
    fn only_greater_norms_are_scaled() {
        let (pair, gradients, [first, second, unused]) = pair();
        assert!((norm(&gradients, &pair) - 5.0).abs() < 1e-6);
        let same = clipped(gradients, &pair, Some(5.1));
        assert_eq!(same.get::<2>(second).unwrap().into_scalar::<f32>(), 4.0);
        let smaller = clipped(same, &pair, Some(0.5));
        assert!((norm(&smaller, &pair) - 0.5).abs() < 1e-6);
        let values = smaller.get::<1>(first).unwrap().into_data();
        values.assert_approx_eq::<f32>(&burn::tensor::TensorData::from([0.3f32, 0.0]), Default::default());
        assert!(smaller.get::<1>(unused).is_none(), "a parameter without a gradient stays without one");
    }

    #[test]
    fn a_device_finds_the_same_factor() {
        let (pair, gradients, [first, second, _]) = pair();
        let found = |gradients: &GradientsParams, most| factor_on_device(gradients, &pair, most).into_scalar::<f32>();
        assert_eq!(found(&gradients, 5.1), 1.0);
        assert!((found(&gradients, 0.5) - 0.1).abs() < 1e-7);
        for (what, value) in [("infinite", f32::INFINITY), ("no number", f32::NAN)] {
            let mut broken = GradientsParams::new();
            broken.register(first, gradients.get::<1>(first).unwrap());
            broken.register(second, gradients.get::<2>(second).unwrap() * value);
            assert_eq!(found(&broken, 0.5), 1.0, "{what}");
        }
        assert!(clipped(GradientsParams::new(), &pair, Some(1.0)).is_empty());
    }
}
