//! Draws a small set of images to try commands with: circles, squares and triangles on noise.
//!
//! Command:  `cargo run --release --example shapes -- DIR`
//! Result:   `DIR/<class>/<number>.png`, 120 images of 160 x 160 pixels per class

use anyhow::{Context, Result, ensure};
use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

const IMAGES: usize = 120;
const SIZE: u32 = 160;

/// A class: its name, and whether a point relative to the centre belongs to a shape of radius 1.
type Class = (&'static str, fn(f64, f64) -> bool);

const CLASSES: [Class; 3] = [
    ("circle", |x, y| x * x + y * y < 1.0),
    ("square", |x, y| x.abs().max(y.abs()) < 0.85),
    ("triangle", |x, y| y < 0.8 && y > 2.0 * x.abs() - 1.0),
];

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).context("missing argument: the directory to write to")?;
    let dir = Path::new(&dir);
    ensure!(!dir.exists(), "{} exists already", dir.display());
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    for (name, contains) in CLASSES {
        std::fs::create_dir_all(dir.join(name))?;
        for number in 0..IMAGES {
            let path = dir.join(name).join(format!("{number:03}.png"));
            draw(contains, rng).save(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

fn draw(contains: fn(f64, f64) -> bool, rng: &mut ChaCha8Rng) -> RgbImage {
    let [x0, y0] = [(); 2].map(|()| rng.random_range(0.35..0.65) * f64::from(SIZE));
    let radius = rng.random_range(0.2..0.35) * f64::from(SIZE);
    let [ground, colour] = [(); 2].map(|()| [(); 3].map(|()| rng.random_range(0..160_u8)));
    RgbImage::from_fn(SIZE, SIZE, |x, y| {
        let inside = contains((f64::from(x) - x0) / radius, (f64::from(y) - y0) / radius);
        let base = if inside { colour.map(|value| value + 64) } else { ground };
        Rgb(base.map(|value| value + rng.random_range(0..32)))
    })
}
