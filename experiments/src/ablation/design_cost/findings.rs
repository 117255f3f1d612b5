//! [`DesignFindings`]: costs, accuracies and the verdict, from the records of cells.

use super::config::{DesignConfig, Designer, Method};
use super::curves::{Charged, CostCurve, CurveKind, Ratio};
use super::record::{DesignRecord, Designed, Spent};
use super::runner::DesignAblation;
use super::trials::{self, Trials};
use crate::run::images::Images;
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Numbers of scenarios at which ratios are reported.
pub(super) const SCENARIOS: [u32; 4] = [1, 5, 10, 40];

/// Everything the report says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignFindings {
    /// The question.
    pub question: String,
    /// One-line description of the images.
    pub images: String,
    /// Limits in milliseconds by target; empty without a complete cell.
    pub limits_ms: Vec<f64>,
    /// Complete cells and all cells, as text.
    pub progress: String,
    /// Number of scenarios at which ratios are judged.
    pub scenarios: u32,
    /// See [`DesignRule::tolerance`](super::DesignRule).
    pub tolerance: f64,
    /// OFA without and with fine-tuning; without complete cells, empty.
    pub ofa: Vec<CostCurve>,
    /// The others, in the order of the configuration.
    pub methods: Vec<MethodFindings>,
    /// Accuracy and latency at each target.
    pub networks: Vec<AtTarget>,
    /// What was tried for the rates of each method.
    pub trials: Vec<Trials>,
    /// Cells whose training diverged.
    pub diverged: Vec<String>,
    /// Machines and revisions of the cells.
    pub machines: Vec<String>,
}

/// What a method costs, and how its cost compares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodFindings {
    /// Name.
    pub method: String,
    /// Published ratio at 40 scenarios; `None` for controls.
    pub published: Option<f64>,
    /// Its charges at budget 1 and at equal accuracy; only those with complete cells.
    pub curves: Vec<CostCurve>,
    /// Ratios to plain OFA at several numbers of scenarios, by curve.
    pub ratios: Vec<Vec<Ratio>>,
    /// From how many scenarios on OFA is cheaper, by curve.
    pub break_even: Vec<Option<u32>>,
    /// What follows by the rule.
    pub verdict: DesignVerdict,
}

/// A verdict on one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesignVerdict {
    /// At equal accuracy, the ratio is at least the published one divided by the factor of the rule.
    AsPublished,
    /// OFA is cheaper, by less than that or, if the cost is a bound, by an unknown factor.
    Cheaper,
    /// OFA is not cheaper.
    NotCheaper,
    /// The cost is a bound, which does not say whether OFA is cheaper.
    Undecided,
    /// A control, without a published ratio.
    Control,
    /// Cells are missing.
    Open,
}

/// The networks of one method, budget and target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtTarget {
    /// Name of the method; `ofa` with how it was trained.
    pub method: String,
    /// Multiple of the configured lengths.
    pub budget: f64,
    /// Index of the target.
    pub target: usize,
    /// Number of seeds.
    pub seeds: usize,
    /// Mean latency by the table, in milliseconds.
    pub table_ms: f64,
    /// Mean measured latency, in milliseconds.
    pub measured_ms: f64,
    /// Mean validation top-1.
    pub validation_top1: f64,
    /// Mean test top-1.
    pub test_top1: f64,
    /// Smallest and largest test top-1.
    pub spread: [f64; 2],
    /// Mean charge for the network itself.
    pub charged: Charged,
    /// Largest peak memory of its cells, in MiB.
    pub peak_mib: Option<f64>,
    /// Whether it is as accurate as plain OFA at this target, by validation; `None` without OFA.
    pub is_enough: Option<bool>,
}

impl DesignAblation {
    /// Findings from all complete cells.
    ///
    /// # Errors
    ///
    /// If a cell or the latency table cannot be read.
    pub fn findings(&self) -> Result<DesignFindings> {
        let (records, trials) = (self.records()?, trials::all(self.config(), self.dir().root())?);
        let images = Images::load(&self.config().base, None)?.description;
        Ok(findings(self.config(), &records, trials, [images, self.progress()]))
    }
}

