//! Selects a device by name among the compiled-in backends.

#![cfg_attr(feature = "tch", allow(deprecated, reason = "this burn is the last one with libtorch: see DESIGN.md"))]

use anyhow::{Result, bail, ensure};
use burn::tensor::{Device, DeviceType};

/// Names that `--device` takes, each with the Cargo feature that enables it.
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
/// If the name is unknown, its backend is not compiled in (the error says which feature to build with), or the
/// machine has no such device (the error says what to install).
pub fn by_name(name: &str) -> Result<Device> {
    let Some((_, feature)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
        bail!("unknown device `{name}`; choose from: {}", known.join(", "));
    };
    let Some((device, hardware)) = compiled_in(name) else {
        bail!(
            "device `{name}` is not compiled in; build with `cargo run --release --features {feature}`, or choose one \
             of: {}",
            available().join(", ")
        )
    };
    // Creating a tensor on a missing device would panic deep inside the backend.
    if let Some((kind, remedy)) = hardware {
        ensure!(!Device::enumerate(kind).is_empty(), "no device for `{name}`: {remedy}");
    }
    Ok(device)
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

/// A kind of device that a machine may lack, and what to install then.
type Hardware = (DeviceType, &'static str);

fn compiled_in(name: &str) -> Option<(Device, Option<Hardware>)> {
    match name {
        #[cfg(feature = "flex")]
        "flex" => Some((Device::flex(), None)),
        #[cfg(feature = "tch")]
        "libtorch" => Some((Device::libtorch(), None)),
        #[cfg(feature = "tch")]
        "libtorch-cuda" => Some((Device::libtorch_cuda(0), Some((DeviceType::LibTorch, CUDA_LIBTORCH)))),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some((Device::wgpu(Default::default()), Some((DeviceType::Wgpu, VULKAN)))),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some((Device::vulkan(Default::default()), Some((DeviceType::Vulkan, VULKAN)))),
        #[cfg(feature = "metal")]
        "metal" => Some((Device::metal(Default::default()), Some((DeviceType::Metal, METAL)))),
        #[cfg(feature = "cuda")]
        "cuda" => Some((Device::cuda(0), Some((DeviceType::Cuda, CUDA)))),
        _ => None,
    }
}

#[cfg(feature = "tch")]
const CUDA_LIBTORCH: &str = "it needs an NVIDIA GPU, and a CUDA build of libtorch (LIBTORCH) when compiling";
#[cfg(any(feature = "wgpu", feature = "vulkan"))]
const VULKAN: &str = "install a GPU driver with Vulkan, or on Debian and Ubuntu `apt-get install libvulkan1 \
    mesa-vulkan-drivers`, which includes a CPU driver";
#[cfg(feature = "metal")]
const METAL: &str = "Metal is available on Apple machines only";
#[cfg(feature = "cuda")]
const CUDA: &str = "install an NVIDIA GPU driver and CUDA 12 or later";

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
