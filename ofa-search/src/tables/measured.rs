//! Measurements of whole networks that others made: CSV files, and the `.dict` files of the original.

use super::table_file::invalid;
use crate::SearchError;
use crate::statistics::quantile;
use ofa_model::{Arch, SearchSpace, WrittenArch, read_text};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What a column of measurements holds, which decides its name and its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Latency, converted to milliseconds by the unit in the column's name: `ms`, `latency_us`, `seconds`.
    Latency,
    /// Top-1 accuracy, as fractions, or as percent if any value is above 1.
    Top1,
    /// Any other positive quantity, in a column of this name.
    Other(String),
}

/// A network and its measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredNetwork {
    /// The network.
    pub arch: Arch,
    /// Median over the repeats.
    pub median: f64,
    /// Interquartile range over the repeats; 0 for a single one.
    pub iqr: f64,
    /// Number of rows.
    pub repeats: usize,
}

/// Measurements of networks, by arch in order of first appearance.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredNetworks {
    /// Name of the column; `None` in a file without columns.
    pub column: Option<String>,
    /// Factor that was applied to all values, e.g. 1,000 for seconds.
    pub scale: f64,
    /// The networks.
    pub networks: Vec<MeasuredNetwork>,
}

impl MeasuredNetworks {
    /// Reads a CSV file with a column `arch` and a column that holds `measure`, in any order and among others. Columns
    /// are separated by commas, semicolons or tabs. An arch is written in any form of [`WrittenArch`]. Rows of
    /// the same arch are repeats. `column` names the column if several would fit, or none does.
    ///
    /// Also reads a `*.dict` file of the original: an object that maps dictionaries, as text, to values.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, its columns do not tell what they hold, an arch is outside the space, or a value is
    /// no positive number (naming the line).
    pub fn read(
        path: &Path,
        space: &SearchSpace,
        measure: &Measure,
        column: Option<&str>,
    ) -> Result<Self, SearchError> {
        let text = read_text(path).map_err(|source| SearchError::Io { path: path.to_owned(), source })?;
        let rows = match text.trim_start().starts_with('{') {
            true => Rows::from_dict(path, &text, space)?,
            false => Rows::from_csv(path, &text, space, measure, column)?,
        };
        rows.summarised(path, measure)
    }

    /// Archs and medians.
    pub fn medians(&self) -> Vec<(Arch, f64)> {
        self.networks.iter().map(|network| (network.arch.clone(), network.median)).collect()
    }

    /// Smallest and largest median; `None` without networks.
    pub fn range(&self) -> Option<(f64, f64)> {
        let medians = || self.networks.iter().map(|network| network.median);
        Some((medians().reduce(f64::min)?, medians().reduce(f64::max)?))
    }

    /// Median over the networks of interquartile range over median, for those with repeats; `None` without repeats.
    pub fn relative_spread(&self) -> Option<f64> {
        let repeated = self.networks.iter().filter(|network| network.repeats > 1);
        let mut spreads: Vec<f64> = repeated.map(|network| network.iqr / network.median).collect();
        spreads.sort_by(f64::total_cmp);
        (!spreads.is_empty()).then(|| quantile(&spreads, 0.5))
    }

    /// What was read, in one line; values are in `unit`.
    pub fn described(&self, unit: &str) -> String {
        let column = self.column.as_ref().map_or_else(String::new, |name| format!(" in column `{name}`"));
        let scale = if self.scale == 1.0 { String::new() } else { format!(", multiplied by {}", self.scale) };
        let range = self.range().map_or_else(String::new, |(low, high)| format!(", {low:.4} to {high:.4} {unit}"));
        let rows: usize = self.networks.iter().map(|network| network.repeats).sum();
        let repeats = self.relative_spread().map_or_else(String::new, |spread| {
            format!("; {rows} rows, medians of repeats with an interquartile range of {:.1} %", 100.0 * spread)
        });
        format!("{} networks{column}{scale}{range}{repeats}", self.networks.len())
    }
}

