//! How far apart the logits of two correct programs that sum in f32 may be.

use crate::golden::{logits, max_difference, numbers};
use burn::tensor::{Tensor, TensorData};

/// The largest networks with random weights are badly conditioned: moving pixels by their last bit moves their logits
/// as much as another order of summation does. Our logits, the same on every processor, are 0.3 to 1.5 times as far
/// from the original's as the farthest of the moves below; twice that is allowed.
const MARGIN: f32 = 3.0;

/// Tolerance for a subnet with this name in the fixtures whose logits `forward` computes. Networks other than the
/// largest differ by less than 1.5e-5.
pub fn tolerance(subnet: &str, images: &Tensor<4>, forward: impl Fn(Tensor<4>) -> Tensor<2>) -> f32 {
    match subnet {
        "max" => MARGIN * noise(images, forward),
        _ => 2e-5,
    }
}

/// Maximum change of the logits when pixels move to the next float: all up, all down, or some up and the rest down.
fn noise(images: &Tensor<4>, forward: impl Fn(Tensor<4>) -> Tensor<2>) -> f32 {
    let still = logits(forward(images.clone()));
    let moves: [fn(usize) -> bool; 4] = [|_| true, |_| false, |pixel| pixel % 2 == 0, |pixel| pixel % 3 == 0];
    let movement = |is_up| max_difference(&logits(forward(moved(images, is_up))), &still);
    moves.into_iter().map(movement).fold(0.0, f32::max)
}

fn moved(images: &Tensor<4>, is_up: fn(usize) -> bool) -> Tensor<4> {
    let pixels = numbers(&images.to_data()).into_iter().enumerate();
    let pixels = pixels.map(|(i, pixel)| if is_up(i) { pixel.next_up() } else { pixel.next_down() }).collect();
    Tensor::from_data(TensorData::new(pixels, images.dims()), &images.device())
}
