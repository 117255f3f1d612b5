//! [`Row`]: a row of the table of `ofa bench pytorch`.

use super::{Case, Ceilings};
use crate::bench::timings::Timings;
use ofa_search::statistics::median;
use std::fmt;

/// Header of the Markdown table.
pub const HEADER: &str = "\
| work | px | batch | ours, ms | ours, GFLOP/s (share) | PyTorch, ms | PyTorch / ours | ours, MiB | PyTorch, MiB |
|---|---|---|---|---|---|---|---|---|";

/// Measurements of one case, displayed as a row of a Markdown table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The case.
    pub case: Case,
    /// Multiply-accumulates per repetition.
    pub macs: u64,
    /// Peak rates of the machine.
    pub ceilings: Ceilings,
    /// Our timings, one per round.
    pub ours: &'a [Timings],
    /// Timings of each PyTorch variant, one per round; empty if the variant does not run this case.
    pub theirs: &'a [Vec<Timings>],
}

impl Row<'_> {
    /// Our GFLOP/s, at two operations per multiply-accumulate, and their share of the ceiling.
    fn rate(&self) -> String {
        let gflops = 2.0 * self.macs as f64 / median(self.ours.iter().map(milliseconds)) / 1e6;
        format!("{gflops:.1} ({:.0} %)", 100.0 * gflops / self.ceilings.gflops)
    }

    /// Median of the ratios per round: a disturbance during a round slows both sides.
    fn ratio(&self, theirs: &[Timings]) -> String {
        let ratios = theirs.iter().zip(self.ours).map(|(theirs, ours)| milliseconds(theirs) / milliseconds(ours));
        text(ratios, 2)
    }

    /// A cell with one entry per PyTorch variant.
    fn each(&self, text: impl Fn(&[Timings]) -> String) -> String {
        self.theirs.iter().map(|turns| text(turns)).collect::<Vec<_>>().join(" \\| ")
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { resolution, batch, .. } = self.case;
        let time = |turns: &[Timings]| text(turns.iter().map(milliseconds), 1);
        let memory = |turns: &[Timings]| text(turns.iter().map(mebibytes), 0);
        let (case, rate, ratios) = (self.case, self.rate(), self.each(|theirs| self.ratio(theirs)));
        let (ours, theirs) = (time(self.ours), self.each(time));
        write!(f, "| {case} | {resolution} | {batch} | {ours} | {rate} | {theirs} | {ratios} |")?;
        write!(f, " {} | {} |", memory(self.ours), self.each(memory))
    }
}

fn milliseconds(turn: &Timings) -> f64 {
    median(turn.samples_ms.iter().copied())
}

fn mebibytes(turn: &Timings) -> f64 {
    turn.peak_memory_mib.unwrap_or(f64::NAN)
}

/// The median, or a dash for a side that did not run.
fn text(values: impl ExactSizeIterator<Item = f64>, digits: usize) -> String {
    if values.len() == 0 { "-".to_owned() } else { format!("{:.digits$}", median(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::CASES;

    fn turn(milliseconds: f64, peak_memory_mib: f64) -> Timings {
        Timings { samples_ms: vec![milliseconds], peak_memory_mib: Some(peak_memory_mib) }
    }

    #[test]
    fn a_row_has_our_share_and_ratios_of_rounds() {
        let ours = [turn(10.0, 5.0), turn(20.0, 5.0), turn(20.0, 5.0)];
        let theirs = [vec![turn(20.0, 9.0), turn(60.0, 9.0), turn(80.0, 9.0)], vec![]];
        let ceilings = Ceilings { gflops: 100.0, gigabytes: 10.0 };
        let row = Row { case: CASES[1], macs: 500_000_000, ceilings, ours: &ours, theirs: &theirs };
        let expected = "| train-step of small_mobilenet_v3 | 28 | 64 | 20.0 | 50.0 (50 %) | 60.0 \\| - | 3.00 \\| - | 5 \
                        | 9 \\| - |";
        assert_eq!(row.to_string(), expected);
    }
}
