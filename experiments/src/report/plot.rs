//! Plots as inline SVG, one kind per file.
//!
//! A plot is `None` if there is nothing to draw; the page then shows "no data". Only finite values are drawn.

mod against_compute;
mod agreement;
mod axis;
mod best_so_far;
mod canvas;
mod cost_curves;
mod deployment;
mod forest;
mod front;
mod labels;
mod learning_curves;
mod palette;
mod series;
mod share_curves;
mod watched;

pub(super) use against_compute::{AtCost, Measured, against_compute};
pub(super) use agreement::{accuracy_agreement, latency_agreement};
pub(super) use best_so_far::best_so_far;
pub(super) use cost_curves::{Cost, cost_curves};
pub(super) use deployment::deployment_front;
pub(super) use forest::{Difference, forest};
pub(super) use front::front;
pub(super) use learning_curves::{loss, train_top1};
pub(super) use series::{Series, series};
pub(super) use share_curves::share_curves;
pub(super) use watched::watched;

use plotters::style::RGBColor;

/// A drawn plot.
pub(super) struct Plot {
    /// `<svg>` element.
    pub(super) svg: String,
    /// Legend, shown above the plot, where it cannot cover data.
    pub(super) legend: Vec<Key>,
}

/// An entry of a legend.
pub(super) struct Key {
    /// Label.
    pub(super) text: String,
    /// Colour of the series.
    pub(super) color: RGBColor,
    /// How the series is drawn.
    pub(super) mark: Mark,
}

impl Key {
    fn new(text: impl Into<String>, color: RGBColor, mark: Mark) -> Self {
        Self { text: text.into(), color, mark }
    }
}

/// How a series is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Solid line.
    Line,
    /// Dashed line.
    Dashed,
    /// Filled point.
    Point,
    /// Hollow point.
    Ring,
    /// Area.
    Band,
}
