//! What the numbers say, by the rule that was written before them.

use super::bins::{BinGap, bin_gaps};
use super::config::AblationConfig;
use super::known::Cells;
use super::record::DoneCell;
use super::statistics::{Gap, Interval, bootstrap, holm};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the rule makes of a contrast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The treatment is better by at least the margin.
    Reproduced,
    /// The treatment is better, by less than the margin.
    DirectionOnly,
    /// The treatment is not better.
    NotReproduced,
}

/// Two arms compared over the seeds that both have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// The arm that is claimed to be better.
    pub treatment: String,
    /// The arm it is compared with.
    pub control: String,
    /// Seeds that both arms have.
    pub seeds: Vec<u64>,
    /// Configured seeds that one of them lacks.
    pub missing: Vec<u64>,
    /// Mean difference of test top-1 over the corners that both report, with Student's interval over seeds.
    pub gap: Gap,
    /// Interval of the same mean over seeds and test images.
    pub bootstrap: Option<Interval>,
    /// p-value adjusted for the number of contrasts besides the primary one (Holm).
    pub adjusted_p: Option<f64>,
    /// The corners one by one.
    pub corners: Vec<CornerGap>,
    /// The random subnets, from few MACs to many.
    pub bins: Vec<BinGap>,
}

/// One corner of a contrast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CornerGap {
    /// Its name.
    pub corner: String,
    /// Difference of its test top-1.
    pub gap: Gap,
    /// p-value adjusted for the number of corners (Holm).
    pub adjusted_p: Option<f64>,
}

impl Contrast {
    /// Compares two arms; `None` if there is no seed that both have, or no corner that both report.
    pub fn of(config: &AblationConfig, cells: &Cells, treatment: &str, control: &str) -> Option<Self> {
        let cell = |arm: &str, seed: &u64| cells.get(&(arm.to_owned(), *seed));
        let both = |seed: &u64| Some((cell(treatment, seed)?, cell(control, seed)?));
        let (seeds, missing): (Vec<u64>, Vec<u64>) = config.seeds.iter().partition(|seed| both(seed).is_some());
        let pairs: Vec<(&DoneCell, &DoneCell)> = seeds.iter().filter_map(both).collect();
        let (first, other) = pairs.first()?;
        let names: Vec<&str> = first.corner_names().filter(|name| other.corner(name).is_some()).collect();
        if names.is_empty() {
            return None;
        }
        let confidence = config.rule.confidence;
        let differences: Vec<Vec<f64>> = names
            .iter()
            .map(|name| pairs.iter().map(|(a, b)| a.test_top1(name) - b.test_top1(name)).collect())
            .collect();
        let gaps: Vec<Gap> = differences.iter().map(|of_corner| Gap::of(of_corner, confidence)).collect();
        let means: Vec<f64> = (0..pairs.len())
            .map(|i| differences.iter().map(|of_corner| of_corner[i]).sum::<f64>() / names.len() as f64)
            .collect();
        let by_image: Vec<Vec<f32>> = pairs.iter().map(|(a, b)| image_gaps(a, b, &names)).collect();
        Some(Self {
            treatment: treatment.into(),
            control: control.into(),
            gap: Gap::of(&means, confidence),
            bootstrap: bootstrap(&by_image, config.rule.bootstrap, confidence),
            adjusted_p: None,
            corners: adjusted(&names, gaps),
            bins: bin_gaps(&pairs, confidence),
            seeds,
            missing,
        })
    }

    /// What the rule of `config` makes of it; `None` while a configured seed is missing, since seeds are not to be
    /// averaged away, and with one seed alone, which says nothing of others.
    pub fn verdict(&self, config: &AblationConfig) -> Option<Verdict> {
        self.verdict_by(self.bootstrap, config)
    }

    /// What the rule would make of it with Student's interval over seeds in place of the bootstrap's: how much the
    /// verdict hangs on the interval.
    pub fn students_verdict(&self, config: &AblationConfig) -> Option<Verdict> {
        self.verdict_by(self.gap.interval, config)
    }

