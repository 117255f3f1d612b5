use super::{Curve, requantize};
use crate::testing::Draw;
use burn::tensor::{Device, FloatDType, Tensor};

/// What the composed op gives, which 64-bit floats take.
fn composed(sums: &Tensor<4>, shift: &Tensor<1>, multiplier: &Tensor<1>, curve: Option<Curve>) -> Tensor<4> {
    let [shift, multiplier] = [shift, multiplier].map(|vector| vector.clone().cast(FloatDType::F64));
    requantize(sums.clone().cast(FloatDType::F64), shift, multiplier, [-100.0, 155.0], curve).cast(FloatDType::F32)
}

#[test]
fn the_cpu_gives_what_the_composed_op_gives() {
    let curve = |swish| Curve { swish, step: 0.03125, output_step: 0.0078125, output_levels: [-48.0, 207.0] };
    for shape in [[1, 3, 1, 1], [2, 4, 2, 3], [9, 5, 7, 7], [3, 8, 14, 13]] {
        let mut draw = Draw::new(5);
        // Multiples of 2 and powers of 2: exact in both formats, with ties.
        let sums = draw.normal(shape, 0.0, 400.0).round();
        let shift = draw.normal([shape[1]], 0.0, 30.0).round();
        let multiplier = Tensor::full([shape[1]], 0.25, &Device::flex());
        for curve in [None, Some(curve(true)), Some(curve(false))] {
            let found = requantize(sums.clone(), shift.clone(), multiplier.clone(), [-100.0, 155.0], curve);
            let expected = composed(&sums, &shift, &multiplier, curve);
            let apart = (found - expected).abs();
            // 1/6 is not exact, so a curve may round differently, by one step and rarely.
            let (most, mean) = (apart.clone().max().into_scalar::<f32>(), apart.mean().into_scalar::<f32>());
            let (allowed, share) = if curve.is_some() { (1.0, 0.02) } else { (0.0, 0.0) };
            assert!(most <= allowed && mean <= share, "{shape:?} {curve:?}: {most}, {mean}");
        }
    }
}

#[test]
fn halves_go_to_even_and_limits_hold() {
    let device = Device::flex();
    let sums = Tensor::<1>::from_floats([0.5, 1.5, 2.5, -0.5, -1.5, 1000.0, -1000.0, 7.4], &device);
    let [shift, multiplier] = [0.0, 1.0].map(|value| Tensor::<1>::full([1], value, &device));
    let found = requantize(sums.reshape([1, 1, 2, 4]), shift, multiplier, [-3.0, 9.0], None);
    let found = found.into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(found, [0.0, 2.0, 2.0, 0.0, -2.0, 9.0, -3.0, 7.0]);
}
