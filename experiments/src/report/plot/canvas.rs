//! A drawing surface with axes, and the primitives drawn on it.
//!
//! Plots are drawn at twice their displayed size, because plotters rounds to whole pixels.

use super::axis::Axis;
use super::palette::{GRAY, GRID, INK, PAPER};
use maud::html;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, DashedPathElement, Drawable, PathElement, PointCollection, Polygon};
use plotters::prelude::SVGBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};
use std::ops::Range;

/// Size of a plot that shares its row with another, in pixels.
pub(super) const HALF: (u32, u32) = (1080, 660);
/// Size of a plot of full width, in pixels.
pub(super) const WIDE: (u32, u32) = (2220, 880);

/// Font size in pixels.
const TEXT: f64 = 24.0;
/// Height of a row of text above the plotting area, in pixels.
const ROW: i32 = 34;
/// Drawing into a string cannot fail.
const INFALLIBLE: &str = "drawing into a string cannot fail";

type Root<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Context<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

/// Horizontal alignment of a text: which part of it is at the given point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Size and layout of a plot.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// Rows of text to reserve between the title of the y axis and the plotting area.
    pub(super) rows: usize,
    /// Whether to draw vertical grid lines, at the ticks of x.
    pub(super) vertical_grid: bool,
}

/// A surface with axes.
pub(super) struct Canvas<'a> {
    root: Root<'a>,
    chart: Context<'a>,
    /// Pixel positions and their hover texts.
    notes: Vec<((i32, i32), String)>,
}

