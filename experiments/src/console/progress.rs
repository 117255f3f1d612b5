//! How far a command is with its images.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar of images that are read, drawn on a terminal only.
///
/// # Errors
///
/// Never: its style is valid.
pub fn bar() -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} images, {eta} left")?;
    Ok(ProgressBar::new(0).with_style(style))
}

/// Moves the bar, which threads may ask for in any order.
pub fn show(bar: &ProgressBar, done: usize, total: usize) {
    if bar.length() != Some(total as u64) {
        bar.set_length(total as u64);
    }
    bar.set_position(bar.position().max(done as u64));
}
