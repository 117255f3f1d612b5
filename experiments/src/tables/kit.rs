//! Kits: networks to be timed on a device that has none of our code, and what is read back.
//!
//! A kit is a directory with ONNX models of random networks, a manifest, and `run.py`, which needs Python with
//! onnxruntime and nothing else. It is self-contained: copy it to the device, run the script, copy the results back.

mod logs;
mod results;

pub use results::{Results, Speed};

use super::different_archs;
use crate::run::run_dir::write_whole;
use anyhow::{Context, Result, ensure};
use ofa_model::{Arch, SearchSpace};
use ofa_search::LatencyTable;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;

const MANIFEST: &str = "manifest.json";
/// The script that times the networks.
const RUNNER: &str = include_str!("kit/run.py");
const FORMAT: u32 = 1;

/// What a kit holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kit {
    format: u32,
    /// Identifies the kit: a digest of its networks.
    pub id: String,
    /// The space that the networks are drawn from.
    pub space: SearchSpace,
    /// Images per forward pass.
    pub batch: usize,
    /// ONNX operator set.
    pub opset: u8,
    /// Name of the models' input.
    pub input: String,
    /// A small network that is timed beside all others, to tell a device that changes its pace.
    pub pace: KitNetwork,
    /// The networks.
    pub networks: Vec<KitNetwork>,
}

/// A network of a kit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KitNetwork {
    /// Path in the kit.
    pub file: String,
    /// The network, in text form.
    pub arch: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Shape of the input.
    pub shape: [usize; 4],
    /// Whether it computes in 8-bit integers.
    #[serde(default, skip_serializing_if = "is_float")]
    pub int8: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_float(int8: &bool) -> bool {
    !int8
}

/// The ONNX models of a network.
pub struct Models {
    /// On real numbers.
    pub float: Vec<u8>,
    /// In 8-bit integers, if the kit has them.
    pub int8: Option<Vec<u8>>,
}

impl Kit {
    /// Networks needed at least: a table of parts cannot be estimated from fewer.
    pub const LEAST: usize = LatencyTable::LEAST_NETWORKS;

    /// Reads the manifest of the kit in `dir`.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is of another format, or its networks are not those that it was made of.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} is not a kit: cannot read {}", dir.display(), path.display()))?;
        let kit: Self = serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        ensure!(kit.format == FORMAT, "{} has format {}, expected {FORMAT}", path.display(), kit.format);
        ensure!(kit.id == kit.digest(), "{} was changed: it is not the kit it says it is", path.display());
        Ok(kit)
    }

    fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for network in std::iter::once(&self.pace).chain(&self.networks) {
            digest.update(format!("{} {} {:?}\n", network.file, network.sha256, network.shape));
        }
        hex::encode(digest.finalize())[..16].to_owned()
    }
}

/// Different archs of `space`, drawn uniformly by `sample`.
///
/// # Errors
///
/// If the space has fewer.
pub fn archs(space: &SearchSpace, count: usize, sample: impl FnMut() -> Arch) -> Result<Vec<Arch>> {
    let archs = different_archs(count, sample);
    ensure!(archs.len() == count, "`{}` has too few networks for a kit of {count}", space.name);
    Ok(archs)
}

