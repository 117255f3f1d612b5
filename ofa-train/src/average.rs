//! Moving averages of weights.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// `decay * average + (1 - decay) * current` for every trained parameter; `average` is on the plain device.
pub(crate) fn moved<M: Module>(average: M, current: &M, decay: f64) -> M {
    let mut values = Values(GradientsParams::new());
    current.visit(&mut values);
    average.map(&mut Blend { current: values.0, decay })
}

/// Parameter values by id. `GradientsParams` is burn's container for tensors of mixed rank.
struct Values(GradientsParams);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if parameter.is_require_grad() {
            self.0.register(parameter.id, parameter.val().inner());
        }
    }
}

struct Blend {
    current: GradientsParams,
    decay: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.current.remove::<D>(parameter.id) {
            Some(current) => parameter.map(|old| old * self.decay + current * (1.0 - self.decay)),
            None => parameter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};
    use ofa_model::{SearchSpace, SupernetConfig};

    #[test]
    fn every_weight_moves_by_its_share() {
        let device = Device::flex().autodiff();
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let init = |seed| SupernetConfig::new(space.clone()).unwrap().with_seed(seed).init(&device);
        let start = init(1);
        // The same parameters with shifted values, as after a step.
        let target = start.clone().map(&mut Shift);
        let average = moved(start.valid(), &target, 0.9);
        let (from, to, found) = (start.to_original(), target.to_original(), average.to_original());
        for (((key, a), (_, b)), (_, c)) in from.into_iter().zip(to).zip(found) {
            let statistics = key.contains("running_") || key.contains("num_batches");
            let share = if statistics { 0.0 } else { 0.1 };
            let values = |data: burn::tensor::TensorData| {
                Tensor::<1>::from_data(
                    burn::tensor::TensorData::new(data.iter::<f32>().collect::<Vec<_>>(), [data.num_elements()]),
                    &Device::flex(),
                )
            };
            let expected = values(a) * (1.0 - share) + values(b) * share;
            values(c).into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
        }
    }

    struct Shift;
    impl ModuleMapper for Shift {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !parameter.is_require_grad() {
                return parameter;
            }
            parameter.map(|value| (value + 1.0).detach().require_grad())
        }
    }
}
