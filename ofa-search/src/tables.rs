//! Tables of accuracies and latencies: measured once, row by row, kept in files that survive a kill.

mod accuracy;
mod latency;
mod measured;
mod table_file;
mod unit_key;

pub use accuracy::{Accuracies, AccuracyHeader, AccuracyRow, AccuracyTable};
pub use latency::{LatencyHeader, LatencyTable, NetworkFit, NetworkLatencies, OriginalLatencyTable, Overhead};
pub use measured::{Measure, MeasuredNetwork, MeasuredNetworks};
