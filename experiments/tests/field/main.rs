//! What people of this field bring: every row of the report from the field (C1 to R7) by its id, and every kind of
//! fault with inputs that the tests make up. `rows` says which test is whose.

#[path = "../process/mod.rs"]
mod process;
#[path = "../../../ofa-model/tests/field/torch_file.rs"]
mod torch_file;

mod archs;
mod checkpoints;
mod images;
mod messages;
mod rows;
mod runs;
mod tables;

use burn::tensor::{Device, TensorData};
use ofa_model::{Arch, SearchSpace, Supernet, SupernetConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;

/// The space of all networks here, and its name.
const SPACE: [&str; 2] = ["--space", "small_mobilenet_v3"];

fn space() -> SearchSpace {
    SearchSpace::small_mobilenet_v3(1, 10)
}

/// A random arch.
fn sampled(seed: u64) -> Arch {
    space().sample(&mut ChaCha8Rng::seed_from_u64(seed))
}

fn supernet(seed: u64) -> Supernet {
    SupernetConfig::new(space()).unwrap().with_seed(seed).init(&Device::flex())
}

/// A directory for a test, whose paths are texts.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of `name`.
    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and returns its path.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.at(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Saves a supernet and returns its directory.
    fn supernet(&self, name: &str, seed: u64) -> String {
        supernet(seed).save(Path::new(&self.at(name))).unwrap();
        self.at(name)
    }

    /// Writes gray images for the batch norms of a subnet, and returns the file.
    fn pixels(&self, side: usize) -> String {
        let numbers = (0..2 * side * side).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        let images = TensorData::new(numbers, [2, 1, side, side]);
        let path = self.at(&format!("pixels-{side}.safetensors"));
        ofa_model::write_state_dict(Path::new(&path), &[("images".into(), images)]).unwrap();
        path
    }

    /// Adds `count` images of each class to `part`.
    fn images(&self, part: &str, classes: &[&str], count: u32, side: u32) {
        for (c, class) in classes.iter().enumerate() {
            for i in 0..count {
                let pixel = |x, y| image::Rgb([(x * 7 + i) as u8, (y * 5) as u8, (60 * c) as u8]);
                self.file(&format!("{part}/{class}/{i}.png"), png(side, pixel));
            }
        }
    }
}

fn png(side: u32, pixel: impl Fn(u32, u32) -> image::Rgb<u8>) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(side, side, pixel).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
