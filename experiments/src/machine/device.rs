//! Selects a device by name among the compiled-in backends.

#![cfg_attr(feature = "tch", allow(deprecated, reason = "this burn is the last one with libtorch: see DESIGN.md"))]

mod missing;

use anyhow::{Context, Result, bail, ensure};
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

/// The plain (not autodiff) device called `name`, such as `flex`, `cuda` or `cuda:1`. Numbers count the devices of a
/// backend from 0; without one, the backend chooses.
///
/// # Errors
///
/// If the name is unknown, its backend is not compiled in (the error says which feature to build with), the machine has
/// no such device (the error says what was looked for and what to install), or fewer than the number asks for.
pub fn by_name(name: &str) -> Result<Device> {
    let (backend, number) = match name.split_once(':') {
        Some((backend, number)) => (backend, Some(number)),
        None => (name, None),
    };
    let Some((_, feature)) = NAMES.iter().find(|(known, _)| *known == backend) else {
        let known: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
        bail!("unknown device `{name}`; choose from: {} (the second of several: `cuda:1`)", known.join(", "));
    };
    let number: Option<usize> = number
        .map(|text| text.parse().with_context(|| format!("device `{name}`: `{text}` is no number, as 1 in `cuda:1`")))
        .transpose()?;
    let Some(Backend { default, hardware }) = compiled_in(backend) else {
        bail!(
            "device `{name}` is not compiled in; build with `cargo run --release --features {feature}`, or choose one \
             of: {}",
            available().join(", ")
        )
    };
    let Some(hardware) = hardware else {
        ensure!(number.is_none(), "there is only one device `{backend}`: leave out `:{}`", number.unwrap_or(0));
        return Ok(default);
    };
    // Creating a tensor on a missing device would panic deep inside the backend.
    let devices = Device::enumerate(hardware.kind);
    ensure!(!devices.is_empty(), "no device for `{backend}`: {}", (hardware.missing)());
    if let Some(problem) = (hardware.incomplete)() {
        bail!("device `{name}` cannot be used: {problem}");
    }
    let Some(number) = number else { return Ok(default) };
    let chosen = devices.get(number).cloned();
    chosen.with_context(|| match devices.len() {
        1 => format!("no device `{name}`: this machine has one, `{backend}:0`"),
        count => format!("no device `{name}`: this machine has {count}, `{backend}:0` to `{backend}:{}`", count - 1),
    })
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

/// A compiled-in backend.
struct Backend {
    /// The device that it chooses.
    default: Device,
    /// What it needs; `None` for a backend of the processor.
    hardware: Option<Hardware>,
}

/// A kind of device that a machine may lack.
struct Hardware {
    kind: DeviceType,
    /// Says what was looked for where there is no such device.
    missing: fn() -> String,
    /// Says what else a device that exists lacks.
    incomplete: fn() -> Option<String>,
}

#[allow(unused, reason = "some backends are not compiled in")]
fn compiled_in(name: &str) -> Option<Backend> {
    let host = |default| Some(Backend { default, hardware: None });
    let gpu = |default, kind, missing, incomplete| {
        Some(Backend { default, hardware: Some(Hardware { kind, missing, incomplete }) })
    };
    match name {
        #[cfg(feature = "flex")]
        "flex" => host(Device::flex()),
        #[cfg(feature = "tch")]
        "libtorch" => host(Device::libtorch()),
        #[cfg(feature = "tch")]
        "libtorch-cuda" => gpu(Device::libtorch_cuda(0), DeviceType::LibTorch, missing::libtorch_cuda, || None),
        #[cfg(feature = "wgpu")]
        "wgpu" => gpu(Device::wgpu(Default::default()), DeviceType::Wgpu, missing::vulkan, || None),
        #[cfg(feature = "vulkan")]
        "vulkan" => gpu(Device::vulkan(Default::default()), DeviceType::Vulkan, missing::vulkan, || None),
        #[cfg(feature = "metal")]
        "metal" => gpu(Device::metal(Default::default()), DeviceType::Metal, missing::metal, || None),
        #[cfg(feature = "cuda")]
        "cuda" => gpu(Device::cuda(0), DeviceType::Cuda, missing::cuda, missing::libdevice),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        for name in ["tpu", "tpu:0", ""] {
            let message = by_name(name).unwrap_err().to_string();
            assert!(message.contains(&format!("unknown device `{name}`")) && message.contains("libtorch"), "{message}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_missing_backend_names_its_feature() {
        for name in ["cuda", "cuda:1"] {
            let message = by_name(name).unwrap_err().to_string();
            assert!(message.contains("--features cuda") && message.contains(&format!("`{name}`")), "{message}");
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_processor_is_one_device() {
        assert!(available().contains(&"flex"));
        by_name("flex").unwrap();
        let message = by_name("flex:1").unwrap_err().to_string();
        assert_eq!(message, "there is only one device `flex`: leave out `:1`");
        for text in ["flex:", "flex:one", "flex:-1"] {
            let message = by_name(text).unwrap_err().to_string();
            assert!(message.contains("is no number") && message.contains("`cuda:1`"), "{message}");
        }
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn devices_have_numbers() {
        let Ok(_) = by_name("wgpu") else { return };
        by_name("wgpu:0").unwrap();
        let message = by_name("wgpu:99").unwrap_err().to_string();
        assert!(message.contains("no device `wgpu:99`: this machine has"), "{message}");
    }
}
