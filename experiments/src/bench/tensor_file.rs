//! Image and logit tensors in safetensors files.

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Device, Tensor};
use ofa_model::{SearchSpace, read_state_dict, write_state_dict};
use std::path::Path;

/// Reads the tensor `images` of a safetensors file as `f32`.
///
/// # Shapes
///
/// - output: `[batch, channels, height, width]`, with `height == width`
///
/// # Errors
///
/// If the tensor is missing, empty or not of floats, or its shape does not fit `space`: images must be square and
/// have its number of channels.
pub fn read_images(path: &Path, space: &SearchSpace, device: &Device) -> Result<Tensor<4>> {
    ensure!(path.extension().is_some_and(|e| e == "safetensors"), "{}: not a .safetensors file", path.display());
    let tensors = read_state_dict(path)?;
    let keys = || tensors.iter().map(|(key, _)| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let Some((_, data)) = tensors.iter().find(|(key, _)| key == "images") else {
        bail!("{}: no tensor `images`, only {}", path.display(), keys());
    };
    let shape = data.shape().to_vec();
    let [batch, channels, height, width] = shape[..] else {
        bail!("{}: `images` is {shape:?}, expected [batch, channels, height, width]", path.display());
    };
    ensure!(batch > 0 && height > 0, "{}: `images` is {shape:?}, which is empty", path.display());
    ensure!(data.dtype().is_float(), "{}: `images` is {:?}, expected floats", path.display(), data.dtype());
    ensure!(
        channels == space.image_channels,
        "{}: `images` is {shape:?}, but `{}` takes {} channels",
        path.display(),
        space.name,
        space.image_channels
    );
    ensure!(height == width, "{}: `images` is {shape:?}, but images must be square", path.display());
    Ok(Tensor::from_data(data.clone().convert::<f32>(), device))
}

/// Checks that the images have the size the network is built for.
///
/// # Shapes
///
/// - images: `[batch, channels, resolution, resolution]`
///
/// # Errors
///
/// If they do not; the error names the file and both sizes.
pub fn ensure_resolution(path: &Path, images: &Tensor<4>, resolution: usize) -> Result<()> {
    let found = images.dims()[2];
    ensure!(found == resolution, "{}: `images` are {found} px, but the network takes {resolution} px", path.display());
    Ok(())
}

/// Writes logits under the key `logits`, atomically.
///
/// # Shapes
///
/// - logits: `[batch, classes]`
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_logits(path: &Path, logits: Tensor<2>) -> Result<()> {
    write_state_dict(path, &[("logits".to_owned(), logits.into_data())]).context("cannot write the logits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn images_of_another_shape_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("images.safetensors");
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let read = |key: &str, shape: &[usize]| {
            let data = TensorData::new(vec![0.5f32; shape.iter().product()], shape.to_vec());
            write_state_dict(&path, &[(key.to_owned(), data)]).unwrap();
            read_images(&path, &space, &Device::flex())
        };
        assert_eq!(read("images", &[2, 1, 28, 28]).unwrap().dims(), [2, 1, 28, 28]);
        let cases: [(&str, &[usize], &str); 5] = [
            ("pixels", &[2, 1, 28, 28], "no tensor `images`, only `pixels`"),
            ("images", &[2, 3, 28, 28], "is [2, 3, 28, 28], but `small_mobilenet_v3` takes 1 channels"),
            ("images", &[2, 1, 28, 20], "must be square"),
            ("images", &[28, 28], "expected [batch, channels, height, width]"),
            ("images", &[0, 1, 28, 28], "which is empty"),
        ];
        for (key, shape, expected) in cases {
            let message = read(key, shape).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