/// Draws the axes, calls `paint`, and returns the `<svg>` element.
pub(super) fn draw(frame: Frame, x: &Axis, y: &Axis, paint: impl FnOnce(&mut Canvas<'_>)) -> String {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, frame.size).into_drawing_area();
    let label_width = y.labels().map(text_width).max().unwrap_or(0);
    let chart = ChartBuilder::on(&root)
        .margin_top((frame.rows as i32 + 1) * ROW + 16)
        .margin_right(28)
        .x_label_area_size(84)
        .y_label_area_size(label_width + 24)
        .build_cartesian_2d(x.clone(), y.clone())
        .expect(INFALLIBLE);
    let mut canvas = Canvas { root, chart, notes: Vec::new() };
    canvas.mesh(&x.title, &y.title, frame.vertical_grid);
    paint(&mut canvas);
    canvas.root.present().expect(INFALLIBLE);
    let notes = std::mem::take(&mut canvas.notes);
    drop(canvas);
    with_notes(svg, &notes)
}

/// Adds an invisible circle with a `<title>` over every noted point; plotters has no element for that.
fn with_notes(mut svg: String, notes: &[((i32, i32), String)]) -> String {
    let circles = html! {
        @for ((x, y), text) in notes { circle cx=(x) cy=(y) r="14" fill-opacity="0" { title { (text) } } }
    };
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    svg.insert_str(end, &circles.into_string());
    svg
}

/// Estimated width of a text in pixels.
pub(super) fn text_width(text: &str) -> i32 {
    // A little more than the mean advance of common sans-serif fonts, so neighbouring texts do not touch.
    (0.56 * TEXT * text.chars().count() as f64).ceil() as i32
}

impl<'a> Canvas<'a> {
    fn mesh(&mut self, x_title: &str, y_title: &str, vertical_grid: bool) {
        let mut mesh = self.chart.configure_mesh();
        mesh.bold_line_style(GRID.stroke_width(2))
            .axis_style(GRID.mix(0.0))
            .set_all_tick_mark_size(5)
            .label_style(text_style(GRAY))
            .axis_desc_style(text_style(INK))
            .x_desc(x_title);
        if !vertical_grid {
            mesh.disable_x_mesh();
        }
        mesh.draw().expect(INFALLIBLE);
        let (across, down) = self.pixels();
        let floor = PathElement::new(vec![(across.start, down.end), (across.end, down.end)], GRAY.stroke_width(2));
        self.root.draw(&floor).expect(INFALLIBLE);
        // The title of the y axis goes above its ticks, horizontally, where it is easier to read.
        self.text_at((0, 4), VPos::Top, HPos::Left, y_title, INK);
    }

    /// A line through `points`.
    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, color: RGBColor, width: u32) {
        self.put(PathElement::new(points, color.stroke_width(width)));
    }

    /// A dashed line through `points`.
    pub(super) fn dashed(&mut self, points: Vec<(f64, f64)>, color: RGBColor) {
        self.put(DashedPathElement::new(points, 14, 10, color.stroke_width(3)));
    }

    /// Filled points.
    pub(super) fn points(&mut self, points: &[(f64, f64)], color: RGBColor, radius: u32, opacity: f64) {
        let style = color.mix(opacity).filled();
        for &point in points {
            self.put(Circle::new(point, radius, style));
        }
    }

    /// Hollow points, filled with the background colour.
    pub(super) fn rings(&mut self, points: &[(f64, f64)], color: RGBColor, radius: u32) {
        for &point in points {
            self.put(Circle::new(point, radius, PAPER.filled()));
            self.put(Circle::new(point, radius, color.stroke_width(4)));
        }
    }

    /// A filled area.
    pub(super) fn area(&mut self, outline: Vec<(f64, f64)>, color: RGBColor, opacity: f64) {
        self.put(Polygon::new(outline, color.mix(opacity)));
    }

    /// A vertical band over the full range `y`.
    pub(super) fn band(&mut self, x: Range<f64>, y: &Range<f64>, color: RGBColor, opacity: f64) {
        let (left, right, bottom, top) = (x.start, x.end, y.start, y.end);
        self.area(vec![(left, bottom), (left, top), (right, top), (right, bottom)], color, opacity);
    }

    /// A text above the plotting area, centred at `x`, in row `row` (0 is the lowest).
    pub(super) fn heading(&mut self, x: f64, row: usize, text: &str) {
        let (_, down) = self.pixels();
        let at = (self.pixel((x, 0.0)).0, down.start - 8 - row as i32 * ROW);
        self.text_at(at, VPos::Bottom, HPos::Center, text, GRAY);
    }

    /// A text at `offset` pixels from `point`, vertically centred.
    pub(super) fn label(&mut self, point: (f64, f64), offset: (i32, i32), anchor: Anchor, text: &str) {
        let (x, y) = self.pixel(point);
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        self.text_at((x + offset.0, y + offset.1), VPos::Center, horizontal, text, INK);
    }

    /// Shows `text` while the pointer hovers over `point`.
    pub(super) fn note(&mut self, point: (f64, f64), text: String) {
        self.notes.push((self.pixel(point), text));
    }

    /// Pixel position of a point.
    pub(super) fn pixel(&self, point: (f64, f64)) -> (i32, i32) {
        self.chart.backend_coord(&point)
    }

    /// Pixel ranges of the plotting area: horizontal, vertical.
    pub(super) fn pixels(&self) -> (Range<i32>, Range<i32>) {
        self.chart.plotting_area().get_pixel_range()
    }

    fn text_at(&self, at: (i32, i32), vertical: VPos, horizontal: HPos, text: &str, color: RGBColor) {
        let style = text_style(color).pos(Pos::new(horizontal, vertical));
        self.root.draw_text(text, &style, at).expect(INFALLIBLE);
    }

    fn put<E>(&mut self, element: E)
    where
        for<'b> &'b E: PointCollection<'b, (f64, f64)>,
        E: Drawable<SVGBackend<'a>>,
    {
        self.chart.plotting_area().draw(&element).expect(INFALLIBLE);
    }
}

fn text_style(color: RGBColor) -> TextStyle<'static> {
    // The SVG backend divides the size by 1.24.
    let font = FontDesc::new(FontFamily::SansSerif, TEXT * 1.24, FontStyle::Normal);
    TextStyle { color: color.to_backend_color(), ..TextStyle::from(font) }
}
