//! Choosing a device by name among the backends that were compiled in.

use anyhow::{Result, bail};
use burn::tensor::Device;

/// Names that `--device` takes, each with the Cargo feature that brings it.
const NAMES: [(&str, &str); 7] = [
    ("flex", "flex"),
    ("libtorch", "tch"),
    ("libtorch-cuda", "tch"),
    ("wgpu", "wgpu"),
    ("vulkan", "vulkan"),
    ("metal", "metal"),
    ("cuda", "cuda"),
];

/// The plain (not autodiff) device called `name`.
///
/// # Errors
///
/// If there is no such name, or its backend is not compiled in; then the message says which feature to build with.
pub fn by_name(name: &str) -> Result<Device> {
    let Some((_, feature)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
        bail!("unknown device `{name}`; known are {}", known.join(", "));
    };
    match compiled_in(name) {
        Some(device) => Ok(device),
        None => bail!(
            "device `{name}` is not compiled in; build with `cargo run --release --features {feature}`, or choose one \
             of: {}",
            available().join(", ")
        ),
    }
}

/// The names whose backends are compiled in.
pub fn available() -> Vec<&'static str> {
    NAMES.iter().filter(|(_, feature)| is_enabled(feature)).map(|(name, _)| *name).collect()
}

fn is_enabled(feature: &str) -> bool {
    match feature {
        "flex" => cfg!(feature = "flex"),
        "tch" => cfg!(feature = "tch"),
        "wgpu" => cfg!(feature = "wgpu"),
        "vulkan" => cfg!(feature = "vulkan"),
        "metal" => cfg!(feature = "metal"),
        "cuda" => cfg!(feature = "cuda"),
        _ => false,
    }
}

fn compiled_in(name: &str) -> Option<Device> {
    match name {
        #[cfg(feature = "flex")]
        "flex" => Some(Device::flex()),
        #[cfg(feature = "tch")]
        "libtorch" => Some(Device::libtorch()),
        #[cfg(feature = "tch")]
        "libtorch-cuda" => Some(Device::libtorch_cuda(0)),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(Device::wgpu(Default::default())),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(Device::vulkan(Default::default())),
        #[cfg(feature = "metal")]
        "metal" => Some(Device::metal(Default::default())),
        #[cfg(feature = "cuda")]
        "cuda" => Some(Device::cuda(0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = by_name("tpu").unwrap_err().to_string();
        assert!(message.contains("unknown device `tpu`") && message.contains("libtorch"), "{message}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_missing_backend_names_its_feature() {
        let message = by_name("cuda").unwrap_err().to_string();
        assert!(message.contains("--features cuda"), "{message}");
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_default_backend_is_there() {
        assert!(available().contains(&"flex"));
        by_name("flex").unwrap();
    }
}
