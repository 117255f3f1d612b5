//! [`LatencyDevice`]: what networks are timed on, which need not be what computes.

#[cfg(feature = "onnxruntime")]
mod onnxruntime;

use super::device;
use anyhow::{Result, ensure};
use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use ofa_model::{Arch, Subnet, Supernet};
use ofa_search::timing::{Pacemaker, TimedRun, device_name, on_device, smallest_units};
use ofa_search::{LatencyHeader, SearchError};
#[cfg(feature = "onnxruntime")]
use onnxruntime::OnnxRuntime;

/// What networks are timed on.
#[derive(Clone, Debug)]
pub enum LatencyDevice {
    /// A device of burn, which can time each unit of a network alone.
    Burn(Device),
    /// onnxruntime on the processor, which compiles networks as a whole.
    OnnxRuntime(OnnxRuntime),
}

/// onnxruntime, which is not compiled in.
#[cfg(not(feature = "onnxruntime"))]
#[derive(Clone, Copy, Debug)]
pub enum OnnxRuntime {}

#[cfg(not(feature = "onnxruntime"))]
impl OnnxRuntime {
    fn open(_: usize) -> Result<Self> {
        anyhow::bail!(
            "device `{}` is not compiled in; build with `cargo run --release --features onnxruntime`",
            LatencyDevice::ONNXRUNTIME
        )
    }

    fn name(self) -> String {
        match self {}
    }

    fn threads(self) -> usize {
        match self {}
    }

    fn run(self, _: Subnet, _: usize) -> Result<TimedRun<'static>> {
        match self {}
    }
}

impl LatencyDevice {
    /// The name of onnxruntime, as `--latency-device` takes it.
    pub const ONNXRUNTIME: &str = "onnxruntime";

    /// The device called `name`: `onnxruntime`, or a name of [`device::by_name`]. `threads` are those of onnxruntime,
    /// by default as many as this program computes with.
    ///
    /// # Errors
    ///
    /// If onnxruntime is not compiled in or not found (the error says what to do); if threads are given for another
    /// device; and those of [`device::by_name`].
    pub fn by_name(name: &str, threads: Option<usize>) -> Result<Self> {
        if name == Self::ONNXRUNTIME {
            let threads = threads.unwrap_or_else(rayon::current_num_threads);
            return Ok(Self::OnnxRuntime(OnnxRuntime::open(threads)?));
        }
        ensure!(
            threads.is_none(),
            "only `{}` has threads of its own: those of `{name}` are set by RAYON_NUM_THREADS",
            Self::ONNXRUNTIME
        );
        Ok(Self::Burn(device::by_name(name)?))
    }

    /// onnxruntime with as many threads as this program computes with, where it is at hand and is not this device.
    pub fn beside(&self) -> Option<Self> {
        match self {
            Self::Burn(_) => Self::by_name(Self::ONNXRUNTIME, None).ok(),
            Self::OnnxRuntime(_) => None,
        }
    }

    /// The device and its threads in words.
    pub fn described(&self) -> String {
        let threads = self.threads();
        format!("{}, {threads} thread{}", self.name(), if threads == 1 { "" } else { "s" })
    }

    /// The name that tables record.
    pub fn name(&self) -> String {
        match self {
            Self::Burn(device) => device_name(device),
            Self::OnnxRuntime(runtime) => runtime.name(),
        }
    }

    /// Threads of a forward pass.
    pub fn threads(&self) -> usize {
        match self {
            Self::Burn(_) => rayon::current_num_threads(),
            Self::OnnxRuntime(runtime) => runtime.threads(),
        }
    }