/// Findings from `records`.
fn findings(
    config: &DesignConfig,
    records: &[DesignRecord],
    trials: Vec<Trials>,
    [images, progress]: [String; 2],
) -> DesignFindings {
    let networks = at_targets(config, records);
    let tried = |name: &str| {
        trials.iter().find(|trials| trials.method == name).map(|trials| trials.charged).unwrap_or_default()
    };
    let ofa = ["plain", "fine_tuned"].into_iter().filter_map(|trained| of_ofa(records, trained));
    let ofa: Vec<CostCurve> = ofa.map(|curve| CostCurve { trials: tried(DesignConfig::OFA), ..curve }).collect();
    let methods = config.methods.iter().map(|method| {
        let curves = [proportions(method, records), iso_accuracy(config, method, records, &networks)];
        let with_trials = |curve| CostCurve { trials: tried(&method.name), ..curve };
        of_method(config, method, curves.into_iter().flatten().map(with_trials).collect(), ofa.first())
    });
    let mut machines: Vec<String> = records
        .iter()
        .map(|record| format!("{}, revision {}", record.machine.processor, record.machine.revision))
        .collect();
    machines.sort();
    machines.dedup();
    let limit =
        |target: usize| networks_of(records).find(|(_, network)| network.target == target && network.limit_ms > 0.0);
    let limits = (0..config.targets.len()).map_while(|target| Some(limit(target)?.1.limit_ms));
    let diverged = records.iter().filter_map(|record| {
        Some(format!(
            "{} at budget {}, seed {}: {}",
            record.method,
            record.budget,
            record.seed,
            record.diverged.as_ref()?
        ))
    });
    DesignFindings {
        question: config.question.clone(),
        images,
        limits_ms: limits.collect(),
        progress,
        scenarios: config.rule.scenarios,
        tolerance: config.rule.tolerance,
        methods: methods.collect(),
        trials,
        diverged: diverged.collect(),
        machines,
        networks,
        ofa,
    }
}

