//! What a machine lacks for a device, by what was looked for.

#![allow(dead_code, reason = "some backends are not compiled in")]

use std::env;
use std::path::{Path, PathBuf};

/// Why the CUDA backend finds no GPU.
pub(super) fn cuda() -> String {
    no_cuda_device(Path::new("/"), env::var("CUDA_VISIBLE_DEVICES").ok())
}

/// `root` is the root of the file system, `visible` the value of `CUDA_VISIBLE_DEVICES`.
fn no_cuda_device(root: &Path, visible: Option<String>) -> String {
    let is_there = |path: &str| root.join(path).exists();
    if !is_there("proc/driver/nvidia/version") {
        return "the NVIDIA driver is not loaded (looked for /proc/driver/nvidia/version); install it, version 525 or \
                later"
            .into();
    }
    if !is_there("dev/nvidia0") {
        return "the NVIDIA driver is loaded, but there is no GPU (looked for /dev/nvidia0); a container must be given \
                its GPUs, as by `docker run --gpus all`"
            .into();
    }
    match visible {
        Some(visible) => format!(
            "the driver and /dev/nvidia0 are there, but no GPU is visible: check CUDA_VISIBLE_DEVICES=`{visible}`"
        ),
        None => "the driver and /dev/nvidia0 are there, but the library of the driver finds no GPU (libcuda.so.1); \
                 check that `nvidia-smi` lists one"
            .into(),
    }
}

/// Where burn's CUDA backend looks for NVIDIA's library of mathematical functions, which its kernels are linked with.
const CUDA_ROOTS: [&str; 4] = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda", "/usr"];
const LIBDEVICE: &str = "nvvm/libdevice/libdevice.10.bc";

/// What is missing beside a GPU.
pub(super) fn libdevice() -> Option<String> {
    let roots = match env::var_os("CUDA_PATH") {
        Some(path) => vec![PathBuf::from(path)],
        None => CUDA_ROOTS.map(PathBuf::from).to_vec(),
    };
    no_libdevice(&roots)
}

fn no_libdevice(roots: &[PathBuf]) -> Option<String> {
    if roots.iter().any(|root| root.join(LIBDEVICE).is_file()) {
        return None;
    }
    let looked: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
    Some(format!(
        "{LIBDEVICE} was not found in {}; install the CUDA toolkit (or `pip install nvidia-cuda-nvcc-cu12`) and set \
         CUDA_PATH to the directory that holds `nvvm`",
        looked.join(", ")
    ))
}

/// Why libtorch finds no GPU.
pub(super) fn libtorch_cuda() -> String {
    // Where the programs were linked with libtorch; a Python package has the same `lib`.
    match option_env!("LIBTORCH").map(Path::new) {
        Some(libtorch) if !libtorch.join("lib/libtorch_cuda.so").is_file() => format!(
            "this libtorch has no CUDA (looked for {}); set LIBTORCH to a CUDA build of it and compile again",
            libtorch.join("lib/libtorch_cuda.so").display()
        ),
        _ => format!("libtorch finds none: {}; or this libtorch was built without CUDA", cuda()),
    }
}

/// Why no Vulkan device is found.
pub(super) fn vulkan() -> String {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find_map(|name| Some((name, env::var(name).ok()?)));
    match named {
        Some((name, files)) => format!("{name}=`{files}` gives none; unset it, or name the manifest of a driver"),
        None => no_vulkan_driver(Path::new("/")),
    }
}

fn no_vulkan_driver(root: &Path) -> String {
    let directories = ["usr/share/vulkan/icd.d", "etc/vulkan/icd.d", "usr/local/share/vulkan/icd.d"];
    let manifests = directories.iter().filter_map(|directory| std::fs::read_dir(root.join(directory)).ok()).flatten();
    let names: Vec<String> = manifests.flatten().map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    let install = "`apt-get install libvulkan1 mesa-vulkan-drivers` on Debian and Ubuntu, which includes a driver for \
                   the processor";
    match names.is_empty() {
        true => format!(
            "no Vulkan driver (looked for manifests in /{}); install a GPU's, or {install}",
            directories.join(", /")
        ),
        false => {
            format!("the Vulkan drivers {} find none; check that `vulkaninfo` does, or {install}", names.join(", "))
        }
    }
}

/// Why no Metal device is found.
pub(super) fn metal() -> String {
    "Metal is available on Apple machines only".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(root: &Path, path: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn what_is_missing_for_cuda_is_named_step_by_step() {
        let root = tempfile::tempdir().unwrap();
        let message = |visible: Option<&str>| no_cuda_device(root.path(), visible.map(str::to_owned));
        assert!(message(None).contains("driver is not loaded"), "{}", message(None));
        touch(root.path(), "proc/driver/nvidia/version");
        assert!(message(None).contains("there is no GPU"), "{}", message(None));
        touch(root.path(), "dev/nvidia0");
        assert!(message(None).contains("nvidia-smi"), "{}", message(None));
        assert!(message(Some("7")).contains("CUDA_VISIBLE_DEVICES=`7`"), "{}", message(Some("7")));
    }

    #[test]
    fn the_directories_without_libdevice_are_named() {
        let root = tempfile::tempdir().unwrap();
        let roots = ["one", "two"].map(|name| root.path().join(name));
        let message = no_libdevice(&roots).unwrap();
        assert!(roots.iter().all(|root| message.contains(&*root.to_string_lossy())), "{message}");
        touch(&roots[1], LIBDEVICE);
        assert_eq!(no_libdevice(&roots), None);
    }

    #[test]
    fn a_vulkan_driver_that_finds_nothing_is_told_from_none() {
        let root = tempfile::tempdir().unwrap();
        let message = no_vulkan_driver(root.path());
        assert!(message.contains("no Vulkan driver") && message.contains("/etc/vulkan/icd.d"), "{message}");
        touch(root.path(), "etc/vulkan/icd.d/nvidia_icd.json");
        let message = no_vulkan_driver(root.path());
        assert!(message.contains("nvidia_icd.json"), "{message}");
    }
}