    /// The forward pass of a subnet on `batch` images of ones.
    ///
    /// # Errors
    ///
    /// If onnxruntime does not take the network.
    pub fn run(&self, supernet: &Supernet, arch: &Arch, batch: usize) -> Result<TimedRun<'static>, SearchError> {
        let subnet = supernet.subnet(arch);
        match self {
            Self::Burn(device) => {
                let subnet = subnet.to_device(device);
                let images = [batch, supernet.space().image_channels, arch.resolution, arch.resolution];
                let images = Tensor::ones(images, device);
                Ok(on_device(device, move || subnet.infer(images.clone())))
            }
            Self::OnnxRuntime(runtime) => runtime
                .run(subnet, batch)
                .map_err(|error| SearchError::Device { device: self.name(), problem: format!("{arch}: {error:#}") }),
        }
    }

    /// Corrects timings to the pace of a table; `None` if it records none, or that of another device.
    ///
    /// # Errors
    ///
    /// Those of [`LatencyDevice::run`].
    pub fn pacemaker(
        &self,
        supernet: &Supernet,
        table: &LatencyHeader,
    ) -> Result<Option<Pacemaker<'static>>, SearchError> {
        let Some(usual_ms) = table.pace_ms.filter(|_| table.device == self.name()) else { return Ok(None) };
        let space = supernet.space();
        let run = match self {
            Self::Burn(device) => smallest_units(space, device, table.batch),
            Self::OnnxRuntime(_) => self.run(supernet, &space.smallest(), table.batch)?,
        };
        Ok(Some(Pacemaker::at(run, usual_ms)))
    }
}

/// The subnet calibrated on noise, and the two images of noise. Latency does not depend on weights, but numbers that
/// overflow or vanish may be slow.
pub fn on_noise(subnet: Subnet) -> (Subnet, Tensor<4>) {
    let (channels, size) = (subnet.space().image_channels, subnet.arch().resolution);
    let device = subnet.devices().remove(0);
    let noise = Tensor::random([2, channels, size, size], Distribution::Normal(0.0, 1.0), &device);
    (subnet.calibrate([&noise]), noise)
}

/// `onnxruntime 1.32.0 (fab30a4)`: the library itself tells only its revision, so the version is that of its file.
#[cfg(any(test, feature = "onnxruntime"))]
fn library_name(path: Option<&std::path::Path>, build: &str) -> String {
    let file = path.and_then(|path| path.canonicalize().ok()).unwrap_or_default();
    let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let version: Vec<&str> = file.split('.').filter(|part| part.parse::<u32>().is_ok()).collect();
    let revision = build.split(", ").find_map(|part| part.strip_prefix("git-commit-id="));
    let words = [
        Some("onnxruntime".to_owned()),
        (!version.is_empty()).then(|| version.join(".")),
        revision.map(|revision| format!("({revision})")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_holds_what_is_known_of_the_library() {
        let build = "ORT Build Info: git-branch=HEAD, git-commit-id=fab30a4, build type=Release";
        let dir = tempfile::tempdir().unwrap();
        let (whole, plain) = (dir.path().join("libonnxruntime.so.1.32.0"), dir.path().join("libonnxruntime.so"));
        std::fs::write(&whole, "").unwrap();
        std::os::unix::fs::symlink(&whole, &plain).unwrap();
        for path in [&whole, &plain] {
            assert_eq!(library_name(Some(path), build), "onnxruntime 1.32.0 (fab30a4)");
        }
        assert_eq!(library_name(None, build), "onnxruntime (fab30a4)");
        assert_eq!(library_name(None, "ORT Build Info: unknown"), "onnxruntime");
    }

    #[cfg(not(feature = "onnxruntime"))]
    #[test]
    fn onnxruntime_that_is_not_compiled_in_names_its_feature() {
        let message = LatencyDevice::by_name("onnxruntime", None).unwrap_err().to_string();
        assert!(message.contains("cargo run --release --features onnxruntime"), "{message}");
    }

    #[test]
    fn only_onnxruntime_has_threads_of_its_own() {
        let message = LatencyDevice::by_name("flex", Some(2)).unwrap_err().to_string();
        assert!(message.contains("RAYON_NUM_THREADS"), "{message}");
    }
}
