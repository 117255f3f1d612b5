//! What a device measured: rows of `run.py`, or logs of other tools.

use super::logs;
use super::{Kit, KitNetwork};
use anyhow::{Context, Result, bail, ensure};
use ofa_model::{Arch, read_text};
use ofa_search::statistics::median;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Pace of a row beyond which the device counts as having changed its speed.
const STEADY: f64 = 0.1;
/// Names that a line lists at most.
const NAMED: usize = 10;

/// Latencies of the networks of a kit.
#[derive(Clone, Debug)]
pub struct Results {
    /// Name of the device; `None` in logs, which do not say.
    pub device: Option<String>,
    /// Its threads and runtime; `None` in logs.
    pub setting: Option<String>,
    /// The networks that were timed, in the order of the kit.
    timed: Vec<Timed>,
    /// What a reader should know: missing and repeated networks, changes of pace.
    pub notes: Vec<String>,
}

/// Which latencies are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// As the stopwatch had them.
    Measured,
    /// At the usual pace of the device: divided by the pace beside them, times the median pace.
    AtOnePace,
}

#[derive(Clone, Debug)]
struct Timed {
    arch: Arch,
    measured: f64,
    at_one_pace: Option<f64>,
}

/// A row of `results.csv`, by the names of its columns.
#[derive(Deserialize)]
struct Row {
    kit: String,
    file: String,
    sha256: String,
    latency_ms: f64,
    pace_ms: f64,
    device: String,
    threads: String,
    runtime: String,
}

/// A latency and the pace beside it.
type Pair = (f64, Option<f64>);

impl Results {
    /// Reads the `results.csv` of a kit's `run.py`, or a directory of logs named as the models (`0003.txt`, `0003.log`)
    /// of onnxruntime's `onnxruntime_perf_test` or TFLite's `benchmark_model`. All rows are checked; `int8` says whether
    /// the networks in 8-bit integers count, or the others.
    ///
    /// # Errors
    ///
    /// If a row or log is of another kit, of a file that was changed, of another device than the first row, or has no
    /// positive latency; the error names the line or the file.
    pub fn read(path: &Path, kit: &Kit, int8: bool) -> Result<Self> {
        let chosen = || kit.networks.iter().filter(|network| network.int8 == int8);
        ensure!(chosen().next().is_some(), "the kit has no networks in 8-bit integers: make one with --int8");
        let mut results =
            if path.is_dir() { Self::from_logs(path, kit, int8)? } else { Self::from_csv(path, kit, int8)? };
        let missing: Vec<&str> = chosen()
            .filter(|network| !results.timed.iter().any(|timed| timed.arch.to_string() == network.arch))
            .map(|network| network.file.as_str())
            .collect();
        if !missing.is_empty() {
            let (count, all) = (missing.len(), chosen().count());
            results.notes.push(format!("{count} of {all} networks were not timed: {}", some(&missing)));
        }
        Ok(results)
    }

    /// Archs and their latencies in milliseconds. Without a pace, as in logs, both speeds are the same.
    pub fn latencies(&self, speed: Speed) -> Vec<(Arch, f64)> {
        let of = |timed: &Timed| match speed {
            Speed::Measured => timed.measured,
            Speed::AtOnePace => timed.at_one_pace.unwrap_or(timed.measured),
        };
        self.timed.iter().map(|timed| (timed.arch.clone(), of(timed))).collect()
    }

    /// Whether every network has a pace beside it.
    pub fn have_paces(&self) -> bool {
        self.timed.iter().all(|timed| timed.at_one_pace.is_some())
    }

