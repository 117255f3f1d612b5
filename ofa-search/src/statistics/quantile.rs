//! Median and other quantiles.

/// The median of `values`: the middle one, or the mean of the two middle ones.
///
/// # Panics
///
/// If `values` is empty.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut ascending: Vec<f64> = values.into_iter().collect();
    ascending.sort_by(f64::total_cmp);
    quantile(&ascending, 0.5)
}

/// The `q`-quantile of ascending values, linearly interpolated.
///
/// # Panics
///
/// If `ascending` is empty or `q` is outside `[0, 1]`.
pub fn quantile(ascending: &[f64], q: f64) -> f64 {
    assert!(!ascending.is_empty(), "no values to take a quantile of");
    assert!((0.0..=1.0).contains(&q), "quantile {q} is not in [0, 1]");
    let position = q * (ascending.len() - 1) as f64;
    let (below, above) = (ascending[position.floor() as usize], ascending[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers_of_values() {
        assert_eq!(median([5.0, -1.0, 3.0]), 3.0);
        assert_eq!(median([4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!(median([7.0]), 7.0);
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let ascending = [10.0, 20.0, 30.0];
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|q| quantile(&ascending, q)), [10.0, 15.0, 20.0, 30.0]);
    }
}
