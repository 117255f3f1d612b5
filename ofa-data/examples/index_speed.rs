//! Measures time and memory for listing a set of images.
//!
//! `cargo build --release --workspace --examples && target/release/examples/index_speed DIR`

#![allow(clippy::print_stdout, reason = "prints its results")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use ofa_data::Layout;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: index_speed DIR")?);
    for attempt in 1..=3 {
        let (begin, before) = (Instant::now(), resident_mib());
        let layout = Layout::detect(&dir)?;
        let splits = layout.load(3, 1)?;
        let images = splits.train.len() + splits.validation.len() + splits.test.len();
        let seconds = begin.elapsed().as_secs_f64();
        let memory =
            resident_mib().zip(before).map_or(String::new(), |(now, before)| format!(", {:.0} MiB", now - before));
        println!("{layout}, attempt {attempt}: {images} images in {seconds:.2} s{memory}");
    }
    Ok(())
}

/// Resident memory of this process in MiB, if the system reports it.
fn resident_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