/// The rows of a file as they are.
struct Rows {
    column: Option<String>,
    scale: f64,
    /// Line, arch and value.
    rows: Vec<(u64, Arch, f64)>,
}

impl Rows {
    fn from_dict(path: &Path, text: &str, space: &SearchSpace) -> Result<Self, SearchError> {
        let values: BTreeMap<String, f64> = serde_json::from_str(text).map_err(|error| {
            invalid(path, error.line() as u64, "expected an object that maps archs, as text, to numbers".to_owned())
        })?;
        let row =
            |(key, value): (&String, &f64)| Ok((1, read_arch(path, 1, key, space)?, positive(path, 1, key, *value)?));
        Ok(Self { column: None, scale: 1.0, rows: values.iter().map(row).collect::<Result<_, SearchError>>()? })
    }

    fn from_csv(
        path: &Path,
        text: &str,
        space: &SearchSpace,
        measure: &Measure,
        column: Option<&str>,
    ) -> Result<Self, SearchError> {
        let first = text.lines().find(|line| !line.trim_start().starts_with('#')).unwrap_or_default();
        let delimiter =
            [',', ';', '\t'].into_iter().max_by_key(|mark| first.matches(*mark).count()).expect("three marks");
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .delimiter(delimiter as u8)
            .from_reader(text.as_bytes());
        let fail = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            invalid(path, line, error.to_string())
        };
        let columns: Vec<String> = reader.headers().map_err(fail)?.iter().map(str::to_owned).collect();
        let records = reader.records().collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let arch = arch_column(&columns, records.first(), space).map_err(|problem| invalid(path, 1, problem))?;
        let chosen = Columns::find(&columns, arch, measure, column).map_err(|problem| invalid(path, 1, problem))?;
        let mut rows = Vec::new();
        for record in &records {
            let line = record.position().map_or(1, csv::Position::line);
            let arch = read_arch(path, line, &record[chosen.arch], space)?;
            let text = &record[chosen.value];
            // Where commas separate no columns, they are those of numbers.
            let number = if delimiter == ',' { text.to_owned() } else { text.replace(',', ".") };
            let value = number.parse().map_err(|_| not_positive(path, line, &record[chosen.arch], text))?;
            rows.push((line, arch, chosen.scale * positive(path, line, &record[chosen.arch], value)?));
        }
        Ok(Self { column: Some(columns[chosen.value].clone()), scale: chosen.scale, rows })
    }

    /// Collects repeats.
    fn summarised(self, path: &Path, measure: &Measure) -> Result<MeasuredNetworks, SearchError> {
        let most = self.rows.iter().map(|(.., value)| *value).fold(0.0, f64::max);
        let percent = if *measure == Measure::Top1 && most > 1.0 { 0.01 } else { 1.0 };
        let mut index: HashMap<Arch, usize> = HashMap::new();
        let mut networks: Vec<(Arch, Vec<f64>)> = Vec::new();
        for (line, arch, value) in self.rows {
            let value = percent * value;
            if *measure == Measure::Top1 && value > 1.0 {
                return Err(invalid(path, line, format!("`{arch}` has an accuracy of {value}, above 100 %")));
            }
            let place = *index.entry(arch.clone()).or_insert(networks.len());
            match networks.get_mut(place) {
                Some((_, values)) => values.push(value),
                None => networks.push((arch, vec![value])),
            }
        }
        let network = |(arch, mut values): (Arch, Vec<f64>)| {
            values.sort_by(f64::total_cmp);
            let [low, median, high] = [0.25, 0.5, 0.75].map(|q| quantile(&values, q));
            MeasuredNetwork { arch, median, iqr: high - low, repeats: values.len() }
        };
        let networks = networks.into_iter().map(network).collect();
        Ok(MeasuredNetworks { column: self.column, scale: percent * self.scale, networks })
    }
}

/// The columns that are read.
struct Columns {
    arch: usize,
    value: usize,
    scale: f64,
}

fn place(names: &[String], wanted: &str) -> Option<usize> {
    names.iter().position(|name| name.eq_ignore_ascii_case(wanted))
}

