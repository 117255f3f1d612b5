//! Colours. Series use the palette of Okabe and Ito, which is distinguishable under every kind of colour blindness;
//! the rest is gray. All are chosen for the light background of the plots.

use plotters::style::RGBColor;

pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(super) const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub(super) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(super) const PURPLE: RGBColor = RGBColor(204, 121, 167);
pub(super) const ORANGE: RGBColor = RGBColor(230, 159, 0);
pub(super) const SKY: RGBColor = RGBColor(86, 180, 233);
pub(super) const YELLOW: RGBColor = RGBColor(240, 228, 66);

/// Main text.
pub(super) const INK: RGBColor = RGBColor(31, 35, 40);
/// Tick labels and reference lines.
pub(super) const GRAY: RGBColor = RGBColor(101, 109, 118);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(216, 222, 228);
/// Background of the plots, also inside hollow points.
pub(super) const PAPER: RGBColor = RGBColor(255, 255, 255);
