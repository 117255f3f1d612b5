//! Verdicts: what the numbers say under the rule that was fixed before them.

use super::bins::{BinGap, bin_gaps};
use super::config::{AblationConfig, Criteria};
use super::known::Cells;
use super::record::DoneCell;
use super::statistics::{Gap, Interval, bootstrap, holm};
use serde::{Deserialize, Serialize};
use strum::Display;

/// Coverage of the interval that decides whether arms are equivalent: two one-sided tests at 5 %.
const NARROW: f64 = 0.9;

/// Outcome of the rule for a contrast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    /// The treatment is better by at least what the rule requires.
    Reproduced,
    /// The treatment is better, but by less.
    #[strum(to_string = "direction only")]
    DirectionOnly,
    /// The control is better.
    Reversed,
    /// Any difference lies within the margin of equivalence.
    Equivalent,
    /// The seeds do not decide it.
    Undecided,
    /// The treatment is not better; only under the rule of the first record, which distinguishes no further.
    #[strum(to_string = "not reproduced at this scale")]
    NotReproduced,
}

/// Two arms compared over the seeds that both have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// The arm claimed to be better.
    pub treatment: String,
    /// The arm it is compared with.
    pub control: String,
    /// Seeds that both arms have.
    pub seeds: Vec<u64>,
    /// Configured seeds that either arm lacks.
    pub missing: Vec<u64>,
    /// Mean difference of test top-1 over the corners that both report, with Student's interval over seeds.
    pub gap: Gap,
    /// The 90 % interval of the same difference, which decides whether the arms are equivalent.
    #[serde(default)]
    pub narrow: Option<Interval>,
    /// The same difference as a share of the control's mean error over these corners, computed per seed.
    #[serde(default)]
    pub error_reduction: Option<Gap>,
    /// Bootstrap interval of the same mean over seeds and test images.
    pub bootstrap: Option<Interval>,
    /// p-value adjusted for the number of contrasts, not counting the primary one (Holm).
    pub adjusted_p: Option<f64>,
    /// Gap of each corner.
    pub corners: Vec<CornerGap>,
    /// Gaps of the random subnets, binned from few MACs to many.
    pub bins: Vec<BinGap>,
}

/// Gap of one corner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CornerGap {
    /// Name of the corner.
    pub corner: String,
    /// Difference of its test top-1, treatment minus control.
    pub gap: Gap,
    /// p-value adjusted for the number of corners (Holm).
    pub adjusted_p: Option<f64>,
}

impl Contrast {
    /// Compares two arms; `None` if they have no seed or no reported corner in common.
    pub fn of(config: &AblationConfig, cells: &Cells, treatment: &str, control: &str) -> Option<Self> {
        let cell = |arm: &str, seed: &u64| cells.get(&(arm.to_owned(), *seed));
        let both = |seed: &u64| Some((cell(treatment, seed)?, cell(control, seed)?));
        let of_arm = |name: &str| config.arm(name).map_or(&[][..], |arm| config.seeds_of(arm));
        let asked = of_arm(treatment).iter().filter(|seed| of_arm(control).contains(seed));
        let (seeds, missing): (Vec<u64>, Vec<u64>) = asked.partition(|seed| both(seed).is_some());
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
        let errors = pairs.iter().map(|(_, b)| mean(names.iter().map(|name| 1.0 - b.test_top1(name))));
        let reductions: Vec<f64> = means.iter().zip(errors).map(|(gap, error)| gap / error).collect();
        let by_image: Vec<Vec<f32>> = pairs.iter().map(|(a, b)| image_gaps(a, b, &names)).collect();
        Some(Self {
            treatment: treatment.into(),
            control: control.into(),
            gap: Gap::of(&means, confidence),
            narrow: Gap::of(&means, NARROW).interval,
            error_reduction: Some(Gap::of(&reductions, confidence)),
            bootstrap: bootstrap(&by_image, config.rule.bootstrap, confidence),
            adjusted_p: None,
            corners: adjusted(&names, gaps),
            bins: bin_gaps(&pairs, confidence),
            seeds,
            missing,
        })
    }

    /// Verdict under the rule of `config`; `adjusted_p` is the p-value adjusted for the number of verdicts. `None`
    /// while a configured seed is missing, because missing seeds must not be averaged away, and with a single seed,
    /// which says nothing about others.
    pub fn verdict(&self, config: &AblationConfig, adjusted_p: Option<f64>) -> Option<Verdict> {
        match (config.rule.criteria, config.rule.margin) {
            (Some(criteria), _) => {
                let interval = self.complete(self.gap.interval)?;
                Some(self.by_seeds(interval, adjusted_p? < 1.0 - config.rule.confidence, criteria))
            }
            (None, margin) => self.by_margin(self.bootstrap, margin?),
        }
    }

    /// Verdict of the first record's rule with Student's interval over seeds instead of the bootstrap interval; it
    /// shows how much the verdict depends on the interval. `None` under newer rules, which use Student's interval
    /// anyway.
    pub fn students_verdict(&self, config: &AblationConfig) -> Option<Verdict> {
        self.by_margin(self.gap.interval, config.rule.margin?)
    }

