//! Probabilities of the choices of a group.

use rand::{Rng, RngExt};

/// Probabilities of `logits`.
pub(super) fn softmax(logits: &[f64]) -> Vec<f64> {
    let shift = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| libm::exp(logit - shift)).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Derivative by the logits of softmax, given that by the probabilities: `dL/da_i = sum_j dL/dp_j p_j (d_ij - p_i)`
/// (ProxylessNAS, arXiv:1812.00332, equation 4).
pub(super) fn softmax_gradient(probabilities: &[f64], gradient: &[f64]) -> Vec<f64> {
    let mean: f64 = probabilities.iter().zip(gradient).map(|(p, g)| p * g).sum();
    probabilities.iter().zip(gradient).map(|(p, g)| p * (g - mean)).collect()
}

/// Draws an index with these probabilities, which need not sum to 1.
pub(super) fn draw(probabilities: &[f64], rng: &mut dyn Rng) -> usize {
    let mut left = rng.random::<f64>() * probabilities.iter().sum::<f64>();
    let found = probabilities.iter().position(|probability| {
        left -= probability;
        left < 0.0
    });
    // Only rounding leads past the last.
    found.unwrap_or(probabilities.len() - 1)
}

/// Draws two different indices one after the other, the second with the remaining probabilities.
///
/// # Panics
///
/// If there are fewer than two.
pub(super) fn draw_two(probabilities: &[f64], rng: &mut dyn Rng) -> [usize; 2] {
    let first = draw(probabilities, rng);
    let mut rest = probabilities.to_vec();
    rest.remove(first);
    // With all probability on the first, the others are equal.
    if rest.iter().sum::<f64>() <= 0.0 {
        rest.fill(1.0);
    }
    let second = draw(&rest, rng);
    [first, if second >= first { second + 1 } else { second }]
}

/// A number of the standard Gumbel distribution.
pub(super) fn gumbel(rng: &mut dyn Rng) -> f64 {
    // In (0, 1]: a logarithm of 0 cannot occur.
    let uniform = 1.0 - rng.random::<f64>();
    -libm::log((-libm::log(uniform)).max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_gradient_by_hand() {
        // p = (1/4, 3/4), dL/dp = (2, 6): the mean is 5.
        let probabilities = softmax(&[0.0, libm::log(3.0)]);
        assert!((probabilities[1] - 0.75).abs() < 1e-12);
        let gradient = softmax_gradient(&probabilities, &[2.0, 6.0]);
        assert!((gradient[0] + 0.75).abs() < 1e-12 && (gradient[1] - 0.75).abs() < 1e-12, "{gradient:?}");
        assert_eq!(softmax(&[1000.0, 1000.0]), [0.5, 0.5], "no overflow");
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0.0; 3];
        (0..20_000).for_each(|_| counts[draw(&[0.2, 0.7, 0.1], rng)] += 1.0 / 20_000.0);
        assert!((counts[0] - 0.2f64).abs() < 0.01 && (counts[1] - 0.7f64).abs() < 0.01, "{counts:?}");
        let mut counts = [0.0; 3];
        for _ in 0..20_000 {
            let [first, second] = draw_two(&[0.2, 0.7, 0.1], rng);
            assert_ne!(first, second);
            counts[second] += 1.0 / 20_000.0;
        }
        // 0.7 * 2/3 + 0.1 * 2/9
        assert!((counts[0] - 0.4889f64).abs() < 0.015, "{counts:?}");
        assert_ne!(draw_two(&[1.0, 0.0, 0.0], rng)[1], 0);
        // The largest of logit plus noise is chosen with the softmax's probability.
        let share = (0..20_000).filter(|_| gumbel(rng) + libm::log(3.0) > gumbel(rng)).count() as f64 / 20_000.0;
        assert!((share - 0.75).abs() < 0.01, "{share}");
    }
}
