//! The commands that read tables, on those of a recorded run.

mod process;

use ofa_model::{Activation, Arch, ConvShape, HeadShape, SearchSpace, Unit, UnitLayers};
use ofa_search::{LatencyTable, OriginalLatencyTable};
use process::{failure, ofa, success};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-24-default-14-epochs")
}

type Row = std::collections::BTreeMap<String, String>;

/// Rows of a CSV file as values by column.
fn rows(path: &Path) -> Vec<Row> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

#[test]
fn deploy_answers_the_example() {
    let temporary = tempfile::tempdir().unwrap();
    let (record, out) = (record(), temporary.path().join("scenarios"));
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/scenarios.toml");
    let (tables, example) = (record.to_str().unwrap(), scenarios.to_str().unwrap());
    let arguments = ["--tables", tables, "--scenarios", example, "--out", out.to_str().unwrap()];
    let said = success(ofa("deploy", &arguments));
    assert!(said.contains("7 scenarios in") && said.contains("no subnets are exported"), "{said}");
    let answers = rows(&out.join("answers.csv"));
    assert_eq!(answers.len(), 7);
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    for answer in &answers {
        let arch: Arch = answer["arch"].parse().unwrap();
        let cost = space.cost(&arch);
        assert_eq!((answer["macs"].parse(), answer["parameters"].parse()), (Ok(cost.macs), Ok(cost.parameters)));
        assert!(answer["problem"].is_empty() && answer["gain"].parse::<f64>().unwrap() > -1e-6, "{answer:?}");
    }
    let fronts = rows(&out.join("front.csv"));
    let costs: std::collections::BTreeSet<&str> = fronts.iter().map(|row| row["cost"].as_str()).collect();
    assert_eq!(costs.into_iter().collect::<Vec<_>>(), ["MACs", "latency", "parameters"]);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains(&format!("<title>macs-2M\n{}\n", answers[1]["arch"])));
    assert!(failure(ofa("deploy", &arguments)).contains("exists already"));
}

#[test]
fn deploy_names_what_cannot_be_met_and_answers_the_rest() {
    let temporary = tempfile::tempdir().unwrap();
    let (record, out) = (record(), temporary.path().join("out"));
    let scenarios = temporary.path().join("scenarios.toml");
    let text = "queries = 50\n[[scenario]]\nname = \"no\"\nmacs = 10\n[[scenario]]\nname = \"yes\"\nmacs = 2_000_000\n";
    fs::write(&scenarios, text).unwrap();
    let (tables, file) = (record.to_str().unwrap(), scenarios.to_str().unwrap());
    let deploy = |more: &[&str]| ofa("deploy", &[&["--tables", tables, "--scenarios", file], more].concat());
    let message = failure(deploy(&["--out", out.to_str().unwrap()]));
    let smallest = SearchSpace::small_mobilenet_v3(1, 10).smallest().to_string();
    assert!(message.contains("1 of 2 scenarios have no answer") && message.contains("scenario `no`"), "{message}");
    assert!(message.contains(&smallest), "{message}");
    let answers = rows(&out.join("answers.csv"));
    assert_eq!(answers.iter().map(|row| row["scenario"].as_str()).collect::<Vec<_>>(), ["yes", "no"]);
    assert!(answers[1]["arch"].is_empty() && answers[1]["problem"].contains(&smallest));
    fs::write(&scenarios, text.replace("macs", "mac")).unwrap();
    let message = failure(deploy(&[]));
    assert!(message.contains("scenarios.toml") && message.contains("mac"), "{message}");
}

#[test]
fn fit_writes_every_fit() {
    let temporary = tempfile::tempdir().unwrap();
    let (record, out) = (record(), temporary.path().join("predictors"));
    let (tables, out_text) = (record.to_str().unwrap(), out.to_str().unwrap());
    let settings = ["--predictors", "kernel_ridge,single_mlp", "--rows", "30,60", "--seeds", "2"];
    let arguments = [&["--tables", tables, "--out", out_text], &settings[..]].concat();
    let said = success(ofa("tables fit", &arguments));
    assert!(said.contains("160 rows of small_mobilenet_v3 on 2500 images"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("kernel_ridge")).count(), 2, "{said}");
    assert_eq!(rows(&out.join("fits.csv")).len(), 2 * 2 * 2);
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("kernel_ridge"));
    let message = failure(ofa("tables fit", &["--tables", tables, "--predictors", "oracle"]));
    assert!(message.contains("unknown predictor `oracle`; choose from: mlp"), "{message}");
}

