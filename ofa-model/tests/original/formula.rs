//! Weights and images computed from their names, so the fixtures need not store them.
//!
//! The name is hashed (FNV-1a, 64 bits), mixed with the seed, and expanded by splitmix64 into 24-bit uniform numbers.
//! The scale depends on the role of the parameter, so activations keep a reasonable size through the network.

use burn::tensor::{Device, Tensor, TensorData};

const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

/// `count` numbers in [0, 1).
fn uniform(name: &str, count: usize, seed: u64) -> impl Iterator<Item = f32> + use<> {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let start = name.bytes().fold(0xCBF2_9CE4_8422_2325, hash) ^ seed.wrapping_mul(GOLDEN_RATIO);
    (1..=count as u64).map(move |i| {
        let mut bits = start.wrapping_add(i.wrapping_mul(GOLDEN_RATIO));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        (bits >> 40) as f32 / (1 << 24) as f32
    })
}

/// `count` numbers in [-1, 1).
pub fn symmetric(name: &str, count: usize, seed: u64) -> impl Iterator<Item = f32> + use<> {
    uniform(name, count, seed).map(|number| 2.0 * number - 1.0)
}

/// Values of the original's parameter `key`; running statistics do not follow the formula.
pub fn parameter(key: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    let signed = symmetric(key, count, seed);
    let projection = key.contains("point_linear") || key.contains("conv3");
    if key.ends_with("_matrix") {
        // The identity plus noise. It is not symmetric, so using it transposed is noticed.
        let identity = |i| if i % (shape[0] + 1) == 0 { 1.0 } else { 0.0 };
        return signed.enumerate().map(|(i, noise)| identity(i) + 0.125 * noise).collect();
    }
    if key.contains(".bn.") {
        if key.ends_with("weight") {
            let (low, width) = if projection { (0.25, 0.5) } else { (0.5, 1.0) };
            return uniform(key, count, seed).map(|number| low + width * number).collect();
        }
        return signed.map(|number| 0.25 * number).collect();
    }
    if key.ends_with("bias") {
        return signed.map(|number| 0.125 * number).collect();
    }
    let fan_in: usize = shape[1..].iter().product();
    let linear = shape.len() == 2 || projection || key.contains("downsample");
    let gain = if linear { 1.0 } else { 2.0 };
    let bound = (3.0 * (gain / fan_in as f64)).sqrt() as f32;
    let weights = signed.map(|number| bound * number);
    if !(key.contains("depth_conv.conv") && shape[2] > 3) {
        return weights.collect();
    }
    // Heavier towards the centre, so the centre crop keeps most of a kernel.
    let (k, centre) = (shape[2], shape[2] / 2);
    let ring = |i: usize| ((i / k % k).abs_diff(centre)).max((i % k).abs_diff(centre));
    weights.enumerate().map(|(i, weight)| weight * 2f32.powi(1 - ring(i) as i32)).collect()
}

/// Images `[count, 3, size, size]`: an offset per channel, cells of 32 pixels, and noise; `size` is a multiple of 32.
pub fn images(name: &str, count: usize, size: usize) -> Tensor<4> {
    const SEED: u64 = 1;
    let (planes, cells) = (count * 3, size / 32);
    let offset: Vec<f32> = symmetric(&format!("{name}.off"), planes, SEED).collect();
    let coarse: Vec<f32> = symmetric(&format!("{name}.coarse"), planes * cells * cells, SEED).collect();
    let fine = symmetric(&format!("{name}.fine"), planes * size * size, SEED);
    let pixel = |(i, noise)| {
        let (plane, y, x) = (i / (size * size), i / size % size, i % size);
        offset[plane] + coarse[(plane * cells + y / 32) * cells + x / 32] + 0.5 * noise
    };
    let pixels: Vec<f32> = fine.enumerate().map(pixel).collect();
    Tensor::from_data(TensorData::new(pixels, [count, 3, size, size]), &Device::flex())
}