/// Writes a kit to `dir`, which exists and is empty. `export` gives the ONNX models of an arch; `said` hears of each
/// network that is written.
///
/// # Errors
///
/// If `export` fails or a file cannot be written.
pub fn write(
    dir: &Path,
    space: &SearchSpace,
    archs: Vec<Arch>,
    form: (usize, u8, &str),
    export: impl Fn(&Arch) -> Result<Models>,
    mut said: impl FnMut(usize),
) -> Result<Kit> {
    std::fs::create_dir(dir.join("models"))?;
    let (batch, opset, input) = form;
    let write = |name: String, arch: &Arch, model: Vec<u8>, int8: bool| -> Result<KitNetwork> {
        let file = format!("models/{name}.onnx");
        std::fs::write(dir.join(&file), &model).with_context(|| file.clone())?;
        let shape = [batch, space.image_channels, arch.resolution, arch.resolution];
        Ok(KitNetwork { file, arch: arch.to_string(), sha256: hex::encode(Sha256::digest(&model)), shape, int8 })
    };
    let export = |arch: &Arch| export(arch).with_context(|| arch.to_string());
    let smallest = space.smallest();
    let pace = write("pace".into(), &smallest, export(&smallest)?.float, false)?;
    let mut networks = Vec::new();
    for (number, arch) in archs.into_iter().enumerate() {
        let Models { float, int8 } = export(&arch)?;
        networks.push(write(format!("{number:04}"), &arch, float, false)?);
        if let Some(int8) = int8 {
            networks.push(write(format!("{number:04}-int8"), &arch, int8, true)?);
        }
        said(number + 1);
    }
    let mut kit = Kit {
        format: FORMAT,
        id: String::new(),
        space: space.clone(),
        batch,
        opset,
        input: input.into(),
        pace,
        networks,
    };
    kit.id = kit.digest();
    std::fs::write(dir.join("run.py"), RUNNER)?;
    write_whole(&dir.join(MANIFEST), serde_json::to_string_pretty(&kit)?.as_bytes())?;
    Ok(kit)
}

#[cfg(test)]
mod testing {
    use super::*;

    /// A kit of 24 networks whose models are their names.
    pub(super) fn kit(dir: &Path) -> Kit {
        kit_of(dir, false)
    }

    /// The same, with models in integers if `int8`.
    pub(super) fn kit_of(dir: &Path, int8: bool) -> Kit {
        use rand::SeedableRng;
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let archs = archs(&space, 24, || space.sample(rng)).unwrap();
        let models = |arch: &Arch| {
            let float = arch.to_string().into_bytes();
            Ok(Models { int8: int8.then(|| [&float[..], b" int8"].concat()), float })
        };
        write(dir, &space, archs, (1, 18, "image"), models, |_| ()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kit_is_what_its_manifest_says() {
        let dir = tempfile::tempdir().unwrap();
        let kit = testing::kit(dir.path());
        assert_eq!(Kit::open(dir.path()).unwrap(), kit);
        for network in &kit.networks {
            let model = std::fs::read(dir.path().join(&network.file)).unwrap();
            assert_eq!(network.sha256, hex::encode(Sha256::digest(&model)));
        }
        assert!(dir.path().join("run.py").is_file());
        let path = dir.path().join(MANIFEST);
        let text = std::fs::read_to_string(&path).unwrap();
        let another = format!("{}0", &kit.networks[3].sha256[..63]);
        std::fs::write(&path, text.replace(&kit.networks[3].sha256, &another)).unwrap();
        assert!(format!("{:#}", Kit::open(dir.path()).unwrap_err()).contains("was changed"));
        std::fs::remove_file(&path).unwrap();
        assert!(format!("{:#}", Kit::open(dir.path()).unwrap_err()).contains("is not a kit"));
    }

    #[test]
    fn a_kit_with_integers_has_two_files_per_network() {
        let [plain, both] = [false, true].map(|int8| {
            let dir = tempfile::tempdir().unwrap();
            (testing::kit_of(dir.path(), int8), std::fs::read_to_string(dir.path().join(MANIFEST)).unwrap())
        });
        assert_eq!(both.0.networks.len(), 48);
        let floats: Vec<_> = both.0.networks.iter().filter(|network| !network.int8).cloned().collect();
        assert_eq!(floats, plain.0.networks);
        assert!(both.0.networks[1].int8 && both.0.networks[1].file == "models/0000-int8.onnx");
        assert_eq!(both.0.networks[1].arch, both.0.networks[0].arch);
        // Kits of earlier versions have no such key, and are read.
        assert!(!plain.1.contains("int8"));
    }

    #[test]
    fn a_space_of_few_networks_is_refused() {
        let mut space = SearchSpace::small_mobilenet_v3(1, 10);
        for stage in &mut space.stages {
            (stage.depths, stage.kernel_sizes) = (vec![2], vec![3]);
            stage.expand_ratios.truncate(1);
        }
        let message = archs(&space, 24, || space.smallest()).unwrap_err().to_string();
        assert!(message.contains("too few networks for a kit of 24"), "{message}");
    }
}
