//! Logs of tools that time one model: onnxruntime's `onnxruntime_perf_test`, TFLite's `benchmark_model`.

use super::{Kit, KitNetwork};
use anyhow::{Context, Result};
use ofa_model::read_text;
use std::path::{Path, PathBuf};

/// What stands before a latency, and its unit in milliseconds. The first one found counts: newer versions of
/// onnxruntime's tool also print the time of submission.
const LINES: [(&str, f64); 4] = [
    ("Average inference time cost total:", 1.0),
    ("Average inference time cost:", 1.0),
    ("Inference (avg):", 1e-3),
    ("no stats:", 1e-3),
];

/// The networks that have logs in `dir`, with the file and the latency in milliseconds.
pub(super) fn read<'a>(dir: &Path, kit: &'a Kit) -> Result<Vec<(&'a KitNetwork, PathBuf, f64)>> {
    let mut found = Vec::new();
    for network in &kit.networks {
        let stem = Path::new(&network.file).file_stem().unwrap_or_default();
        for extension in ["txt", "log"] {
            let path = dir.join(stem).with_extension(extension);
            if path.is_file() {
                let text = read_text(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let latency = latency(&text).with_context(|| {
                    format!("{}: no latency of onnxruntime_perf_test or of TFLite's benchmark_model", path.display())
                })?;
                found.push((network, path, latency));
            }
        }
    }
    Ok(found)
}

fn latency(text: &str) -> Option<f64> {
    LINES.iter().find_map(|(before, unit)| {
        let (_, after) = text.split_once(before)?;
        let number = after.trim_start().split([' ', ',', '\n', '\r']).next()?;
        number.parse::<f64>().ok().map(|value| value * unit)
    })
}
