//! The comparison of design costs on small real data: made, stopped, resumed, reported, and given bad input.

mod process;

use experiments::ablation::{DesignConfig, DesignFindings, Designer};
use ofa_train::baselines::Policy;
use process::{failure, success};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_ablate_design_cost");

fn run(binary: &str, arguments: &[&str]) -> Output {
    Command::new(binary).args(arguments).output().unwrap()
}

/// The smoke preset, made even smaller.
fn tiny() -> DesignConfig {
    let mut config = DesignConfig::preset("smoke").unwrap();
    let base = &mut config.base;
    base.space.resolutions = vec![12];
    base.data.train_images = Some(128);
    base.data.test_images = Some(50);
    base.training.batch_size = 32;
    (base.tables.archs, base.tables.batch_size) = (8, 25);
    (base.tables.validation_images, base.tables.calibration_images) = (50, 50);
    config.ofa.queries = 100;
    for method in &mut config.methods {
        method.images = method.images.map(|_| 64);
        match &mut method.designer {
            Designer::MnasNet(method) => (method.samples, method.finalists) = (3, 1),
            Designer::RandomInBand(share) => *share = 0.3,
            Designer::Fixed(arch) => *arch = arch.replace("r28", "r12"),
            Designer::ProxylessNas(_) | Designer::FbNet(_) => {}
        }
    }
    config
}

#[test]
fn a_comparison_is_made_cell_by_cell_and_its_report_is_rebuilt_byte_for_byte() {
    let root = tempfile::tempdir().unwrap();
    let (file, out) = (root.path().join("tiny.toml"), root.path().join("out"));
    fs::write(&file, tiny().to_toml().unwrap()).unwrap();
    let (file, out_text) = (file.to_str().unwrap(), out.to_str().unwrap());
    let planned = success(run(BINARY, &["--config", file, "--dry-run"]));
    assert!(planned.contains("fbnet") && planned.contains("TMACs in all"), "{planned}");

    let first = success(run(BINARY, &["--config", file, "--out", out_text, "--cells", "1"]));
    assert!(first.contains("1 of 11 cells complete"), "{first}");
    let all = success(run(BINARY, &["--resume", "--out", out_text]));
    assert!(all.contains("11 of 11 cells complete") && all.contains("At equal accuracy"), "{all}");

    let findings: DesignFindings =
        serde_json::from_str(&fs::read_to_string(out.join("findings.json")).unwrap()).unwrap();
    assert_eq!((findings.ofa.len(), findings.methods.len(), findings.limits_ms.len()), (2, 6, 1));
    let tried: Vec<(&str, usize)> =
        findings.trials.iter().map(|trials| (trials.method.as_str(), trials.tried.len())).collect();
    assert_eq!(tried, [("ofa", 1), ("proxyless_nas", 1), ("fbnet", 1)]);
    assert!(findings.trials.iter().all(|trials| trials.charged.tmacs > 0.0));
    for row in &findings.networks {
        let is_fixed = row.method == "fixed";
        assert!(is_fixed || row.table_ms <= findings.limits_ms[0], "{row:?}");
        assert!(row.measured_ms > 0.0 && (0.0..=1.0).contains(&row.test_top1), "{row:?}");
    }
    let curves = findings.methods.iter().flat_map(|method| &method.curves);
    assert!(curves.clone().all(|curve| curve.at(1).tmacs > 0.0 && curve.at(1).processor_hours > 0.0));
    assert!(findings.methods.iter().all(|method| method.curves.len() == 2));

    let reports = ["report.md", "report.html", "cost.svg", "networks.csv", "findings.json"];
    let read = |dir: &Path| reports.map(|name| fs::read(dir.join(name)).unwrap());
    let before = read(&out);
    let copy = root.path().join("copy");
    copied(&out, &copy);
    reports.iter().for_each(|name| fs::remove_file(copy.join(name)).unwrap());
    success(run(BINARY, &["--resume", "--out", copy.to_str().unwrap(), "--cells", "0"]));
    assert!(read(&copy) == before, "the report of a copy differs");
    let rest = success(run(BINARY, &["--resume", "--out", out_text, "--dry-run"]));
    assert!(rest.contains(" 0.0 left") && rest.contains("processor hours per TMAC"), "{rest}");

    let beside = success(run(env!("CARGO_BIN_EXE_ofa"), &["cost", "--record", out_text, "--at", "10"]));
    assert!(beside.contains("published at 40 scenarios, measured at 10") && beside.contains("1142"), "{beside}");

    let other = failure(run(BINARY, &["--preset", "smoke", "--out", out_text]));
    assert!(other.contains("another configuration"), "{other}");
    let method = failure(run(BINARY, &["--resume", "--out", out_text, "--method", "darts"]));
    assert!(method.contains("there is no method `darts`; there are ofa and proxyless_nas, fbnet"), "{method}");
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copied(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn bad_input_is_refused_in_a_sentence() {
    let root = tempfile::tempdir().unwrap();
    let refused = |change: &dyn Fn(&mut DesignConfig)| {
        let mut config = tiny();
        change(&mut config);
        let (file, out) = (root.path().join("bad.toml"), root.path().join("bad"));
        fs::remove_dir_all(&out).ok();
        fs::write(&file, config.to_toml().unwrap()).unwrap();
        failure(run(BINARY, &["--config", file.to_str().unwrap(), "--out", out.to_str().unwrap()]))
    };
    let no_targets = refused(&|config| config.targets.clear());
    assert!(no_targets.contains("targets and seeds must each have an entry"), "{no_targets}");
    let elsewhere = refused(&|config| config.latency_table = Some("nowhere.csv".into()));
    assert!(elsewhere.contains("nowhere.csv"), "{elsewhere}");
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-30-default/tables/latency.csv");
    let other_units = refused(&|config| config.latency_table = Some(record.clone()));
    assert!(other_units.contains("the latency table of `small_mobilenet_v3` has no row for Unit"), "{other_units}");
    let elsewhere = root.path().join("elsewhere.csv");
    fs::write(&elsewhere, fs::read_to_string(&record).unwrap().replace("Flex(Cpu)", "Phone")).unwrap();
    let other_device = refused(&|config| config.latency_table = Some(elsewhere.clone()));
    assert!(other_device.contains("was measured on Phone, but networks are timed on Flex(Cpu)"), "{other_device}");
    let uniform = tiny()
        .methods
        .into_iter()
        .any(|method| matches!(method.designer, Designer::MnasNet(method) if method.policy == Policy::Uniform));
    assert!(uniform, "random search at equal cost is among the controls");
    let preset = failure(run(BINARY, &["--preset", "other", "--out", root.path().join("o").to_str().unwrap()]));
    assert!(preset.contains("there is no comparison `other`"), "{preset}");
}
