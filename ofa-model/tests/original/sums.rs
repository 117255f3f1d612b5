//! Four sums that stand for a tensor in the fixtures.

use burn::tensor::TensorData;

/// Sums of x, |x|, x * x and x_i * (i + 1) / n.
pub type Sums = [f64; 4];

/// The sums of the f32 numbers of a tensor.
pub fn sums(data: &TensorData) -> Sums {
    let values: Vec<f32> = data.try_to_vec().unwrap();
    let mut sums = [0.0; 4];
    for (i, x) in values.iter().map(|&x| f64::from(x)).enumerate() {
        let terms = [x, x.abs(), x * x, x * (i + 1) as f64 / values.len() as f64];
        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
    }
    sums
}

/// Distance between the sums, relative to sums that cannot cancel; infinite if one is NaN.
pub fn distance(found: &Sums, expected: &Sums) -> f64 {
    let scale = [expected[1], expected[1], expected[2], expected[1]];
    let terms = found.iter().zip(expected).zip(scale);
    let distances = terms.map(|((found, expected), scale)| (found - expected).abs() / scale.max(1e-12));
    distances.map(|distance| if distance.is_nan() { f64::INFINITY } else { distance }).fold(0.0, f64::max)
}