fn networks_of(records: &[DesignRecord]) -> impl Iterator<Item = (&DesignRecord, &Designed)> {
    records.iter().flat_map(|record| record.networks.iter().map(move |network| (record, network)))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// OFA's networks are named by how they were trained.
fn name(record: &DesignRecord, network: &Designed) -> String {
    if record.method == DesignConfig::OFA {
        format!("{} {}", record.method, network.trained)
    } else {
        record.method.clone()
    }
}

fn at_targets(config: &DesignConfig, records: &[DesignRecord]) -> Vec<AtTarget> {
    let mut places: Vec<(String, f64, usize)> = Vec::new();
    for (record, network) in networks_of(records) {
        let place = (name(record, network), record.budget, network.target);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let mut rows: Vec<AtTarget> = places.into_iter().map(|place| at_target(records, &place)).collect();
    let plain: Vec<(usize, f64)> = rows
        .iter()
        .filter(|row| row.method == format!("{} plain", DesignConfig::OFA))
        .map(|row| (row.target, row.validation_top1))
        .collect();
    for row in &mut rows {
        let ofa = plain.iter().find(|(target, _)| *target == row.target);
        row.is_enough = ofa.map(|(_, top1)| row.validation_top1 >= top1 - config.rule.tolerance);
    }
    rows
}

fn at_target(records: &[DesignRecord], place: &(String, f64, usize)) -> AtTarget {
    let (method, budget, target) = place.clone();
    let is_here = |(record, network): &(&DesignRecord, &Designed)| {
        (name(record, network), record.budget, network.target) == *place
    };
    let here: Vec<(&DesignRecord, &Designed)> = networks_of(records).filter(is_here).collect();
    let of = |value: fn(&Designed) -> f64| mean(here.iter().map(|(_, network)| value(network)));
    let extreme =
        |choose: fn(f64, f64) -> f64, from: f64| here.iter().map(|(_, network)| network.test_top1).fold(from, choose);
    let charged: Vec<Charged> = here.iter().map(|(_, network)| (network.search + network.training).into()).collect();
    AtTarget {
        method,
        budget,
        target,
        seeds: here.len(),
        table_ms: of(|network| network.table_ms),
        measured_ms: of(|network| network.measured_ms),
        validation_top1: of(|network| network.validation_top1),
        test_top1: of(|network| network.test_top1),
        spread: [extreme(f64::min, f64::INFINITY), extreme(f64::max, f64::NEG_INFINITY)],
        charged: Charged::mean(&charged),
        peak_mib: here.iter().filter_map(|(record, _)| record.peak_mib).reduce(f64::max),
        is_enough: None,
    }
}

/// The curve of OFA, whose networks are trained like this.
fn of_ofa(records: &[DesignRecord], trained: &str) -> Option<CostCurve> {
    let ours: Vec<&DesignRecord> = records.iter().filter(|record| record.method == DesignConfig::OFA).collect();
    let networks: Vec<(usize, Charged)> = (ours.iter().flat_map(|record| &record.networks))
        .filter(|network| network.trained == trained)
        .map(|network| (network.target, (network.search + network.training).into()))
        .collect();
    let once: Vec<Charged> =
        ours.iter().filter(|record| record.diverged.is_none()).map(|record| record.once.into()).collect();
    let curve = curve(&format!("{} {trained}", DesignConfig::OFA), CurveKind::Proportions, &networks)?;
    Some(CostCurve { once: Charged::mean(&once), ..curve })
}

/// The curve of networks, each with its target and charge: means over seeds, then over targets.
fn curve(method: &str, kind: CurveKind, networks: &[(usize, Charged)]) -> Option<CostCurve> {
    let mut targets: Vec<usize> = networks.iter().map(|(target, _)| *target).collect();
    targets.sort_unstable();
    targets.dedup();
    let of_target = |target: &usize| {
        let here: Vec<Charged> =
            networks.iter().filter(|(other, _)| other == target).map(|(_, charged)| *charged).collect();
        Charged::mean(&here)
    };
    let each: Vec<Charged> = targets.iter().map(of_target).collect();
    let extreme = |choose: fn(f64, f64) -> f64| each.iter().map(|charged| charged.tmacs).reduce(choose);
    Some(CostCurve {
        method: method.into(),
        kind,
        once: Charged::default(),
        trials: Charged::default(),
        each: Charged::mean(&each),
        spread: [extreme(f64::min)?, extreme(f64::max)?],
        scenarios: each.len(),
        is_bound: false,
        is_extrapolated: false,
    })
}

fn of_method(
    config: &DesignConfig,
    method: &Method,
    curves: Vec<CostCurve>,
    ofa: Option<&CostCurve>,
) -> MethodFindings {
    let compared =
        |ofa: &CostCurve| curves.iter().map(|curve| SCENARIOS.map(|n| curve.ratio(ofa, n)).to_vec()).collect();
    let judged = curves.iter().find(|curve| curve.kind == CurveKind::IsoAccuracy);
    let verdict = match (method.published, judged.zip(ofa)) {
        (None, _) => DesignVerdict::Control,
        (Some(_), None) => DesignVerdict::Open,
        (Some(published), Some((curve, ofa))) => {
            let ratio = curve.ratio(ofa, config.rule.scenarios).tmacs;
            if ratio >= published / config.rule.within_factor {
                DesignVerdict::AsPublished
            } else if ratio > 1.0 {
                DesignVerdict::Cheaper
            } else if curve.is_bound {
                DesignVerdict::Undecided
            } else {
                DesignVerdict::NotCheaper
            }
        }
    };
    MethodFindings {
        method: method.name.clone(),
        published: method.published,
        ratios: ofa.map(compared).unwrap_or_default(),
        break_even: curves.iter().map(|curve| curve.break_even(ofa?)).collect(),
        curves,
        verdict,
    }
}

/// How many times longer the published search is.
fn extrapolation(method: &Method) -> f64 {
    match (&method.designer, method.published_samples) {
        (Designer::MnasNet(own), Some(published)) => published as f64 / own.samples as f64,
        _ => 1.0,
    }
}

fn proportions(method: &Method, records: &[DesignRecord]) -> Option<CostCurve> {
    let own: Vec<&DesignRecord> =
        records.iter().filter(|record| record.method == method.name && record.budget == 1.0).collect();
    let longer = extrapolation(method);
    let charged = |network: &Designed| {
        let search = network.search;
        let search = Spent {
            macs: search.macs * longer,
            seconds: search.seconds * longer,
            processor_seconds: search.processor_seconds * longer,
        };
        (network.target, (search + network.training).into())
    };
    let networks: Vec<(usize, Charged)> = own.iter().flat_map(|record| &record.networks).map(charged).collect();
    let once: Vec<Charged> =
        own.iter().filter(|record| record.diverged.is_none()).map(|record| record.once.into()).collect();
    let curve = curve(&method.name, CurveKind::Proportions, &networks)?;
    Some(CostCurve { once: Charged::mean(&once), is_extrapolated: longer != 1.0, ..curve })
}

/// Charges the least budget that is enough at each target at which all are run; the greatest one, as a bound, where none
/// is.
fn iso_accuracy(
    config: &DesignConfig,
    method: &Method,
    records: &[DesignRecord],
    networks: &[AtTarget],
) -> Option<CostCurve> {
    let mut charged = Vec::new();
    let mut is_bound = false;
    for target in config.compared_targets(method) {
        let mut own: Vec<&AtTarget> =
            networks.iter().filter(|row| row.method == method.name && row.target == target).collect();
        own.sort_by(|a, b| a.budget.total_cmp(&b.budget));
        let (last, enough) = (own.last(), own.iter().find(|row| row.is_enough == Some(true)));
        // Without OFA nothing can be compared.
        last?.is_enough?;
        is_bound |= enough.is_none();
        charged.push((target, enough.or(last)?.charged));
    }
    let once: Vec<Charged> = (records.iter())
        .filter(|record| record.method == method.name && record.diverged.is_none())
        .map(|record| record.once.into())
        .collect();
    let curve = curve(&method.name, CurveKind::IsoAccuracy, &charged)?;
    Some(CostCurve { once: Charged::mean(&once), is_bound, ..curve })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::environment;

    fn record(method: &str, budget: f64, networks: &[(usize, f64, f64)], once: f64) -> DesignRecord {
        let tmacs = |tmacs: f64| Spent { macs: tmacs * 1e12, seconds: 1.0, processor_seconds: 3600.0 * tmacs };
        let network = |&(target, top1, cost): &(usize, f64, f64)| Designed {
            target,
            trained: if method == DesignConfig::OFA { "plain" } else { "alone" }.into(),
            limit_ms: 1.0 + target as f64,
            arch: "r28-k3e3".into(),
            table_ms: 1.0,
            measured_ms: 1.1,
            validation_top1: top1,
            test_top1: top1 - 0.01,
            search: tmacs(cost / 2.0),
            training: tmacs(cost / 2.0),
        };
        DesignRecord {
            method: method.into(),
            budget,
            seed: 1,
            factor: 1.0,
            once: tmacs(once),
            networks: networks.iter().map(network).collect(),
            peak_mib: Some(100.0),
            code: String::new(),
            machine: environment::machine("flex"),
            diverged: None,
        }
    }

    fn found(budgets: &[f64], records: &[DesignRecord]) -> DesignFindings {
        let mut config = DesignConfig::preset("smoke").unwrap();
        (config.targets, config.repeated_target) = (vec![0.2, 0.5], 1);
        config.methods.retain(|method| method.name == "proxyless_nas");
        (config.methods[0].targets, config.methods[0].budgets) = (None, budgets.into());
        config.rule.tolerance = 0.003;
        let tried = |method: &str, tmacs| Trials {
            method: method.into(),
            tried: vec![(1.0, Some(0.9))],
            charged: Charged { tmacs, processor_hours: tmacs },
        };
        let trials = vec![tried("ofa", 7.0), tried("proxyless_nas", 10.0)];
        findings(&config, records, trials, ["images".into(), String::new()])
    }

    #[test]
    fn the_least_budget_that_is_enough_is_charged() {
        let ofa = record("ofa", 1.0, &[(0, 0.90, 0.0), (1, 0.92, 0.0)], 33.0);
        let quarter = record("proxyless_nas", 0.25, &[(1, 0.918, 4.0)], 0.0);
        let weak = record("proxyless_nas", 0.25, &[(1, 0.91, 4.0)], 0.0);
        let one = record("proxyless_nas", 1.0, &[(0, 0.91, 16.0), (1, 0.93, 18.0)], 0.0);
        let budgets = [0.25, 1.0];
        let findings = found(&budgets, &[ofa.clone(), quarter, one.clone()]);
        let method = &findings.methods[0];
        let kinds: Vec<CurveKind> = method.curves.iter().map(|curve| curve.kind).collect();
        assert_eq!(kinds, [CurveKind::Proportions, CurveKind::IsoAccuracy]);
        // The quarter is enough at the one target where both budgets ran; trials are charged to both sides.
        let [proportions, iso] = [0, 1].map(|curve| method.ratios[curve][3]);
        assert!((proportions.tmacs - 40.0 * 17.0 / 33.0).abs() < 1e-9, "{proportions:?}");
        assert!((iso.tmacs - (10.0 + 40.0 * 4.0) / 40.0).abs() < 1e-9, "{iso:?}");
        assert_eq!((method.curves[1].spread, method.break_even[1]), ([4.0, 4.0], Some(8)));
        assert_eq!((method.verdict, method.curves[1].is_bound), (DesignVerdict::Cheaper, false));
        // Where the quarter is not enough, the whole is charged.
        let findings = found(&budgets, &[ofa.clone(), weak.clone(), one.clone()]);
        assert_eq!(findings.methods[0].curves[1].each.tmacs, 18.0);
        assert_eq!(findings.methods[0].verdict, DesignVerdict::AsPublished);
        // If only the quarter was run, it is a bound.
        let findings = found(&budgets, &[ofa.clone(), weak.clone()]);
        let [iso] = &findings.methods[0].curves[..] else { panic!("{findings:?}") };
        assert!(iso.is_bound && iso.each.tmacs == 4.0, "{iso:?}");
        assert_eq!(findings.methods[0].verdict, DesignVerdict::Cheaper);
        // With one budget alone, all targets are compared.
        let findings = found(&[1.0], &[ofa, one]);
        assert_eq!(findings.methods[0].curves[1].spread, [16.0, 18.0]);
        // Without OFA nothing is judged.
        let findings = found(&budgets, &[weak]);
        assert_eq!((findings.methods[0].verdict, findings.ofa.len()), (DesignVerdict::Open, 0));
    }
}
