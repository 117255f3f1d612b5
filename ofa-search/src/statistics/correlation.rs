//! Agreement between predicted and measured values.

/// Root mean squared error. NaN if the slices are empty.
///
/// # Panics
///
/// If the slices differ in length.
pub fn rmse(predicted: &[f64], measured: &[f64]) -> f64 {
    assert_eq!(predicted.len(), measured.len(), "predicted and measured values differ in number");
    let squares: f64 = predicted.iter().zip(measured).map(|(p, m)| (p - m).powi(2)).sum();
    (squares / predicted.len() as f64).sqrt()
}

/// Kendall's tau-b: concordant minus discordant pairs, normalised with ties discounted. 1 for the same ranking, -1 for
/// the reverse, about 0 for unrelated rankings, NaN if either slice is constant.
///
/// # Panics
///
/// If the slices differ in length.
pub fn kendall_tau(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "slices to compare differ in length");
    let (mut agreement, mut untied_a, mut untied_b) = (0i64, 0i64, 0i64);
    for i in 0..a.len() {
        for j in 0..i {
            let (da, db) = (order(a[i], a[j]), order(b[i], b[j]));
            agreement += da * db;
            untied_a += da * da;
            untied_b += db * db;
        }
    }
    agreement as f64 / ((untied_a as f64) * (untied_b as f64)).sqrt()
}

fn order(x: f64, y: f64) -> i64 {
    i64::from(x > y) - i64::from(x < y)
}

/// Spearman's rho: the Pearson correlation of the ranks, where ties get their mean rank. NaN if either slice is
/// constant.
///
/// # Panics
///
/// If the slices differ in length.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "slices to compare differ in length");
    let (a, b) = (ranks(a), ranks(b));
    // The mean rank is (n - 1) / 2, with or without ties.
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let covariance = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    covariance(&a, &b) / (covariance(&a, &a) * covariance(&b, &b)).sqrt()
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for tied in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let mean = start as f64 + (tied.len() - 1) as f64 / 2.0;
        tied.iter().for_each(|&i| ranks[i] = mean);
        start += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn same_and_opposite_rankings() {
        let a = [1.0, 2.0, 3.0, 4.0];
        let b = [10.0, 20.0, 25.0, 90.0];
        let c = [9.0, 3.0, 2.0, 1.0];
        for correlation in [kendall_tau, spearman] {
            close(correlation(&a, &b), 1.0);
            close(correlation(&a, &c), -1.0);
            assert!(correlation(&a, &[5.0; 4]).is_nan());
        }
    }

    #[test]
    fn ties_worked_out_by_hand() {
        let a = [1.0, 2.0, 2.0, 3.0, 4.0];
        let b = [2.0, 1.0, 3.0, 3.0, 5.0];
        // 7 pairs agree, 1 disagrees, and each slice has one tie.
        close(kendall_tau(&a, &b), (7.0 - 1.0) / 9.0);
        // Ranks 0, 1.5, 1.5, 3, 4 and 1, 0, 2.5, 2.5, 4.
        close(spearman(&a, &b), 7.25 / 9.5);
    }

    #[test]
    fn rmse_of_known_differences() {
        close(rmse(&[1.0, 2.0], &[4.0, 6.0]), 12.5f64.sqrt());
    }
}
