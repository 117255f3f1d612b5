//! [`InterpolatedAccuracy`]: measured accuracies, interpolated between measured resolutions.

use crate::cost::AdditiveCost;
use crate::{AccuracyRow, AccuracyTable, Predictor, SearchError};
use ofa_model::{Arch, SearchSpace, StageArch};
use std::collections::HashMap;

/// The accuracies of a table, interpolated between two measured resolutions of a network linearly in MACs. The paper's
/// first version fills in unmeasured resolutions this way (preprint, section 3.4).
///
/// Nothing is extrapolated: a network has accuracies only from its lowest to its highest measured resolution.
#[derive(Clone, Debug)]
pub struct InterpolatedAccuracy<'a> {
    table: &'a AccuracyTable,
    resolutions: Vec<usize>,
    macs: AdditiveCost,
    /// Rows of each network, by ascending resolution.
    networks: HashMap<&'a [StageArch], Vec<&'a AccuracyRow>>,
    /// The networks in table order.
    order: Vec<&'a [StageArch]>,
}

impl<'a> InterpolatedAccuracy<'a> {
    /// Interpolates `table` at the resolutions of `space`. This must be the space of the table, but may offer
    /// resolutions between the measured ones.
    pub fn new(table: &'a AccuracyTable, space: &SearchSpace) -> Self {
        let mut networks: HashMap<&[StageArch], Vec<&AccuracyRow>> = HashMap::new();
        let mut order = Vec::new();
        for row in table.rows() {
            let rows = networks.entry(&row.arch.stages).or_default();
            if rows.is_empty() {
                order.push(row.arch.stages.as_slice());
            }
            rows.push(row);
        }
        networks.values_mut().for_each(|rows| rows.sort_by_key(|row| row.arch.resolution));
        Self { table, resolutions: space.resolutions.clone(), macs: AdditiveCost::macs(space), networks, order }
    }

    /// Top-1 accuracy of `arch`. `None` unless its network was measured at this resolution, or both below and above it.
    ///
    /// # Panics
    ///
    /// If `arch` lies between two measured resolutions and is outside the space.
    pub fn get(&self, arch: &Arch) -> Option<f64> {
        let rows = self.networks.get(arch.stages.as_slice())?;
        let above = rows.partition_point(|row| row.arch.resolution < arch.resolution);
        let high = rows.get(above)?;
        if high.arch.resolution == arch.resolution {
            return Some(high.top1);
        }
        let low = rows[above.checked_sub(1)?];
        let (from, to) = (low.macs as f64, high.macs as f64);
        Some(low.top1 + (high.top1 - low.top1) * (self.macs.of(arch) - from) / (to - from))
    }

    /// The most accurate arch whose cost is at most `limit`, with its accuracy, among all networks at the resolutions
    /// of the space; of two equally accurate ones, the cheaper. `None` if none is cheap enough.
    pub fn best_under(&self, limit: f64, cost: impl Fn(&Arch) -> f64) -> Option<(Arch, f64)> {
        let mut best: Option<(Arch, f64, f64)> = None;
        for stages in &self.order {
            for &resolution in &self.resolutions {
                let arch = Arch { resolution, stages: stages.to_vec() };
                let Some(top1) = self.get(&arch) else { continue };
                let cost = cost(&arch);
                let improves =
                    |&(_, known, known_cost): &(Arch, f64, f64)| top1 > known || top1 == known && cost < known_cost;
                if cost <= limit && best.as_ref().is_none_or(improves) {
                    best = Some((arch, top1, cost));
                }
            }
        }
        best.map(|(arch, top1, _)| (arch, top1))
    }
}

impl Predictor for InterpolatedAccuracy<'_> {
    /// # Errors
    ///
    /// [`SearchError::NotInTable`] for an arch that was neither measured nor lies between two measured resolutions.
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError> {
        let missing = |arch: &Arch| SearchError::NotInTable { arch: arch.to_string(), rows: self.table.rows().len() };
        archs.iter().map(|arch| self.get(arch).ok_or_else(|| missing(arch))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{accuracy_header, tiny_space};
    use std::convert::Infallible;

    /// Two networks at 8 and 12 pixels, a third at 8 only. The space also offers 10 pixels.
    fn table(space: &SearchSpace) -> AccuracyTable {
        let accuracies = [("r8-k3e3", 0.5), ("r12-k3e3", 0.7), ("r12-k5e6", 0.8), ("r8-k5e6", 0.6), ("r8-k5e3", 0.4)];
        let archs = accuracies.map(|(text, _)| text.parse().unwrap());
        let top1 = |arch: &Arch| accuracies.iter().find(|(text, _)| arch.to_string() == *text).unwrap().1;
        let dir = tempfile::tempdir().unwrap();
        let measure = |arch: &Arch| Ok::<_, Infallible>(top1(arch));
        let path = dir.path().join("accuracy.csv");
        AccuracyTable::measure(&path, &accuracy_header(space), space, &archs, measure, |_, _, _| ()).unwrap()
    }

    fn finer_space() -> SearchSpace {
        SearchSpace { resolutions: vec![8, 10, 12], ..tiny_space() }
    }

    #[test]
    fn between_measured_resolutions_accuracy_is_linear_in_macs() {
        let space = finer_space();
        let table = table(&space);
        let interpolated = InterpolatedAccuracy::new(&table, &space);
        let get = |text: &str| interpolated.get(&text.parse().unwrap());
        assert_eq!(
            [get("r8-k3e3"), get("r12-k5e6"), get("r10-k5e3"), get("r10-k3e6")],
            [Some(0.5), Some(0.8), None, None]
        );
        let macs = |text: &str| space.cost(&text.parse().unwrap()).macs as f64;
        let share = (macs("r10-k3e3") - macs("r8-k3e3")) / (macs("r12-k3e3") - macs("r8-k3e3"));
        assert!((get("r10-k3e3").unwrap() - (0.5 + 0.2 * share)).abs() < 1e-12 && (0.2..0.8).contains(&share));
        let error = interpolated.predict(&["r10-k5e3".parse().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("`r10-k5e3` is not in the accuracy table of 5 rows"), "{error}");
    }

    #[test]
    fn look_up_takes_resolutions_between() {
        let space = finer_space();
        let table = table(&space);
        let interpolated = InterpolatedAccuracy::new(&table, &space);
        let resolution = |arch: &Arch| arch.resolution as f64;
        let best = |limit| interpolated.best_under(limit, resolution).map(|(arch, _)| arch.to_string());
        assert_eq!(best(12.0).as_deref(), Some("r12-k5e6"));
        assert_eq!(best(11.0).as_deref(), Some("r10-k5e6"));
        assert_eq!(best(7.0), None);
        assert_eq!(table.best_under(11.0, resolution).unwrap().arch.to_string(), "r8-k5e6");
    }
}