    fn by_seeds(&self, interval: Interval, significant: bool, criteria: Criteria) -> Verdict {
        let reduction = self.error_reduction.map_or(0.0, |reduction| reduction.mean);
        let small = |Interval { low, high }: Interval| low >= -criteria.equivalence && high <= criteria.equivalence;
        match () {
            () if interval.low > 0.0 && significant && reduction >= criteria.error_reduction => Verdict::Reproduced,
            () if interval.low > 0.0 && significant => Verdict::DirectionOnly,
            () if interval.high < 0.0 && significant => Verdict::Reversed,
            () if self.narrow.is_some_and(small) => Verdict::Equivalent,
            () => Verdict::Undecided,
        }
    }

    fn by_margin(&self, interval: Option<Interval>, margin: f64) -> Option<Verdict> {
        Some(match (self.complete(interval)?.low > 0.0, self.gap.mean >= margin) {
            (true, true) => Verdict::Reproduced,
            (true, false) => Verdict::DirectionOnly,
            (false, _) => Verdict::NotReproduced,
        })
    }

    /// The interval, if no seed is missing and there are at least two.
    fn complete(&self, interval: Option<Interval>) -> Option<Interval> {
        interval.filter(|_| self.missing.is_empty() && self.seeds.len() > 1)
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

/// Adjusts the p-values of several contrasts (Holm); those without one are skipped.
pub(super) fn adjust(contrasts: &mut [Contrast]) {
    let tested: Vec<usize> = (0..contrasts.len()).filter(|&i| contrasts[i].gap.p.is_some()).collect();
    let p: Vec<f64> = tested.iter().filter_map(|&i| contrasts[i].gap.p).collect();
    for (i, adjusted) in tested.into_iter().zip(holm(&p)) {
        contrasts[i].adjusted_p = Some(adjusted);
    }
}

/// For every image, the gain of the first cell over the second, averaged over corners.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::testing::{ablation, cells};

    fn contrast_of(gap: f64) -> Contrast {
        let config = ablation();
        let contrast = Contrast::of(&config, &cells(&config, gap), "progressive", "none").unwrap();
        assert!((contrast.gap.mean - gap).abs() < 2e-3, "{contrast:?}");
        assert_eq!(contrast.corners.len(), 8);
        contrast
    }

    /// The rule of the first record.
    fn by_margin() -> AblationConfig {
        let mut config = ablation();
        (config.rule.criteria, config.rule.margin) = (None, Some(0.014));
        config
    }

    #[test]
    fn the_verdict_follows_from_the_rule_of_the_first_record() {
        let config = by_margin();
        for (gap, expected) in
            [(0.05, Verdict::Reproduced), (0.005, Verdict::DirectionOnly), (-0.02, Verdict::NotReproduced)]
        {
            assert_eq!(contrast_of(gap).verdict(&config, None), Some(expected), "{gap}");
        }
        assert_eq!(contrast_of(0.05).students_verdict(&config), Some(Verdict::Reproduced));
    }

    #[test]
    fn the_verdict_follows_from_the_criteria() {
        let config = ablation();
        let contrast = |mean: f64, half: f64, reduction: f64| {
            let interval = Some(Interval { low: mean - half, high: mean + half });
            Contrast {
                gap: Gap { mean, interval, p: Some(0.01) },
                narrow: Some(Interval { low: mean - 0.6 * half, high: mean + 0.6 * half }),
                error_reduction: Some(Gap { mean: reduction, interval: None, p: None }),
                ..contrast_of(0.0)
            }
        };
        let cases = [
            (contrast(0.006, 0.003, 0.06), 0.04, Verdict::Reproduced),
            (contrast(0.006, 0.003, 0.06), 0.06, Verdict::Undecided),
            (contrast(0.004, 0.003, 0.04), 0.04, Verdict::DirectionOnly),
            (contrast(-0.004, 0.003, -0.04), 0.04, Verdict::Reversed),
            (contrast(-0.004, 0.003, -0.04), 0.06, Verdict::Undecided),
            (contrast(0.0005, 0.004, 0.01), 0.5, Verdict::Equivalent),
            (contrast(0.0005, 0.006, 0.01), 0.5, Verdict::Undecided),
        ];
        for (contrast, p, expected) in cases {
            assert_eq!(contrast.verdict(&config, Some(p)), Some(expected), "{contrast:?}");
        }
        assert_eq!(contrast_of(0.05).verdict(&config, None), None, "one seed has no p-value");
    }

    #[test]
    fn a_gap_is_also_a_share_of_the_controls_errors() {
        let reduction = contrast_of(0.05).error_reduction.unwrap();
        assert!((reduction.mean - 0.25).abs() < 0.01, "{reduction:?}");
        let narrow = contrast_of(0.05).narrow.unwrap();
        let wide = contrast_of(0.05).gap.interval.unwrap();
        assert!(wide.low < narrow.low && narrow.high < wide.high);
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
        assert_eq!(contrast.verdict(&config, contrast.gap.p), None);
        assert_eq!(Contrast::of(&config, &Cells::new(), "progressive", "none"), None);
    }
}