    fn from_csv(path: &Path, kit: &Kit, int8: bool) -> Result<Self> {
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut first: Option<(String, String)> = None;
        let mut pairs: BTreeMap<&str, Vec<Pair>> = BTreeMap::new();
        let mut paces: Vec<(u64, f64)> = Vec::new();
        for row in reader.deserialize::<Row>() {
            let row = row.map_err(|error| {
                let line = error.position().map_or(1, csv::Position::line);
                anyhow::anyhow!("{}:{line}: no row of a kit's results.csv: {error}", path.display())
            })?;
            let line = paces.len() as u64 + 2;
            let at = || format!("{}:{line}", path.display());
            let network = network_of(&row, kit).with_context(at)?;
            let setting = format!("{} threads, {}", row.threads, row.runtime);
            let (device, same) = first.get_or_insert((row.device.clone(), setting.clone()));
            ensure!(
                *device == row.device && *same == setting,
                "{}: measured on `{}` ({setting}), the rows before on `{device}` ({same}): read each device alone",
                at(),
                row.device
            );
            let latency = positive("latency_ms", row.latency_ms).with_context(at)?;
            let pace = positive("pace_ms", row.pace_ms).with_context(at)?;
            pairs.entry(&network.file).or_default().push((latency, Some(pace)));
            paces.push((line, pace));
        }
        ensure!(!paces.is_empty(), "{} has no rows", path.display());
        let (device, setting) = first.unzip();
        let mut results = Self::of(kit, int8, pairs, device, setting);
        results.notes.extend(unsteady(&paces));
        Ok(results)
    }

    fn from_logs(dir: &Path, kit: &Kit, int8: bool) -> Result<Self> {
        let mut pairs = BTreeMap::new();
        for (network, path, latency) in logs::read(dir, kit)? {
            let latency = positive("latency", latency).with_context(|| path.display().to_string())?;
            pairs.entry(network.file.as_str()).or_insert_with(Vec::new).push((latency, None));
        }
        ensure!(!pairs.is_empty(), "{} has no logs named as the networks of the kit (0000.txt, ...)", dir.display());
        Ok(Self::of(kit, int8, pairs, None, None))
    }

    fn of(
        kit: &Kit,
        int8: bool,
        mut pairs: BTreeMap<&str, Vec<Pair>>,
        device: Option<String>,
        setting: Option<String>,
    ) -> Self {
        let all: Vec<f64> = pairs.values().flatten().filter_map(|(_, pace)| *pace).collect();
        let usual = (!all.is_empty()).then(|| median(all));
        pairs.retain(|file, _| kit.networks.iter().any(|network| network.int8 == int8 && network.file == *file));
        let mut notes = Vec::new();
        let repeated: Vec<&str> = pairs.iter().filter(|(_, rows)| rows.len() > 1).map(|(file, _)| *file).collect();
        if !repeated.is_empty() {
            notes.push(format!(
                "{} networks were timed repeatedly, medians count: {}",
                repeated.len(),
                some(&repeated)
            ));
        }
        let timed = kit.networks.iter().filter_map(|network| {
            let rows = pairs.get(network.file.as_str())?;
            let measured: Vec<f64> = rows.iter().map(|(latency, _)| *latency).collect();
            let corrected: Option<Vec<f64>> =
                rows.iter().map(|(latency, pace)| Some(latency / (*pace)? * usual?)).collect();
            Some(Timed {
                arch: network.arch.parse().ok()?,
                measured: median(measured),
                at_one_pace: corrected.map(median),
            })
        });
        Self { device, setting, timed: timed.collect(), notes }
    }
}

fn network_of<'a>(row: &Row, kit: &'a Kit) -> Result<&'a KitNetwork> {
    if row.kit != kit.id {
        bail!("measured with kit {}, this is kit {}", row.kit, kit.id);
    }
    let network = kit.networks.iter().find(|network| network.file == row.file);
    let network = network.with_context(|| format!("the kit has no {}", row.file))?;
    ensure!(network.sha256 == row.sha256, "{} was changed before it was timed", row.file);
    Ok(network)
}

fn positive(what: &str, value: f64) -> Result<f64> {
    ensure!(value.is_finite() && value > 0.0, "{what} is {value}, it must be positive");
    Ok(value)
}

