//! Verdicts judged together: several treatments at several budgets share one error rate.

use super::config::AblationConfig;
use super::statistics::holm;
use super::verdict::{Contrast, Verdict};
use serde::{Deserialize, Serialize};

/// The rule applied to one treatment and control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The two arms compared.
    pub contrast: Contrast,
    /// p-value of the gap, adjusted for the number of verdicts (Holm).
    pub adjusted_p: Option<f64>,
    /// The verdict; absent until all seeds are complete.
    pub verdict: Option<Verdict>,
}

impl Judgement {
    /// A contrast that is not judged yet.
    pub(super) fn of(contrast: Contrast) -> Self {
        Self { contrast, adjusted_p: None, verdict: None }
    }
}

/// Adjusts the p-values of all judgements for `verdicts` verdicts, including those still to come, and judges.
pub(super) fn judge(mut judgements: Vec<(&mut Judgement, &AblationConfig)>, verdicts: usize) {
    let found: Vec<usize> = (0..judgements.len()).filter(|&i| judgements[i].0.contrast.gap.p.is_some()).collect();
    let mut p: Vec<f64> = found.iter().filter_map(|&i| judgements[i].0.contrast.gap.p).collect();
    // A verdict still to come counts as the least significant.
    p.resize(verdicts.max(p.len()), 1.0);
    for (i, adjusted) in found.into_iter().zip(holm(&p)) {
        judgements[i].0.adjusted_p = Some(adjusted);
    }
    for (judgement, config) in judgements {
        judgement.verdict = judgement.contrast.verdict(config, judgement.adjusted_p);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::testing::{ablation, cells};

    #[test]
    fn verdicts_that_are_still_to_come_count() {
        let config = ablation();
        let contrast = Contrast::of(&config, &cells(&config, 0.05), "progressive", "none").unwrap();
        let p = contrast.gap.p.unwrap();
        for (verdicts, expected) in [(1, Verdict::Reproduced), ((0.05 / p) as usize + 1, Verdict::Undecided)] {
            let mut judgement = Judgement::of(contrast.clone());
            judge(vec![(&mut judgement, &config)], verdicts);
            assert_eq!(judgement.adjusted_p, Some((p * verdicts as f64).min(1.0)));
            assert_eq!(judgement.verdict, Some(expected), "{verdicts} {p}");
        }
    }
}
