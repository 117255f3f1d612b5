//! Operations on all gradients of a module as one vector.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
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

/// Scales the gradients of `module` down so that their global norm is at most `most`; unchanged if `None`.
pub(crate) fn clipped<M: Module>(gradients: GradientsParams, module: &M, most: Option<f64>) -> GradientsParams {
    let Some(most) = most else { return gradients };
    let norm = norm(&gradients, module);
    // Non-finite norms are left to the loss check, whose error names the step.
    if norm > most && norm.is_finite() { scaled(gradients, module, most / norm) } else { gradients }
}

/// Global Euclidean norm of the gradients, summed in a fixed order in `f64`.
pub(crate) fn norm<M: Module>(gradients: &GradientsParams, module: &M) -> f64 {
    struct Squares<'a>(&'a GradientsParams, f64);
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(parameter.id) {
                let numbers = gradient.into_data().convert::<f32>().try_into_vec::<f32>();
                let numbers = numbers.expect("a tensor converted to f32 holds f32");
                self.1 += numbers.into_iter().map(f64::from).map(|number| number * number).sum::<f64>();
            }
        }
    }
    let mut squares = Squares(gradients, 0.0);
    module.visit(&mut squares);
    squares.1.sqrt()
}

/// Multiplies all gradients by `factor`.
pub(crate) fn scaled<M: Module>(gradients: GradientsParams, module: &M, factor: f64) -> GradientsParams {
    struct Scale {
        from: GradientsParams,
        to: GradientsParams,
        factor: f64,
    }
    impl ModuleVisitor for Scale {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            if let Some(gradient) = self.from.remove::<D>(parameter.id) {
                self.to.register(parameter.id, gradient * self.factor);
            }
        }
    }
    let mut scale = Scale { from: gradients, to: GradientsParams::new(), factor };
    module.visit(&mut scale);
    scale.to
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
}