/// Says which rows were timed while the device had another speed.
fn unsteady(paces: &[(u64, f64)]) -> Option<String> {
    let usual = median(paces.iter().map(|(_, pace)| *pace));
    let off: Vec<&(u64, f64)> = paces.iter().filter(|(_, pace)| (pace / usual - 1.0).abs() > STEADY).collect();
    let worst = off.iter().map(|(_, pace)| pace / usual).max_by(|a, b| (a - 1.0).abs().total_cmp(&(b - 1.0).abs()))?;
    let lines: Vec<String> = off.iter().map(|(line, _)| format!("line {line}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Some(format!(
        "the device changed its pace: {} of {} rows were timed beside a small network that took other times than usual, \
         {worst:.2} times at worst ({})",
        off.len(),
        paces.len(),
        some(&lines)
    ))
}

/// The first names, and how many more there are.
fn some(names: &[&str]) -> String {
    let shown = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED { format!("{shown} and {} more", names.len() - NAMED) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::super::testing::kit;
    use super::*;

    const HEADER: &str = "kit,file,arch,sha256,latency_ms,iqr_ms,runs,pace_ms,clock,device,threads,runtime\n";

    fn row(kit: &Kit, i: usize, latency: f64, pace: f64) -> String {
        let KitNetwork { file, arch, sha256, .. } = &kit.networks[i];
        format!("{},{file},{arch},{sha256},{latency},0.1,20,{pace},2026-01-01T00:00:00+00:00,board,1,ort\n", kit.id)
    }

    fn read(dir: &Path, kit: &Kit, text: &str) -> Result<Results> {
        let path = dir.join("results.csv");
        std::fs::write(&path, text).unwrap();
        Results::read(&path, kit, false)
    }

    #[test]
    fn rows_are_read_and_brought_to_one_pace() {
        let dir = tempfile::tempdir().unwrap();
        let kit = kit(dir.path());
        // The last four were timed while the device took twice as long.
        let slow = |i| if i < 20 { 1.0 } else { 2.0 };
        let rows: String = (0..24).map(|i| row(&kit, i, (1.0 + i as f64) * slow(i), 0.5 * slow(i))).collect();
        let results = read(dir.path(), &kit, &format!("{HEADER}{rows}")).unwrap();
        assert_eq!((results.device.as_deref(), results.setting.as_deref()), (Some("board"), Some("1 threads, ort")));
        assert!(results.have_paces());
        let [measured, at_one_pace] = [Speed::Measured, Speed::AtOnePace].map(|speed| results.latencies(speed));
        assert_eq!((measured[20].1, at_one_pace[20].1), (42.0, 21.0));
        assert_eq!((measured[3].1, at_one_pace[3].1), (4.0, 4.0));
        assert_eq!(measured[3].0.to_string(), kit.networks[3].arch);
        assert_eq!(results.notes.len(), 1);
        assert!(
            results.notes[0].contains("4 of 24 rows") && results.notes[0].contains("2.00 times at worst (line 22, ")
        );
    }

    #[test]
    fn missing_and_repeated_networks_are_said() {
        let dir = tempfile::tempdir().unwrap();
        let kit = kit(dir.path());
        let rows: String =
            [0, 1, 2, 1].into_iter().zip([1.0, 2.0, 3.0, 2.2]).map(|(i, ms)| row(&kit, i, ms, 0.5)).collect();
        let results = read(dir.path(), &kit, &format!("{HEADER}{rows}")).unwrap();
        let latencies: Vec<f64> = results.latencies(Speed::Measured).into_iter().map(|(_, ms)| ms).collect();
        assert_eq!(latencies, [1.0, 2.1, 3.0]);
        assert!(results.notes[0].starts_with("1 networks were timed repeatedly"), "{:?}", results.notes);
        assert!(
            results.notes[1].starts_with("21 of 24 networks were not timed: models/0003.onnx,"),
            "{:?}",
            results.notes
        );
        assert!(results.notes[1].ends_with("and 11 more"));
    }

    #[test]
    fn networks_in_integers_are_read_apart() {
        let dir = tempfile::tempdir().unwrap();
        let both = super::super::testing::kit_of(dir.path(), true);
        let path = dir.path().join("results.csv");
        let rows: String = (0..48).map(|i| row(&both, i, if i % 2 == 0 { 2.0 } else { 1.0 }, 0.5)).collect();
        std::fs::write(&path, format!("{HEADER}{rows}")).unwrap();
        for (int8, expected) in [(false, 2.0), (true, 1.0)] {
            let results = Results::read(&path, &both, int8).unwrap();
            let latencies = results.latencies(Speed::Measured);
            assert!(latencies.len() == 24 && latencies.iter().all(|(_, ms)| *ms == expected), "{latencies:?}");
            assert!(results.notes.is_empty(), "{:?}", results.notes);
        }
        let plain = kit(tempfile::tempdir().unwrap().path());
        let message = Results::read(&path, &plain, true).unwrap_err().to_string();
        assert!(message.contains("no networks in 8-bit integers: make one with --int8"), "{message}");
    }

    #[test]
    fn rows_of_others_are_refused_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let kit = kit(dir.path());
        let good = row(&kit, 0, 1.0, 0.5);
        let refused =
            |bad: String| format!("{:#}", read(dir.path(), &kit, &format!("{HEADER}{good}{bad}")).unwrap_err());
        let next = row(&kit, 1, 1.0, 0.5);
        for (bad, says) in [
            (
                next.replace(&kit.id, "0123456789abcdef"),
                "results.csv:3: measured with kit 0123456789abcdef, this is kit",
            ),
            (next.replace(&kit.networks[1].sha256, "00"), "results.csv:3: models/0001.onnx was changed before"),
            (next.replace("0001.onnx", "0999.onnx"), "results.csv:3: the kit has no models/0999.onnx"),
            (next.replace("board", "phone"), "results.csv:3: measured on `phone`"),
            (next.replace(",1,0.1,", ",-1,0.1,"), "results.csv:3: latency_ms is -1, it must be positive"),
            (next.replace(",1,0.1,", ",fast,0.1,"), "results.csv:3: no row of a kit's results.csv"),
        ] {
            let message = refused(bad);
            assert!(message.contains(says), "{message}");
        }
        let message = format!("{:#}", read(dir.path(), &kit, HEADER).unwrap_err());
        assert!(message.contains("has no rows"), "{message}");
    }

    #[test]
    fn logs_of_other_tools_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let kit = kit(dir.path());
        let logs = dir.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        std::fs::write(
            logs.join("0000.txt"),
            "Session creation time cost: 0.1 s\nAverage inference time cost: 16.5 ms\n",
        )
        .unwrap();
        std::fs::write(
            logs.join("0001.log"),
            "Average inference time cost total: 2.5 ms\nAverage inference time cost submission: 9 ms\n",
        )
        .unwrap();
        let tflite = "Inference timings in us: Init: 855, First inference: 49060, Warmup (avg): 34825.1, Inference (avg): 33209.4\n";
        std::fs::write(logs.join("0002.txt"), tflite).unwrap();
        std::fs::write(logs.join("notes.md"), "mine").unwrap();
        let results = Results::read(&logs, &kit, false).unwrap();
        let latencies: Vec<f64> = results.latencies(Speed::AtOnePace).into_iter().map(|(_, ms)| ms).collect();
        assert_eq!(latencies, [16.5, 2.5, 33.2094]);
        assert!(!results.have_paces());
        std::fs::write(logs.join("0003.txt"), "it failed").unwrap();
        let message = format!("{:#}", Results::read(&logs, &kit, false).unwrap_err());
        assert!(message.contains("0003.txt: no latency"), "{message}");
    }
}