#[test]
fn networks_timed_elsewhere_become_a_table_that_answers_scenarios() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name);
    let (record, space) = (record(), SearchSpace::small_mobilenet_v3(1, 10));
    let table = LatencyTable::load(&record.join("tables/latency.csv"), &space).unwrap();
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let line = |arch: Arch| format!("{arch},{}\n", 3.0 * table.latency_ms(&space, &arch).unwrap());
    let lines: String = (0..60).map(|_| line(space.sample(rng))).collect();
    fs::write(path("phone.csv"), format!("arch,ms\n{lines}")).unwrap();
    let (measured, out) = (path("phone.csv"), path("tables/phone.csv"));
    let (run_dir, out_text) = (record.to_str().unwrap(), out.to_str().unwrap());
    let arguments =
        ["--measured", measured.to_str().unwrap(), "--run", run_dir, "--device-name", "phone", "--out", out_text];
    let said = success(ofa("tables import-latency", &arguments));
    assert!(said.contains("60 networks; fitted on 48, 12 held out") && said.contains("171 units in "), "{said}");
    assert_eq!(LatencyTable::load(&out, &space).unwrap().header().device, "phone");

    let scenarios = path("scenarios.toml");
    let text = "queries = 50\n[devices.phone]\nlatency = \"tables/phone.csv\"\n\
                [[scenario]]\nname = \"a\"\ndevice = \"phone\"\nlatency_ms = 3\n";
    fs::write(&scenarios, text).unwrap();
    let arguments = ["--tables", run_dir, "--scenarios", scenarios.to_str().unwrap()];
    assert!(success(ofa("deploy", &arguments)).contains("1 scenarios in"));
}

/// The name that a unit's directory has in the published latencies of blocks, or the names of a head's layers.
fn published_names(unit: &Unit) -> Vec<String> {
    let size = unit.input_size;
    match unit.layers {
        UnitLayers::Conv(ConvShape { in_channels, out_channels, .. }) => {
            vec![format!("Conv_in-{in_channels}x{size}x{size}_out-{out_channels}_k-3_act-relu")]
        }
        UnitLayers::MbConv(block) => {
            let activation = if block.activation == Activation::HardSwish { "h_swish" } else { "relu" };
            vec![format!(
                "ResidualBlock-in_{0}x{size}x{size}-out_{1}-k_{2}-e_{3}-s_{4}-act_{activation}-use_se_{5}",
                block.in_channels,
                block.out_channels,
                block.kernel_size,
                block.mid_channels / block.in_channels,
                block.stride,
                if block.squeeze_excite { "True" } else { "False" }
            )]
        }
        UnitLayers::Head(HeadShape { in_channels, expand_channels, mix_channels, classes, .. }) => {
            let (expand, mix) = (expand_channels.unwrap(), mix_channels.unwrap());
            vec![
                format!("Conv_in-{in_channels}x{size}x{size}_out-{expand}_k-1_act-h_swish_shape"),
                format!("Conv_in-{expand}x1x1_out-{mix}_k-1_act-h_swish"),
                format!("Linear_in-{mix}_out-{classes}"),
            ]
        }
        _ => panic!("{unit:?} is not in MobileNetV3"),
    }
}

/// The recipe of the guide, on made-up numbers in the form of the published ones.
#[test]
fn published_latencies_of_blocks_become_a_table_of_the_original() {
    let temporary = tempfile::tempdir().unwrap();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/guides/tables.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, recipe) = guide.split_once("```awk\n").unwrap();
    fs::write(temporary.path().join("blocks.awk"), recipe.split_once("```").unwrap().0).unwrap();
    let space = SearchSpace { resolutions: vec![224], ..SearchSpace::mobilenet_v3(1.2, 1000) };
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let archs: Vec<Arch> = (0..100).map(|_| space.sample(rng)).collect();
    let mut times = std::collections::BTreeMap::new();
    for name in archs.iter().flat_map(|arch| space.units(arch)).flat_map(|unit| published_names(&unit)) {
        let ms = 0.125 * (times.len() + 1) as f64;
        times.entry(name).or_insert(ms);
    }
    assert_eq!(times.len(), 1 + 1 + 90 + 3);
    for (name, ms) in &times {
        let dir = temporary.path().join("All blocks(FPGA)").join(name);
        fs::create_dir_all(&dir).unwrap();
        // Two parts, as of a block that the device runs in several.
        let row = format!("subgraph_conv,500,DPU,0.001,{},9.0,0.05,\n", ms / 2.0);
        let text = format!(
            "Profile Summary\nTarget devices: N/A\n\nKernel Name,Runs,CU,Minimum,Average,Maximum\n{row}{row}\n"
        );
        fs::write(dir.join("profile_summary.csv"), text).unwrap();
    }
    let (_, command) = guide.split_once("mkdir fpga\n").unwrap();
    let command = command.split_once("```").unwrap().0.replace("find blocks", "mkdir fpga; find 'All blocks(FPGA)'");
    let ran = Command::new("sh").args(["-c", &command]).current_dir(temporary.path()).status().unwrap();
    assert!(ran.success());
    let table = OriginalLatencyTable::load(&temporary.path().join("fpga")).unwrap();
    for arch in &archs {
        let names = space.units(arch).iter().flat_map(published_names).collect::<Vec<_>>();
        let sum: f64 = names.iter().map(|name| times[name]).sum();
        let found = table.latency_ms(&space, arch).unwrap();
        assert!((found - sum).abs() < 1e-9, "{arch}: {found}, not {sum}");
    }
}

