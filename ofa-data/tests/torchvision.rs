//! Compares evaluation views with torchvision's; see `torchvision/README.md`.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device};
use ofa_data::{ImageFolder, Normalisation, decode, evaluation_batches};

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torchvision").join(name)).unwrap()
}

/// The evaluation view of the photograph at `resolution`, as pixel values: `[channels, resolution, resolution]`.
fn shown(resolution: usize) -> Vec<f32> {
    let dir = tempfile::tempdir().unwrap();
    for name in ["train/a/0.png", "train/a/1.png", "val/a/0.png"] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, fixture("photo.png")).unwrap();
    }
    let set = ImageFolder::load(dir.path(), 3, 1).unwrap().test;
    let values = Normalisation::new(&[0.0; 3], &[1.0 / 255.0; 3]);
    let mut batches = evaluation_batches(&set, resolution, 1, &values, &Device::flex()).unwrap();
    let images = batches.next().unwrap().unwrap().images;
    assert_eq!(images.dims(), [1, 3, resolution, resolution]);
    images.into_data().try_cast(DType::F32).unwrap().try_to_vec().unwrap()
}

#[test]
fn evaluation_views_are_torchvisions_within_four_of_255() {
    for resolution in [128, 160, 224] {
        let expected = decode(&fixture(&format!("eval_{resolution}.png")), 3).unwrap().pixels;
        let found = shown(resolution);
        let pixels = resolution * resolution;
        let off = |i: usize| (found[i % 3 * pixels + i / 3] - f32::from(expected[i])).abs();
        let (sum, most) = (0..3 * pixels).map(off).fold((0.0, 0.0f32), |(sum, most), off| (sum + off, most.max(off)));
        assert!(most <= 4.0, "at {resolution} pixels some value is off by {most} of 255");
        // Few photographs would hide a crop that is off by one pixel within the limit of 4, and none within this mean.
        let mean = sum / (3 * pixels) as f32;
        assert!(mean <= 0.5, "at {resolution} pixels values are off by {mean} of 255 on average");
    }
}