/// Names of columns for an error: not too many, and not too long where a file is no table.
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(10).map(|name| name.chars().take(40).collect()).collect();
    format!("{}{}", shown.join(", "), if names.len() > shown.len() { ", .." } else { "" })
}

/// The column called `arch`, else the only one whose first value is an arch of `space`.
fn arch_column(names: &[String], first: Option<&csv::StringRecord>, space: &SearchSpace) -> Result<usize, String> {
    let is_arch = |text: &str| WrittenArch::parse(text, space).is_ok();
    if let Some(arch) = place(names, "arch") {
        return Ok(arch);
    }
    if names.iter().any(|name| is_arch(name)) {
        return Err("the first line is a row: put one with the names of columns before it, such as arch,ms".into());
    }
    let fields = first.into_iter().flat_map(|row| row.iter().enumerate());
    let holding: Vec<usize> = fields.filter(|(_, text)| is_arch(text)).map(|(i, _)| i).collect();
    match (&holding[..], first) {
        ([arch], _) => Ok(*arch),
        (_, None) => Err(format!("no column is called `arch`; columns are: {}", listed(names))),
        _ => Err(format!(
            "no column is called `arch`, and none alone begins with an arch of `{}`; columns are: {}",
            space.name,
            listed(names)
        )),
    }
}

impl Columns {
    /// Finds the column of values by its name, or says what is wrong.
    fn find(names: &[String], arch: usize, measure: &Measure, column: Option<&str>) -> Result<Self, String> {
        let list = || listed(names);
        let place = |wanted: &str| place(names, wanted);
        let scale = |name: &str| match measure {
            Measure::Latency => milliseconds(name),
            Measure::Top1 => is_accuracy(name).then_some(1.0),
            Measure::Other(wanted) => name.eq_ignore_ascii_case(wanted).then_some(1.0),
        };
        if let Some(wanted) = column {
            let value =
                place(wanted).ok_or_else(|| format!("no column is called `{wanted}`; columns are: {}", list()))?;
            let scale = match measure {
                Measure::Latency => scale(wanted).ok_or_else(|| no_unit(wanted))?,
                Measure::Top1 | Measure::Other(_) => 1.0,
            };
            return Ok(Self { arch, value, scale });
        }
        let fitting: Vec<(usize, f64)> = names
            .iter()
            .enumerate()
            .filter_map(|(i, name)| Some((i, scale(name)?)))
            .filter(|(i, _)| *i != arch)
            .collect();
        match (fitting.as_slice(), measure) {
            ([(value, scale)], _) => Ok(Self { arch, value: *value, scale: *scale }),
            ([], Measure::Latency) if names.len() == 2 => Err(no_unit(&names[1 - arch])),
            ([], Measure::Latency) => Err(format!(
                "no column is named for a latency and its unit (latency_ms, us, seconds); columns are: {}",
                list()
            )),
            ([], Measure::Top1) => {
                Err(format!("no column is named for an accuracy (top1, accuracy); columns are: {}", list()))
            }
            ([], Measure::Other(wanted)) => Err(format!("no column is called `{wanted}`; columns are: {}", list())),
            (several, _) => {
                let names: Vec<&str> = several.iter().map(|(i, _)| names[*i].as_str()).collect();
                Err(format!("several columns would fit: {}; choose one with --column", names.join(", ")))
            }
        }
    }
}

fn no_unit(name: &str) -> String {
    format!(
        "the column `{name}` does not say its unit: rename it to latency_ms, latency_us or latency_s, or give --quantity \
         if it is no latency"
    )
}

/// Milliseconds per unit of a column whose name ends in a unit of time.
fn milliseconds(name: &str) -> Option<f64> {
    let name = name.to_lowercase();
    let unit = name.split(|c: char| !c.is_alphanumeric()).rfind(|word| !word.is_empty())?;
    match unit {
        "ns" | "nanoseconds" => Some(1e-6),
        "us" | "µs" | "μs" | "microseconds" => Some(1e-3),
        "ms" | "msec" | "millis" | "milliseconds" => Some(1.0),
        "s" | "sec" | "secs" | "seconds" => Some(1e3),
        _ => None,
    }
}

