//! Progress bar for commands that process images.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar counting images; drawn only on a terminal.
///
/// # Errors
///
/// Never: the template is valid.
pub fn bar() -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} images, {eta} left")?;
    Ok(ProgressBar::new(0).with_style(style))
}

/// Moves the bar to `done` of `total`. Threads may report in any order; the bar never moves back.
pub fn show(bar: &ProgressBar, done: usize, total: usize) {
    if bar.length() != Some(total as u64) {
        bar.set_length(total as u64);
    }
    bar.set_position(bar.position().max(done as u64));
}
