//! Every ablation on small real data: completed, resumed after a kill, reproduced, and given bad input.

use burn::tensor::Device;
use experiments::ablation::{AblationConfig, CellRecord};
use ofa_model::{SearchSpace, Supernet, SupernetConfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const SHRINKING: &str = env!("CARGO_BIN_EXE_ablate_shrinking");
/// The other ablation binaries, and how many cells each has at smoke scale.
const OTHERS: [(&str, usize); 3] = [
    (env!("CARGO_BIN_EXE_ablate_kernel_transform"), 6),
    (env!("CARGO_BIN_EXE_ablate_sorting"), 8),
    (env!("CARGO_BIN_EXE_ablate_distillation"), 10),
];
const CELLS: [&str; 6] =
    ["full/seed-1", "full/seed-2", "progressive/seed-1", "progressive/seed-2", "none/seed-1", "none/seed-2"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(binary: &str, arguments: &[&str]) -> Output {
    Command::new(binary).args(arguments).output().unwrap()
}

/// Standard output of a process that must succeed.
fn success(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a process that must fail.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stderr)
}

/// An even smaller version of a binary's smoke configuration.
fn tiny(binary: &str, preset: &str) -> AblationConfig {
    let output = run(binary, &["--preset", preset, "--toml"]);
    let mut config = AblationConfig::parse(&success(&output)).unwrap();
    let base = &mut config.base;
    base.space.resolutions = vec![12, 16];
    base.data.train_images = Some(64);
    base.data.test_images = Some(50);
    base.training.batch_size = 32;
    (base.tables.archs, base.tables.batch_size) = (8, 25);
    (base.tables.validation_images, base.tables.calibration_images) = (50, 50);
    config.reported.random = 2;
    config.rule.bootstrap = 100;
    config
}

fn written(config: &AblationConfig, path: PathBuf) -> PathBuf {
    fs::write(&path, config.to_toml().unwrap()).unwrap();
    path
}

fn record(root: &Path, cell: &str) -> CellRecord {
    let text = fs::read_to_string(root.join("cells").join(cell).join("cell.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Starts an ablation and kills it as soon as a cell has a checkpoint.
fn killed(config: &Path, out: &Path) {
    let arguments = ["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let mut child = Command::new(SHRINKING).args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let checkpoints = out.join("cells/full/seed-1/checkpoints");
    while !checkpoints.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.join("report.md").exists());
}

/// Resumes, is interrupted by Ctrl-C within a cell, and loses everything that would not be committed.
fn moved_elsewhere(out: &Path) {
    let mut child = Command::new(SHRINKING)
        .args(["--resume", "--out", out.to_str().unwrap()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let cell = out.join("cells/progressive/seed-1");
    while !cell.join("checkpoints").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap();
    if cell.join("cell.json").exists() {
        return; // The cell was complete before the signal arrived.
    }
    assert!(fs::metadata(cell.join("checkpoint.tar")).unwrap().len() > 1_000_000);
    fs::remove_dir_all(cell.join("checkpoints")).unwrap();
    fs::remove_file(cell.join("lock")).unwrap();
}

#[test]
fn an_ablation_survives_a_kill_is_shared_by_processes_and_its_cells_can_be_had_again() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name);
    let config = written(&tiny(SHRINKING, "smoke"), at("config.toml"));
    let (broken, whole) = (at("broken"), at("whole"));
    killed(&config, &broken);
    moved_elsewhere(&broken);
    let resume = ["--resume", "--out", broken.to_str().unwrap()];
    let two: Vec<Child> =
        (0..2).map(|_| Command::new(SHRINKING).args(resume).stdout(Stdio::piped()).spawn().unwrap()).collect();
    for child in two {
        success(&child.wait_with_output().unwrap());
    }
    let said = success(&run(SHRINKING, &["--config", config.to_str().unwrap(), "--out", whole.to_str().unwrap()]));
    assert!(said.contains("Verdict: "), "{said}");
    for cell in CELLS {
        assert_eq!(record(&broken, cell).weights, record(&whole, cell).weights, "{cell}");
        let subnets = |root: &Path| fs::read_to_string(root.join("cells").join(cell).join("subnets.csv")).unwrap();
        assert_eq!(subnets(&broken), subnets(&whole), "{cell}");
        for left_over in ["checkpoints", "checkpoint.tar", "first-steps.json", "first-steps"] {
            assert!(!broken.join("cells").join(cell).join(left_over).exists(), "{cell} {left_over}");
        }
    }
    cells_come_out_the_same(&whole, &at("again"));
    estimates_follow_from_cells(&whole);
    choices_are_measured_on_several_supernets(&whole, &at("choices"));
    other_cells_are_refused(&whole);
}

fn cells_come_out_the_same(root: &Path, beside: &Path) {
    let out = root.to_str().unwrap();
    let again = |cell: &str| run(SHRINKING, &["--resume", "--out", out, "--again", cell]);
    let said = success(&again("progressive/seed-1"));
    assert!(said.contains(&format!("the same weights ({})", record(root, "progressive/seed-1").weights)), "{said}");
    let said = success(&run(SHRINKING, &["--resume", "--out", out, "--again", "progressive/seed-1", "--first-steps"]));
    let first = record(root, "progressive/seed-1").first_steps.unwrap();
    assert!(said.contains(&format!("after {} steps: {}", first.steps, first.weights)), "{said}");
    assert!(failure(&again("progressive/seed-3")).contains("no complete cell `progressive/seed-3`"));

    // A cell is also an ordinary run.
    let config = root.join("cells/full/seed-1/config.toml");
    let ofa = env!("CARGO_BIN_EXE_ofa");
    success(&run(ofa, &["train", "--config", config.to_str().unwrap(), "--out", beside.to_str().unwrap()]));
    let weights = |dir: &Path| Supernet::load(&dir.join("supernet"), &Device::flex()).unwrap().to_original();
    assert!(weights(beside) == weights(&root.join("cells/full/seed-1")));
}

fn choices_are_measured_on_several_supernets(root: &Path, out: &Path) {
    let cells = ["progressive/seed-1", "progressive/seed-2"].map(|cell| root.join("cells").join(cell));
    let choose = |more: &[&str]| {
        let arguments = [cells[0].to_str().unwrap(), cells[1].to_str().unwrap(), "--out", out.to_str().unwrap()];
        run(env!("CARGO_BIN_EXE_ablate_choice"), &[&arguments[..], more].concat())
    };
    let said = success(&choose(&["--rows", "8", "--queries", "300", "--limits", "0.3,0.6"]));
    assert!(said.contains("Supernets: 2") && said.contains("| evolution − random |"), "{said}");
    let rows = fs::read_to_string(out.join("choices.csv")).unwrap();
    assert!((1 + 2 * 2 * 3..=1 + 2 * 2 * 4).contains(&rows.lines().count()), "{rows}");
    assert!(failure(&choose(&["--limits", "2"])).contains("shares between 0 and 1"));
}

fn estimates_follow_from_cells(root: &Path) {
    let said = success(&run(SHRINKING, &["--resume", "--out", root.to_str().unwrap(), "--dry-run"]));
    assert!(said.contains("from 6 complete cells") && said.contains("about 0.00 hours left"), "{said}");
}

/// Cells that are damaged, copied from elsewhere or made by other code.
fn other_cells_are_refused(root: &Path) {
    let report = || run(SHRINKING, &["--resume", "--out", root.to_str().unwrap(), "--cells", "0"]);
    success(&report());
    let cell = root.join("cells/none/seed-2");
    let changed = |file: &str, change: &dyn Fn(String) -> String| {
        let path = cell.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(text.clone())).unwrap();
        let message = failure(&report());
        fs::write(&path, text).unwrap();
        message
    };
    let code = record(root, "none/seed-2").code;
    let message = changed("cell.json", &|text| text.replace(&code, "another"));
    assert!(message.contains("none/seed-2 was made by code that computes differently"), "{message}");
    let message = changed("cell.json", &|text| text.replace("\"seed\": 2", "\"seed\": 1"));
    assert!(message.contains("holds arm `none` with seed 1"), "{message}");
    let message = changed("subnets.csv", &|text| text[..text.len() / 2].to_owned());
    assert!(message.contains("none/seed-2/subnets.csv"), "{message}");

    // A cell that started from another cell of the earlier arm than the selected one.
    let config = root.join("cells/progressive/seed-2/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("full/seed-2", "full/seed-1")).unwrap();
    let message = failure(&report());
    assert!(message.contains("progressive/seed-2 started or learned from seed-1"), "{message}");
    fs::write(&config, text).unwrap();

    // A missing seed is reported, and there is no verdict.
    fs::rename(&cell, root.join("elsewhere")).unwrap();
    let said = success(&report());
    assert!(said.contains("No verdict yet: seeds [2] are missing"), "{said}");
    let page = fs::read_to_string(root.join("report.md")).unwrap();
    assert!(page.contains("Missing seeds, not averaged away: `none` [2]"), "{page}");
}

#[test]
fn bad_input_is_named_and_nothing_is_trained() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name);
    let out = at("run");
    let begin = |config: &Path| {
        run(SHRINKING, &["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap(), "--cells", "0"])
    };
    let good = tiny(SHRINKING, "smoke");
    let mut without_rule = good.to_toml().unwrap();
    without_rule = without_rule.replace("[rule]", "[rules]");
    fs::write(at("bad.toml"), without_rule).unwrap();
    let message = failure(&begin(&at("bad.toml")));
    assert!(message.contains("bad.toml") && message.contains("rule"), "{message}");
    let mut other = good.clone();
    other.arms[2].schedule.phases[0].opened = ofa_train::Opened::Space(Box::new(SearchSpace::mobilenet_v3(1.0, 10)));
    let message = failure(&begin(&written(&other, at("spaces.toml"))));
    assert!(message.contains("arm `none`") && message.contains("not within"), "{message}");
    assert!(failure(&run(SHRINKING, &["--preset", "fast", "--out", out.to_str().unwrap()])).contains("`fast`"));
    assert!(failure(&run(SHRINKING, &["--resume", "--out", out.to_str().unwrap()])).contains("there is no run in"));
    assert!(!out.exists());

    success(&begin(&written(&good, at("good.toml"))));
    let mut changed = good.clone();
    changed.rule.criteria.as_mut().unwrap().error_reduction = 0.001;
    let message = failure(&begin(&written(&changed, at("changed.toml"))));
    assert!(message.contains("error_reduction = 0.043") && message.contains("error_reduction = 0.001"), "{message}");
    let message = failure(&run(SHRINKING, &["--preset", "smoke", "--out", out.to_str().unwrap()]));
    assert!(message.contains("already holds an ablation"), "{message}");

    // A directory that was started with other images.
    success(&run(SHRINKING, &["--resume", "--out", out.to_str().unwrap(), "--cells", "1"]));
    let identity = fs::read_to_string(out.join("identity.json")).unwrap();
    let start = identity.find("images\": [").unwrap() + "images\": [".len();
    let images = identity[start..].trim_start().trim_start_matches('"').split('"').next().unwrap();
    fs::write(out.join("identity.json"), identity.replace(images, "0000000000000000ffff")).unwrap();
    let message = failure(&begin(&at("good.toml")));
    assert!(
        message.contains("other training images (fingerprint 0000000000000000..") && message.contains("run"),
        "{message}"
    );
}

#[test]
fn every_other_ablation_comes_to_a_verdict() {
    for (binary, cells) in OTHERS {
        let temporary = tempfile::tempdir().unwrap();
        let config = written(&tiny(binary, "smoke"), temporary.path().join("config.toml"));
        let out = temporary.path().join("run");
        let said = success(&run(binary, &["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()]));
        assert!(said.contains(&format!("{cells} of {cells} cells complete")) && said.contains("Verdict: "), "{said}");
        let report = fs::read_to_string(out.join("report.md")).unwrap();
        assert!(report.contains("## Threats to validity") && !report.contains("(+2.4)"), "{report}");
        assert!(fs::metadata(out.join("report.html")).unwrap().len() > 10_000);
    }
}

#[test]
fn the_papers_table_is_planned_without_images() {
    let temporary = tempfile::tempdir().unwrap();
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/ablation_imagenet.toml");
    let table = table.to_str().unwrap();
    let said = success(&run(SHRINKING, &["--config", table, "--dry-run"]));
    assert!(said.contains("independent_d4w6k7") && said.contains("taken from data.train_images"), "{said}");
    let out = temporary.path().join("table");
    let message = failure(&run(SHRINKING, &["--config", table, "--out", out.to_str().unwrap()]));
    assert!(message.contains("name their directory with --data") && !out.exists(), "{message}");
}

#[test]
fn more_calibration_images_are_compared_with_fewer() {
    let temporary = tempfile::tempdir().unwrap();
    let supernet = temporary.path().join("supernet");
    let space = SearchSpace { resolutions: vec![8], ..SearchSpace::small_mobilenet_v3(1, 10) };
    SupernetConfig::new(space).unwrap().init(&Device::flex()).save(&supernet).unwrap();
    let out = temporary.path().join("calibration");
    let calibrate = |more: &[&str]| {
        let arguments = [supernet.to_str().unwrap(), "--archs", "3", "--draws", "2", "--out", out.to_str().unwrap()];
        run(env!("CARGO_BIN_EXE_ablate_calibration"), &[&arguments[..], more].concat())
    };
    assert!(failure(&calibrate(&["--images", "16,0"])).contains("nothing to compare with"));
    let said = success(&calibrate(&["--images", "0,8,32"]));
    assert_eq!(said.matches("\n| ").count(), 4, "{said}");
    let rows = fs::read_to_string(out.join("calibration.csv")).unwrap();
    assert_eq!(rows.lines().count(), 1 + 3 * (1 + 2 + 2));
    assert!(failure(&calibrate(&[])).contains("exists already"));
}
