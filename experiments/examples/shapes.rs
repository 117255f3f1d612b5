//! Draws a set of images to try commands with: circles, squares and triangles on noise.
//!
//! Command:  `cargo run --release --example shapes -- DIR` (`--classes 1000 --images 20`: a set as wide as ImageNet, to
//!           rehearse a large run)
//! Result:   `DIR/<class>/<number>.jpg`

use anyhow::{Context, Result, ensure};
use clap::Parser;
use jpeg_encoder::{ColorType, Encoder};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Quality of the JPEG files.
const QUALITY: u8 = 90;

/// A class: its name, and whether a point relative to the centre belongs to a shape of radius 1.
type Class = (&'static str, fn(f64, f64) -> bool);

const SHAPES: [Class; 3] = [
    ("circle", |x, y| x * x + y * y < 1.0),
    ("square", |x, y| x.abs().max(y.abs()) < 0.85),
    ("triangle", |x, y| y < 0.8 && y > 2.0 * x.abs() - 1.0),
];

#[derive(Parser)]
struct Options {
    /// Directory to write to
    dir: PathBuf,
    /// Number of classes; beyond three they differ in colour as well
    #[arg(long, default_value_t = SHAPES.len())]
    classes: usize,
    /// Images per class
    #[arg(long, default_value_t = 120)]
    images: usize,
    /// Width and height in pixels
    #[arg(long, default_value_t = 160)]
    side: u16,
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(!options.dir.exists(), "{} exists already", options.dir.display());
    (0..options.classes).into_par_iter().try_for_each(|class| of_class(&options, class))
}

fn of_class(options: &Options, class: usize) -> Result<()> {
    let (shape, contains) = SHAPES[class % SHAPES.len()];
    let hue = class / SHAPES.len();
    let name = if options.classes > SHAPES.len() { format!("{shape}-{hue:03}") } else { shape.into() };
    let dir = options.dir.join(name);
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let rng = &mut ChaCha8Rng::seed_from_u64(class as u64);
    let own = (options.classes > SHAPES.len()).then(|| [(); 3].map(|()| rng.random_range(0..160_u8)));
    (0..options.images).try_for_each(|number| {
        let pixels = drawn(contains, own, usize::from(options.side), rng);
        written(&pixels, options.side, &dir.join(format!("{number:03}.jpg")))
    })
}

/// An image with a shape in the colour `own`, or any.
fn drawn(contains: fn(f64, f64) -> bool, own: Option<[u8; 3]>, side: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let [x0, y0] = [(); 2].map(|()| rng.random_range(0.35..0.65) * side as f64);
    let radius = rng.random_range(0.2..0.35) * side as f64;
    let [ground, colour] = [(); 2].map(|()| [(); 3].map(|()| rng.random_range(0..160_u8)));
    let colour = own.unwrap_or(colour);
    let mut pixels = Vec::with_capacity(3 * side * side);
    for i in 0..side * side {
        let (x, y) = ((i % side) as f64, (i / side) as f64);
        let inside = contains((x - x0) / radius, (y - y0) / radius);
        let base = if inside { colour.map(|value| value + 64) } else { ground };
        pixels.extend(base.map(|value| value + rng.random_range(0..32)));
    }
    pixels
}

fn written(pixels: &[u8], side: u16, path: &Path) -> Result<()> {
    let encoder = Encoder::new_file(path, QUALITY).with_context(|| path.display().to_string())?;
    encoder.encode(pixels, side, side, ColorType::Rgb).with_context(|| path.display().to_string())
}