    fn verdict_by(&self, interval: Option<Interval>, config: &AblationConfig) -> Option<Verdict> {
        let interval = interval.filter(|_| self.missing.is_empty() && self.seeds.len() > 1)?;
        Some(match (interval.low > 0.0, self.gap.mean >= config.rule.margin) {
            (true, true) => Verdict::Reproduced,
            (true, false) => Verdict::DirectionOnly,
            (false, _) => Verdict::NotReproduced,
        })
    }
}

/// Adjusts the p-values of contrasts for being several; those without one are left out.
pub(super) fn adjust(contrasts: &mut [Contrast]) {
    let tested: Vec<usize> = (0..contrasts.len()).filter(|&i| contrasts[i].gap.p.is_some()).collect();
    let p: Vec<f64> = tested.iter().filter_map(|&i| contrasts[i].gap.p).collect();
    for (i, adjusted) in tested.into_iter().zip(holm(&p)) {
        contrasts[i].adjusted_p = Some(adjusted);
    }
}

/// For every image, the mean over corners of what the first cell gains.
fn image_gaps(a: &DoneCell, b: &DoneCell, names: &[&str]) -> Vec<f32> {
    let mut gaps: Vec<f32> = Vec::new();
    for name in names {
        let (Some(a), Some(b)) = (a.corner(name), b.corner(name)) else { continue };
        let (a, b) = (a.right(), b.right());
        gaps.resize(a.len(), 0.0);
        for ((gap, a), b) in gaps.iter_mut().zip(a).zip(b) {
            *gap += (f32::from(u8::from(a)) - f32::from(u8::from(b))) / names.len() as f32;
        }
    }
    gaps
}

fn adjusted(names: &[&str], gaps: Vec<Gap>) -> Vec<CornerGap> {
    let p: Option<Vec<f64>> = gaps.iter().map(|gap| gap.p).collect();
    let adjusted = p.map(|p| holm(&p));
    let corner = |(i, gap): (usize, Gap)| CornerGap {
        corner: names[i].to_owned(),
        gap,
        adjusted_p: adjusted.as_ref().map(|all| all[i]),
    };
    gaps.into_iter().enumerate().map(corner).collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Reproduced => "reproduced",
            Self::DirectionOnly => "direction only",
            Self::NotReproduced => "not reproduced at this scale",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::testing::{ablation, cells};

    #[test]
    fn the_verdict_follows_from_the_rule() {
        let config = ablation();
        let cases = [(0.05, Verdict::Reproduced), (0.005, Verdict::DirectionOnly), (-0.02, Verdict::NotReproduced)];
        for (gap, expected) in cases {
            let contrast = Contrast::of(&config, &cells(&config, gap), "progressive", "none").unwrap();
            assert!((contrast.gap.mean - gap).abs() < 2e-3, "{contrast:?}");
            assert_eq!(contrast.verdict(&config), Some(expected), "{contrast:?}");
            assert_eq!(contrast.corners.len(), 8);
        }
    }

    #[test]
    fn random_subnets_are_compared_in_bins_and_contrasts_are_adjusted() {
        let config = ablation();
        let contrast = Contrast::of(&config, &cells(&config, 0.05), "progressive", "none").unwrap();
        assert_eq!(contrast.bins.iter().map(|bin| bin.subnets).sum::<usize>(), config.reported.random);
        for pair in contrast.bins.windows(2) {
            assert!(pair[0].macs[1] <= pair[1].macs[0], "{contrast:?}");
        }
        assert!(contrast.bins.iter().all(|bin| (bin.gap.mean - 0.05).abs() < 2e-3), "{contrast:?}");
        assert_eq!(contrast.students_verdict(&config), Some(Verdict::Reproduced));
        let mut several = vec![contrast.clone(), contrast.clone()];
        several[1].gap.p = None;
        adjust(&mut several);
        assert_eq!((several[0].adjusted_p, several[1].adjusted_p), (contrast.gap.p, None));
    }

    #[test]
    fn a_missing_seed_is_reported_and_there_is_no_verdict() {
        let config = ablation();
        let mut found = cells(&config, 0.05);
        found.remove(&("none".to_owned(), config.seeds[1]));
        let contrast = Contrast::of(&config, &found, "progressive", "none").unwrap();
        assert_eq!(contrast.missing, [config.seeds[1]]);
        assert_eq!(contrast.verdict(&config), None);
        assert_eq!(Contrast::of(&config, &Cells::new(), "progressive", "none"), None);
    }
}