fn is_accuracy(name: &str) -> bool {
    let name: String = name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let name = ["val", "validation", "test"].iter().find_map(|part| name.strip_prefix(part)).unwrap_or(&name);
    ["top1", "acc", "acc1", "accuracy", "top1acc", "top1accuracy", "accuracytop1", "acctop1"].contains(&name)
}

/// An arch in any form of [`WrittenArch`], at a resolution of the space.
fn read_arch(path: &Path, line: u64, text: &str, space: &SearchSpace) -> Result<Arch, SearchError> {
    let read = WrittenArch::parse(text, space).and_then(|WrittenArch { arch, .. }| {
        space.check(&arch)?;
        Ok(arch)
    });
    read.map_err(|source| SearchError::OutsideSpace { path: path.to_owned(), line, source: source.into() })
}

fn positive(path: &Path, line: u64, arch: &str, value: f64) -> Result<f64, SearchError> {
    let is_positive = value.is_finite() && value > 0.0;
    if is_positive { Ok(value) } else { Err(not_positive(path, line, arch, &value.to_string())) }
}

fn not_positive(path: &Path, line: u64, arch: &str, value: &str) -> SearchError {
    invalid(path, line, format!("`{arch}` was measured as `{value}`, not a positive number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tiny_space;
    use crate::{AccuracyHeader, AccuracyTable};

    fn read(text: &str, measure: &Measure, column: Option<&str>) -> Result<MeasuredNetworks, SearchError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("phone.csv");
        std::fs::write(&path, text).unwrap();
        MeasuredNetworks::read(&path, &tiny_space(), measure, column)
    }

    fn medians(text: &str, measure: &Measure) -> Vec<(String, f64)> {
        let read = read(text, measure, None).unwrap();
        read.medians().into_iter().map(|(arch, value)| (arch.to_string(), value)).collect()
    }

    #[test]
    fn t1_the_unit_is_that_of_the_columns_name() {
        let names = [
            ("ms", 1.5),
            ("latency_us", 0.0015),
            ("Latency [us]", 0.0015),
            ("seconds", 1500.0),
            ("mean time (s)", 1500.0),
            ("cpu latency/ns", 1.5e-6),
        ];
        for (name, expected) in names {
            let [(_, found)] = medians(&format!("# on a phone\narch, {name}\nr8-k3e3, 1.5\n"), &Measure::Latency)[..]
            else {
                panic!("{name}")
            };
            assert!((found / expected - 1.0).abs() < 1e-12, "{name}: {found}");
        }
    }

    #[test]
    fn columns_come_in_any_order_and_among_others() {
        let text = "\u{feff};iqr;ms;arch\n0;0.1;2;r12-k5e6\n1;0.1;1.5;r8-k3e3\n";
        assert_eq!(medians(text, &Measure::Latency), [("r12-k5e6".into(), 2.0), ("r8-k3e3".into(), 1.5)]);
        let several = "arch,mean_ms,median_ms\nr8-k3e3,3,2\n";
        let message = read(several, &Measure::Latency, None).unwrap_err().to_string();
        assert!(
            message.contains("several columns would fit: mean_ms, median_ms; choose one with --column"),
            "{message}"
        );
        assert_eq!(read(several, &Measure::Latency, Some("median_ms")).unwrap().networks[0].median, 2.0);
        // The column of archs may be called otherwise, and commas may be those of numbers.
        let others = "Sub-network;Latency (ms);run\nr12-k5e6;2,25;1\nr8-k3e3;1,5;2\n";
        assert_eq!(medians(others, &Measure::Latency), [("r12-k5e6".into(), 2.25), ("r8-k3e3".into(), 1.5)]);
        let energy = "energy_mj,arch\n7,r8-k3e3\n";
        assert_eq!(medians(energy, &Measure::Other("energy_mj".into())), [("r8-k3e3".into(), 7.0)]);
    }

    #[test]
    fn t2_repeats_give_a_median_and_a_spread() {
        let text = "arch,ms\nr8-k3e3,1\nr12-k5e6,5\nr8-k3e3,3\nr8-k3e3,2\n";
        let read = read(text, &Measure::Latency, None).unwrap();
        let [first, second] = &read.networks[..] else { panic!("{read:?}") };
        assert_eq!((first.median, first.iqr, first.repeats), (2.0, 1.0, 3));
        assert_eq!((second.median, second.iqr, second.repeats), (5.0, 0.0, 1));
        assert_eq!((read.range(), read.relative_spread()), (Some((2.0, 5.0)), Some(0.5)));
        assert_eq!(
            read.described("ms"),
            "2 networks in column `ms`, 2.0000 to 5.0000 ms; 4 rows, medians of repeats with an interquartile range of \
             50.0 %"
        );
    }

    #[test]
    fn accuracies_are_fractions_or_percent() {
        let percent = medians("arch,Val Acc\nr8-k3e3,0.9\nr12-k5e6,71\n", &Measure::Top1);
        assert!((percent[0].1 - 0.009).abs() < 1e-12 && (percent[1].1 - 0.71).abs() < 1e-12, "{percent:?}");
        assert_eq!(medians("top-1,arch\n0.9,r8-k3e3\n", &Measure::Top1), [("r8-k3e3".into(), 0.9)]);
        let message = read("arch,acc\nr8-k3e3,101\n", &Measure::Top1, None).unwrap_err().to_string();
        assert!(message.contains("above 100 %"), "{message}");
    }

    #[test]
    fn t5_the_originals_dictionaries_are_read() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let [small, large] = [space.smallest(), space.largest()];
        let key = |arch: &Arch| serde_json::to_string(&arch.to_original(&space)).unwrap();
        let text = serde_json::to_string(&BTreeMap::from([(key(&small), 0.7), (key(&large), 0.75)])).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("28.dict");
        std::fs::write(&path, text).unwrap();
        let read = MeasuredNetworks::read(&path, &space, &Measure::Top1, None).unwrap();
        let header = AccuracyHeader {
            space: space.name.clone(),
            seed: 0,
            validation_images: 10_000,
            calibration_images: 0,
            source: "28.dict".into(),
            int8: None,
        };
        let table = AccuracyTable::from_measured(header, &space, &read).unwrap();
        assert_eq!([table.get(&small), table.get(&large)], [Some(0.7), Some(0.75)]);
    }

    #[test]
    fn what_is_no_measurement_names_its_line() {
        let cases = [
            ("net,ms\n", "csv:1: no column is called `arch`; columns are: net, ms"),
            ("net,ms\nresnet,1\n", "csv:1: no column is called `arch`, and none alone begins with an arch of `tiny`"),
            ("r8-k3e3,1\nr12-k5e6,2\n", "csv:1: the first line is a row: put one with the names of columns"),
            ("arch,latency\nr8-k3e3,1\n", "csv:1: the column `latency` does not say its unit"),
            ("arch,minutes,x\nr8-k3e3,1,1\n", "csv:1: no column is named for a latency"),
            ("arch,ms\nr8-k3e3,1\nr8-k9e3,1\n", "csv:3: arch `r8-k9e3` is outside the space `tiny`"),
            ("arch,ms\nr8,k3e3\n", "csv:2: "),
            ("arch,ms\nr8-k3e3,-2\n", "csv:2: `r8-k3e3` was measured as `-2`"),
            ("arch,ms\nr8-k3e3,NaN\n", "csv:2: `r8-k3e3` was measured as `NaN`"),
            ("arch,ms\nr8-k3e3,0.6 ms\n", "csv:2: `r8-k3e3` was measured as `0.6 ms`"),
            ("arch,ms\nr8-k3e3\n", "csv:2: "),
            ("{\"a\": \"b\"}", "expected an object that maps archs"),
        ];
        for (text, expected) in cases {
            let message = read(text, &Measure::Latency, None).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