#[test]
fn parts_of_a_table_merge_into_it() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    let record = record();
    let text = fs::read_to_string(record.join("tables/accuracy.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let part = |rows: std::ops::Range<usize>| [&lines[..2], &lines[rows]].concat().join("\n") + "\n";
    fs::write(path("a.csv"), part(2..100)).unwrap();
    fs::write(path("b.csv"), part(90..lines.len())).unwrap();
    let merge = |out: &str| {
        let arguments = ["--run", record.to_str().unwrap(), "--out", out, &path("a.csv"), &path("b.csv")];
        ofa("tables merge", &arguments)
    };
    assert!(success(merge(&path("merged.csv"))).starts_with("160 rows"));
    assert_eq!(fs::read_to_string(path("merged.csv")).unwrap(), text);
    fs::write(path("b.csv"), part(90..lines.len()).replace("weights ", "weights f")).unwrap();
    let message = failure(merge(&path("again.csv")));
    assert!(message.contains("b.csv: the table's source is \"weights f"), "{message}");
}

#[test]
fn check_latency_times_whole_networks() {
    let temporary = tempfile::tempdir().unwrap();
    let (record, out) = (record(), temporary.path().join("check"));
    let arguments = ["--tables", record.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let few = ["--networks", "3", "--samples", "2"];
    let said = success(ofa("tables check-latency", &[&arguments[..], &few].concat()));
    assert!(said.contains("3 networks: mean error"), "{said}");
    let rows = rows(&out.join("latency_check.csv"));
    // The recorded table predates the recording of paces.
    let of = |row: &Row, column: &str| row[column].parse::<f64>().unwrap();
    let plain = |row: &Row| of(row, "measured") > 0.0 && of(row, "measured") == of(row, "at_tables_pace");
    assert!(rows.len() == 3 && rows.iter().all(plain), "{rows:?}");
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("3 random networks"));
}

#[test]
fn measure_latency_goes_on_with_its_table() {
    let temporary = tempfile::tempdir().unwrap();
    let mut space = SearchSpace::small_mobilenet_v3(1, 10);
    space.resolutions.truncate(1);
    let (file, out) = (temporary.path().join("space.json"), temporary.path().join("tables/flex.csv"));
    fs::write(&file, serde_json::to_string(&space).unwrap()).unwrap();
    let (file, out_text) = (file.to_str().unwrap(), out.to_str().unwrap());
    let measure = |networks: &str| {
        ofa(
            "tables measure-latency",
            &["--space", file, "--samples", "2", "--networks", networks, "--batch", "2", "--out", out_text],
        )
    };
    let said = success(measure("20"));
    assert!(said.contains("Flex(Cpu), ") && said.contains("units in ") && said.contains("10 other networks"), "{said}");
    let table = LatencyTable::load(&out, &space).unwrap();
    assert_eq!((table.header().batch, table.header().device.as_str()), (2, "Flex(Cpu)"));
    let text = fs::read_to_string(&out).unwrap();
    // The rows stay; whole networks are timed again.
    let rows = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    success(measure("20"));
    assert_eq!(rows(&fs::read_to_string(&out).unwrap()), rows(&text));
    assert!(failure(measure("19")).contains("--networks is 19, it must be at least 20"));
}

#[cfg(not(feature = "onnxruntime"))]
#[test]
fn onnxruntime_that_is_not_compiled_in_names_its_feature() {
    let record = record();
    let record = record.to_str().unwrap();
    for (command, arguments) in [
        ("tables measure-latency", vec!["--run", record, "--out", "/nowhere/at/all.csv"]),
        ("tables check-latency", vec!["--tables", record]),
        ("subnet bench", vec!["--space", "small_mobilenet_v3"]),
    ] {
        let message = failure(ofa(command, &[&arguments[..], &["--latency-device", "onnxruntime"]].concat()));
        assert!(message.contains("--features onnxruntime"), "{command}: {message}");
    }
}

/// The table of a recorded device follows from what it measured.
#[test]
fn a_device_is_read_from_its_record() {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-30-onnxruntime");
    let temporary = tempfile::tempdir().unwrap();
    let table = temporary.path().join("table.csv");
    let results = kit.join("results.csv");
    let [kit_path, results, out] = [&kit, &results, &table].map(|path| path.to_str().unwrap());
    let said = success(ofa("device read", &[kit_path, results, "--out", out]));
    assert!(
        said.contains("500 networks; fitted on 400, 100 held out: mean error 1.41 %, 100.0 % within 10 %"),
        "{said}"
    );
    assert_eq!(fs::read(&table).unwrap(), fs::read(kit.join("table.csv")).unwrap());
    assert!(failure(ofa("device read", &[kit_path, results, "--out", out])).contains("exists already"));
    let short = temporary.path().join("short.csv");
    let text = fs::read_to_string(results).unwrap();
    fs::write(&short, text.lines().take(20).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let new = temporary.path().join("new.csv");
    let message = failure(ofa("device read", &[kit_path, short.to_str().unwrap(), "--out", new.to_str().unwrap()]));
    assert!(message.contains("20") && message.contains("found 19") && !new.exists(), "{message}");
}

#[cfg(feature = "onnx")]
#[test]
fn a_kit_holds_what_a_device_needs() {
    let temporary = tempfile::tempdir().unwrap();
    let kit = temporary.path().join("kit");
    let out = kit.to_str().unwrap();
    let make = |networks: &str| {
        let space = ["--space", "small_mobilenet_v3", "--networks", networks];
        ofa("device kit", &[&space[..], &["--free-batch", "--opset", "12", "--out", out]].concat())
    };
    assert!(failure(make("19")).contains("--networks is 19: a latency table takes at least 20"));
    assert!(!kit.exists());
    success(make("20"));
    let manifest: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(kit.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((manifest["opset"].as_u64(), manifest["networks"].as_array().unwrap().len()), (Some(12), 20));
    assert_eq!(fs::read_dir(kit.join("models")).unwrap().count(), 21);
    assert!(kit.join("run.py").is_file());
    assert!(failure(make("20")).contains("exists already"));

    let both = temporary.path().join("both");
    let out = ["--networks", "20", "--int8", "--out", both.to_str().unwrap()];
    let said = success(ofa("device kit", &[&["--space", "small_mobilenet_v3"][..], &out].concat()));
    assert!(said.contains("each also in 8-bit integers"), "{said}");
    assert_eq!(fs::read_dir(both.join("models")).unwrap().count(), 41);
}

/// The table of a record with a column of accuracies in integers.
#[test]
fn scenarios_are_answered_by_accuracy_in_integers() {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-24-default-14-epochs");
    let text = fs::read_to_string(record.join("tables/accuracy.csv")).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    let deploy = |scenario: &str| {
        fs::write(path("asked.toml"), format!("queries = 200\n{scenario}")).unwrap();
        let tables = ["--tables", &path(""), "--space", "small_mobilenet_v3", "--scenarios", &path("asked.toml")];
        ofa("deploy", &tables)
    };
    fs::write(path("accuracy.csv"), &text).unwrap();
    let by_int8 = "objective = \"int8_top1\"\n[[scenarios]]\nname = \"a\"\nparameters = 90_000\n";
    assert!(failure(deploy(by_int8)).contains("has no column int8_top1"));

    // Networks at 28 pixels lose most of their accuracy in integers.
    let lines = text.lines().enumerate().map(|(number, line)| match number {
        0 => line.strip_suffix('}').unwrap().to_owned() + ",\"int8\":\"made up\"}\n",
        1 => format!("{line},int8_top1\n"),
        _ => {
            let top1: f64 = line.split(',').nth(1).unwrap().parse().unwrap();
            format!("{line},{}\n", if line.starts_with("r28") { top1 - 0.5 } else { top1 - 0.01 })
        }
    });
    fs::write(path("accuracy.csv"), lines.collect::<String>()).unwrap();
    let by_float = by_int8.replace("objective = \"int8_top1\"\n", "");
    let found = |said: String| said.lines().find(|line| line.starts_with("a ")).unwrap().to_owned();
    assert!(found(success(deploy(&by_float))).contains("  r28-"));
    assert!(!found(success(deploy(by_int8))).contains("  r28-"));
    assert!(!found(success(deploy(&format!("{by_float}int8_top1 = 0.7\n")))).contains("  r28-"));
    let message = failure(deploy(&format!("{by_float}int8_top1 = 0.99\n")));
    assert!(message.contains("int8 error"), "{message}");
}
