//! The numbers of committed ablations follow from their cells. They are recomputed here, with code independent of the
//! report's.

use experiments::ablation::{CellRecord, LadderFindings};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Student's 0.975 quantiles for 1 to 4 degrees of freedom.
const T: [f64; 4] = [12.706_204_736, 4.302_652_730, 3.182_446_305, 2.776_445_105];

fn record(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("records").join(name)
}

/// Test top-1 by corner of a complete cell; `None` if it is not complete.
fn corners(cell: &Path) -> Option<BTreeMap<String, f64>> {
    let made: CellRecord = serde_json::from_str(&fs::read_to_string(cell.join("cell.json")).ok()?).unwrap();
    assert!(made.first_steps.is_some() && made.diverged.is_none());
    let mut rows = csv::Reader::from_path(cell.join("subnets.csv")).unwrap();
    let headings = rows.headers().unwrap().clone();
    let column = |name: &str| headings.iter().position(|heading| heading == name).unwrap();
    let (corner, top1, right) = (column("corner"), column("test_top1"), column("right"));
    let found = rows.records().map(Result::unwrap).filter(|row| !row[corner].is_empty()).map(|row| {
        // Every accuracy is the share of set bits.
        let ones: u32 = row[right].chars().map(|digit| digit.to_digit(16).unwrap().count_ones()).sum();
        let top1: f64 = row[top1].parse().unwrap();
        assert!((f64::from(ones) / 10_000.0 - top1).abs() < 1e-9, "{}", cell.display());
        (row[corner].to_owned(), top1)
    });
    Some(found.collect())
}

/// Mean, and ends of the 95 % interval if there are at least two values.
fn student(values: &[f64]) -> (f64, Option<[f64; 2]>) {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    if n < 2 {
        return (mean, None);
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let half = T[n - 2] * (variance / n as f64).sqrt();
    (mean, Some([mean - half, mean + half]))
}

fn agrees(gap: &experiments::ablation::Gap, values: &[f64], what: &str) {
    let (mean, ends) = student(values);
    assert!((gap.mean - mean).abs() < 1e-9, "{what}: {gap:?}, recomputed {mean}");
    let found = gap.interval.map(|interval| [interval.low, interval.high]);
    for (found, expected) in found.into_iter().flatten().zip(ends.into_iter().flatten()) {
        assert!((found - expected).abs() < 1e-6, "{what}: {gap:?}, recomputed {ends:?}");
    }
    assert_eq!(found.is_some(), ends.is_some(), "{what}");
}

#[test]
fn the_ladders_findings_follow_from_its_cells() {
    let root = record("2026-11-30-shrinking");
    let findings: LadderFindings =
        serde_json::from_str(&fs::read_to_string(root.join("findings.json")).unwrap()).unwrap();
    let mut judged = 0;
    for at in &findings.budgets {
        let cell = |arm: &str, seed: u64| corners(&root.join(&at.name).join(format!("cells/{arm}/seed-{seed}")));
        for judgement in &at.judgements {
            let contrast = &judgement.contrast;
            let (mut gaps, mut shares) = (Vec::new(), Vec::new());
            for &seed in &at.seeds {
                let (Some(a), Some(b)) = (cell(&contrast.treatment, seed), cell(&contrast.control, seed)) else {
                    assert!(contrast.missing.contains(&seed), "seed {seed} is complete");
                    continue;
                };
                assert_eq!((a.len(), b.len()), (8, 8));
                let gap = a.iter().map(|(corner, top1)| top1 - b[corner]).sum::<f64>() / 8.0;
                gaps.push(gap);
                shares.push(gap / (1.0 - b.values().sum::<f64>() / 8.0));
            }
            agrees(&contrast.gap, &gaps, &format!("gap at {}", at.name));
            agrees(contrast.error_reduction.as_ref().unwrap(), &shares, &format!("error reduction at {}", at.name));
            judged += 1;
        }
        for alone in &at.alone {
            let gaps = alone.seeds.iter().map(|&seed| {
                let of_arm = cell(&alone.arm, seed).unwrap();
                let of_corners = alone.corners.iter().map(|corner| {
                    let name = format!("independent_{}", corner.corner.to_lowercase().replace(' ', ""));
                    of_arm[&corner.corner] - cell(&name, seed).unwrap()[&corner.corner]
                });
                of_corners.sum::<f64>() / alone.corners.len() as f64
            });
            agrees(&alone.gap, &gaps.collect::<Vec<_>>(), &format!("{} alone at {}", alone.arm, at.name));
        }
        for arm in at.arms.iter().filter(|arm| arm.trains_all) {
            let means = at.seeds.iter().filter_map(|&seed| Some(cell(&arm.arm, seed)?.values().sum::<f64>() / 8.0));
            agrees(&arm.mean_top1, &means.collect::<Vec<_>>(), &format!("{} at {}", arm.arm, at.name));
        }
    }
    assert!(judged > 0);
    let report = fs::read_to_string(root.join("report.md")).unwrap();
    for at in &findings.budgets {
        for judgement in at.judgements.iter().filter(|judgement| judgement.verdict.is_some()) {
            let gap = format!("{:+.2}", 100.0 * judgement.contrast.gap.mean);
            let verdict = judgement.verdict.unwrap().to_string();
            assert!(report.contains(&gap) && report.contains(&verdict), "{gap} {verdict}");
        }
    }
}
