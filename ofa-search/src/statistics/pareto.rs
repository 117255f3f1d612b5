//! Pareto fronts of cost against score, and their hypervolume.

/// Indices of the Pareto-optimal `(cost, score)` points, by ascending cost.
///
/// A point beats another if it costs no more, scores no less, and differs in at least one. Only the first of equal
/// points is kept. Points with a NaN are skipped.
///
/// ```
/// let front = ofa_search::statistics::pareto_front(&[(3.0, 0.9), (1.0, 0.5), (2.0, 0.4), (4.0, 0.9)]);
/// assert_eq!(front, [1, 0]);
/// ```
pub fn pareto_front(points: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).filter(|&i| !points[i].0.is_nan() && !points[i].1.is_nan()).collect();
    order.sort_by(|&i, &j| points[i].0.total_cmp(&points[j].0).then(points[j].1.total_cmp(&points[i].1)));
    let mut best = None;
    order.retain(|&i| {
        let improves = best.is_none_or(|best| points[i].1 > best);
        if improves {
            best = Some(points[i].1);
        }
        improves
    });
    order
}

/// Area of the (cost, score) region that the points dominate, bounded by a reference point `(cost, score)` with higher
/// cost and lower score (Zitzler and Thiele, 1998). Larger is better. Compares whole fronts by one number.
///
/// ```
/// assert_eq!(ofa_search::statistics::hypervolume(&[(1.0, 0.5), (3.0, 0.75)], (4.0, 0.25)), 2.0 * 0.25 + 1.0 * 0.5);
/// ```
pub fn hypervolume(points: &[(f64, f64)], (most_cost, least_score): (f64, f64)) -> f64 {
    let inside: Vec<_> =
        points.iter().copied().filter(|&(cost, score)| cost < most_cost && score > least_score).collect();
    let front: Vec<_> = pareto_front(&inside).into_iter().map(|i| inside[i]).collect();
    let ends = front.iter().skip(1).map(|next| next.0).chain([most_cost]);
    front.iter().zip(ends).map(|(&(cost, score), end)| (end - cost) * (score - least_score)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn points_beyond_the_reference_reach_nothing() {
        let reference = (4.0, 0.0);
        assert_eq!(hypervolume(&[(4.0, 9.0), (1.0, -1.0), (f64::NAN, 1.0)], reference), 0.0);
        assert_eq!(hypervolume(&[(1.0, 2.0), (5.0, 9.0)], reference), 6.0);
    }

    #[test]
    fn equal_points_are_represented_once() {
        assert_eq!(pareto_front(&[(1.0, 1.0), (1.0, 1.0), (1.0, 0.5)]), [0]);
        assert_eq!(pareto_front(&[(f64::NAN, 9.0), (1.0, f64::NAN)]), [0usize; 0]);
    }

    proptest! {
        #[test]
        fn the_front_is_exactly_the_unbeaten_points(
            points in proptest::collection::vec((0u8..12, 0u8..12), 0..40)
        ) {
            let points: Vec<(f64, f64)> = points.iter().map(|&(c, s)| (c.into(), s.into())).collect();
            let front = pareto_front(&points);
            let beats = |a: (f64, f64), b: (f64, f64)| a.0 <= b.0 && a.1 >= b.1 && a != b;
            for (i, &point) in points.iter().enumerate() {
                let unbeaten = !points.iter().any(|&other| beats(other, point));
                let first = points.iter().position(|&other| other == point) == Some(i);
                prop_assert_eq!(front.contains(&i), unbeaten && first);
            }
            prop_assert!(front.windows(2).all(|pair| points[pair[0]].0 < points[pair[1]].0));
        }

        #[test]
        fn the_hypervolume_is_the_number_of_reached_cells(
            points in proptest::collection::vec((0u8..12, 1u8..12), 0..20)
        ) {
            let reached = |cost: u8, score: u8| points.iter().any(|&(c, s)| c <= cost && s > score);
            let cells = (0..12).flat_map(|cost| (0..12).map(move |score| (cost, score)));
            let cells = cells.filter(|&(cost, score)| reached(cost, score)).count();
            let points: Vec<(f64, f64)> = points.iter().map(|&(c, s)| (c.into(), s.into())).collect();
            prop_assert_eq!(hypervolume(&points, (12.0, 0.0)), cells as f64);
        }
    }
}
