//! Forward passes in onnxruntime, whose library is loaded while the program runs.

use super::{library_name, on_noise};
use anyhow::{Context, Result, anyhow, ensure};
use ofa_model::{OnnxForm, Subnet};
use ofa_search::SearchError;
use ofa_search::timing::TimedRun;
use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::session::Session;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

/// The environment variable that names the library.
const LIBRARY: &str = "ORT_DYLIB_PATH";
/// The library's usual name on this system.
const USUAL: &str = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };

/// onnxruntime on the processor.
#[derive(Clone, Copy, Debug)]
pub struct OnnxRuntime(&'static Loaded);

/// The library, of which a process has one, with one pool of threads for all networks: of several pools, one would
/// still wait for work while another computes.
#[derive(Debug)]
struct Loaded {
    environment: Environment,
    name: String,
    threads: usize,
}

impl OnnxRuntime {
    /// Loads the library.
    ///
    /// # Errors
    ///
    /// If it is missing (the error says how to get it) or too old, or is loaded already with another number of threads.
    pub fn open(threads: usize) -> Result<Self> {
        static LOADED: OnceLock<Result<Loaded, String>> = OnceLock::new();
        let loaded = LOADED.get_or_init(|| Loaded::new(threads).map_err(|error| format!("{error:#}")));
        let loaded = loaded.as_ref().map_err(|problem| anyhow!("{problem}"))?;
        ensure!(
            loaded.threads == threads,
            "onnxruntime runs with {} threads already, and not with {threads}",
            loaded.threads
        );
        Ok(Self(loaded))
    }

    /// Its name, with the version that the library's file has and the revision that it was built of.
    pub fn name(self) -> String {
        self.0.name.clone()
    }

    /// Threads of a forward pass.
    pub fn threads(self) -> usize {
        self.0.threads
    }

    /// The forward pass of a subnet on `batch` images.
    pub fn run(self, subnet: Subnet, batch: usize) -> Result<TimedRun<'static>> {
        let (channels, size) = (subnet.space().image_channels, subnet.arch().resolution);
        let form = OnnxForm { batch: Some(batch), ..OnnxForm::default() };
        let model = on_noise(subnet).0.fold().to_onnx_as(&form)?;
        let mut session = Session::builder(&self.0.environment)?.commit_from_memory(&model)?;
        let shape = [batch, channels, size, size];
        let images = ort::value::Tensor::from_array((shape, vec![1.0_f32; shape.iter().product()]))?;
        let name = self.name();
        Ok(Box::new(move || {
            let start = Instant::now();
            let output = session.run(ort::inputs![&images]);
            let elapsed = start.elapsed();
            match output {
                Ok(_) => Ok(elapsed),
                Err(error) => Err(SearchError::Device { device: name.clone(), problem: error.to_string() }),
            }
        }))
    }
}

impl Loaded {
    fn new(threads: usize) -> Result<Self> {
        let given = std::env::var_os(LIBRARY).filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(path) = &given {
            ensure!(path.is_file(), "{LIBRARY} is `{}`, which is no file; {HOW}", path.display());
        }
        // A relative path would count from the program's directory.
        let path = given.as_deref().map(std::path::absolute).transpose().context(LIBRARY)?;
        let builder = ort::init_from(path.as_deref().unwrap_or(Path::new(USUAL))).map_err(|error| match &given {
            Some(_) => anyhow!("{error}; {HOW}"),
            None => anyhow!("onnxruntime was not found ({LIBRARY} is not set, and there is no {USUAL}); {HOW}"),
        })?;
        let pool = GlobalThreadPoolOptions::default().with_intra_threads(threads)?.with_inter_threads(1)?;
        let environment = builder.with_telemetry(false).with_global_thread_pool(pool).build()?;
        Ok(Self { environment, name: library_name(path.as_deref(), ort::info()), threads })
    }
}

const HOW: &str = "`pip install onnxruntime` (1.17 or later) brings the file \
                   site-packages/onnxruntime/capi/libonnxruntime.so.*, which ORT_DYLIB_PATH has to name";
