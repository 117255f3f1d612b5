//! The main binaries on small real data, and their errors on bad input.

mod process;

use burn::tensor::Device;
use experiments::config::ExperimentConfig;
use experiments::deployment::specialise::Chosen;
use experiments::report::ReportData;
use ofa_model::{Supernet, read_state_dict};
use ofa_train::ScheduleKind;
use process::{config_file, once_for_all, tiny, tiny_trained_by};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A command of `ofa`.
fn ofa(command: &str) -> Command {
    let mut ofa = Command::new(env!("CARGO_BIN_EXE_ofa"));
    ofa.args(command.split(' '));
    ofa
}

fn run(config: &ExperimentConfig, root: &Path) -> Output {
    let path = config_file(config, root);
    once_for_all(&["--config", path.to_str().unwrap(), "--out", root.to_str().unwrap()])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The error that a failing process printed.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stderr)
}

/// Help of a command of `ofa` and of everything below it.
fn helps(command: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_ofa")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    let help = text(&output.stdout);
    let mut found = vec![help.clone()];
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for name in commands.map(|line| line.split_whitespace().next().unwrap()).filter(|name| *name != "help") {
        found.extend(helps(&[command, &[name]].concat()));
    }
    found
}

#[test]
fn help_fits_a_screen_and_has_an_example() {
    let helps = helps(&[]);
    assert!(helps.len() >= 31, "{helps:?}");
    for help in helps {
        assert!(help.contains("\nExample: ofa ") && help.lines().count() <= 50, "{help}");
    }
}

#[test]
fn the_main_job_leaves_a_complete_run_and_its_subnet_classifies_an_image() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("run");
    let config = tiny();
    let output = run(&config, &root);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).starts_with("About "), "{}", text(&output.stdout));
    let files = [
        "config.toml",
        "environment.json",
        "metrics.csv",
        "watched.csv",
        "report.html",
        "report.json",
        "tables/accuracy.csv",
        "tables/latency.csv",
        "search/answers.csv",
        "supernet/weights.safetensors",
        "tensorboard/events.out.tfevents.0.run",
    ];
    for file in files {
        assert!(fs::metadata(root.join(file)).unwrap().len() > 0, "{file}");
    }
    let report: ReportData = serde_json::from_str(&fs::read_to_string(root.join("report.json")).unwrap()).unwrap();
    assert_eq!(report.epochs.len(), 6);
    assert_eq!(report.table.len(), 8);
    let [chosen] = report.chosen.as_slice() else { panic!("{:?}", report.chosen) };

    // A second run in the same directory is refused; resuming a finished run reports the same numbers.
    let root_text = root.to_str().unwrap();
    let message = failure(&once_for_all(&["--preset", "smoke", "--out", root_text]));
    assert!(message.contains("already holds a run") && message.contains("--resume"), "{message}");
    let output = once_for_all(&["--resume", "--out", root_text]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains(" are left on "), "{}", text(&output.stdout));
    let again: ReportData = serde_json::from_str(&fs::read_to_string(root.join("report.json")).unwrap()).unwrap();
    assert_eq!((&again.epochs, &again.watched, &again.extremes), (&report.epochs, &report.watched, &report.extremes));

    what_is_finished_of_a_subnet_is_not_done_again(&root, chosen);
    specialise_exports_a_subnet_a_scenario(&root);
    evaluate_gives_the_numbers_of_the_report(&root, &report);

    let image = temporary.path().join("shirt.png");
    image::GrayImage::from_fn(28, 28, |x, y| image::Luma([(x * y) as u8])).save(&image).unwrap();
    let subnet = root.join("subnets").join(&chosen.scenario);
    let classify =
        |image: &Path| ofa("subnet classify").arg(&subnet).arg(image).args(["--top", "10"]).output().unwrap();
    let output = classify(&image);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let percent = |line: &str| line.trim().split(' ').next().unwrap().parse::<f64>().unwrap();
    let total: f64 = lines.lines().map(percent).sum();
    assert_eq!(lines.lines().count(), 10);
    assert!((total - 100.0).abs() < 1.0, "{lines}");
    fs::write(&image, "no image").unwrap();
    assert!(failure(&classify(&image)).contains("shirt.png"));
}

/// A run that was stopped after its first subnet resumes with the second.
fn what_is_finished_of_a_subnet_is_not_done_again(root: &Path, chosen: &Chosen) {
    let metrics = root.join("subnets").join(&chosen.scenario).join("metrics.json");
    let resumed_with = |noted: &Chosen| -> Chosen {
        fs::write(&metrics, serde_json::to_string(noted).unwrap()).unwrap();
        let output = once_for_all(&["--resume", "--out", root.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_str(&fs::read_to_string(&metrics).unwrap()).unwrap()
    };
    let marked = Chosen { test_top1: 0.123, ..chosen.clone() };
    assert_eq!(resumed_with(&marked).test_top1, 0.123);
    // A subnet of another arch is made again.
    let other = Chosen { arch: "r20-k3e3.k3e3-k3e3.k3e3-k3e3.k3e3".into(), ..marked };
    assert_ne!(other.arch, chosen.arch);
    let again = resumed_with(&other);
    assert_eq!((again.arch, again.test_top1), (chosen.arch.clone(), chosen.test_top1));
}

/// Parses a table of scores: arch, then images, top-1, top-5 and loss.
fn scores(output: &Output) -> Vec<(String, [f64; 4])> {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let table = text(&output.stdout);
    let (header, rows) = table.split_once('\n').unwrap();
    assert_eq!(header, "arch,images,top1,top5,loss");
    let row = |line: &str| {
        let (arch, numbers) = line.split_once(',').unwrap();
        let numbers: Vec<f64> = numbers.split(',').map(|number| number.parse().unwrap()).collect();
        (arch.to_owned(), numbers.try_into().unwrap())
    };
    rows.lines().map(row).collect()
}

fn evaluate_gives_the_numbers_of_the_report(root: &Path, report: &ReportData) {
    let beside = |name: &str| root.with_file_name(name);
    let evaluate = |network: &Path, more: &[&str]| ofa("subnet evaluate").arg(network).args(more).output().unwrap();
    let out = beside("scores");
    let trained = scores(&evaluate(root, &["--split", "test", "--out", out.to_str().unwrap()]));
    let extremes: Vec<_> =
        report.extremes.iter().rev().map(|extreme| (extreme.arch.as_str(), extreme.test_top1)).collect();
    assert_eq!(trained.iter().map(|(arch, numbers)| (arch.as_str(), numbers[1])).collect::<Vec<_>>(), extremes);
    for (arch, [images, top1, top5, loss]) in &trained {
        assert!(*images == 50.0 && top1 <= top5 && *loss > 0.0, "{trained:?}");
        let confusion = fs::read_to_string(out.join(format!("{arch}.confusion.csv"))).unwrap();
        let counts = confusion.lines().skip(1).flat_map(|line| line.split(',').skip(1));
        assert_eq!(counts.map(|count| count.parse::<f64>().unwrap()).sum::<f64>(), 50.0);
        assert_eq!(fs::read_to_string(out.join(format!("{arch}.classes.csv"))).unwrap().lines().count(), 11);
    }
    assert_eq!(fs::read_to_string(out.join("scores.csv")).unwrap().lines().count(), 3);

    // A supernet directory alone implies the embedded images. Without it, the run's last checkpoint gives the same
    // scores.
    let archs = beside("archs.txt");
    let largest = &trained[1].0;
    fs::write(&archs, format!("# the largest\n\n{largest}\n")).unwrap();
    let few = ["--images", "20", "--calibration-images", "50", "--archs", archs.to_str().unwrap()];
    let alone = scores(&evaluate(&root.join("supernet"), &few));
    assert_eq!((alone.len(), &alone[0].0, alone[0].1[0]), (1, largest, 20.0));
    fs::rename(root.join("supernet"), beside("elsewhere")).unwrap();
    assert_eq!(scores(&evaluate(root, &["--split", "test"])), trained);

    fs::write(&archs, "# none fits\nr28-k3e3\n").unwrap();
    let message = failure(&evaluate(root, &["--archs", archs.to_str().unwrap()]));
    assert!(message.contains("archs.txt:2") && message.contains("arch `r28-k3e3` is outside the space"), "{message}");
    let message = failure(&evaluate(&beside("nowhere"), &[]));
    assert!(message.contains("nowhere is neither"), "{message}");
}

fn specialise_exports_a_subnet_a_scenario(root: &Path) {
    let beside = |name: &str| root.with_file_name(name);
    let (scenarios, out) = (beside("scenarios.toml"), beside("scenarios"));
    fs::write(&scenarios, "queries = 50\n[[scenario]]\nname = \"small\"\nmacs = 1_000_000\n").unwrap();
    let output = ofa("deploy")
        .args(["--tables", root.to_str().unwrap(), "--scenarios", scenarios.to_str().unwrap()])
        .args(["--out", out.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let (subnet, card) = ofa_model::Subnet::load(&out.join("subnets/small"), &Device::flex()).unwrap();
    assert!(text(&output.stdout).contains(&card.arch) && card.classes.len() == 10, "{}", text(&output.stdout));
    assert!(subnet.space().cost(subnet.arch()).macs <= 1_000_000);
}

#[cfg(unix)]
#[test]
fn a_run_that_is_interrupted_says_how_to_go_on() {
    use std::io::{BufRead, BufReader};
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("run");
    let mut config = tiny();
    // Enough units for several groups, so that some are left when the first ones are reported.
    config.space.resolutions = vec![12, 16, 20, 24];
    let path = config_file(&config, &root);
    let (config, out) = (path.to_str().unwrap(), root.to_str().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_once_for_all"))
        .args(["--config", config, "--out", out])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("latency table: ")));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let said = rest.last().unwrap();
    assert!(said.contains("progress is saved; resume with `--resume --out"), "{rest:?}");
    assert!(!root.join("report.html").exists());
    let output = once_for_all(&["--resume", "--out", out]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn every_kind_of_schedule_trains_a_supernet() {
    for &kind in ScheduleKind::ALL {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("run");
        let mut config = tiny_trained_by(kind);
        config.training.schedule = config.training.schedule.scale_to(8);
        let path = config_file(&config, &root);
        let output =
            ofa("train").args(["--config", path.to_str().unwrap(), "--out", root.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{kind}: {}{}", text(&output.stdout), text(&output.stderr));
        let lines = fs::read_to_string(root.join("metrics.csv")).unwrap().lines().count();
        assert_eq!(lines, 1 + config.training.schedule.epochs(), "{kind}");
        assert!(root.join("supernet").is_dir() && root.join("checkpoints/best").is_dir(), "{kind}");
    }
}

#[test]
fn schedules_are_chosen_by_name_and_by_file() {
    let temporary = tempfile::tempdir().unwrap();
    let plan = |arguments: &[&str]| ofa("plan").args(arguments).output().unwrap();
    let output = plan(&["--preset", "standard", "--schedule", "sandwich", "--subnet-epochs", "40", "--steps", "0"]);
    assert!(
        text(&output.stdout).contains("10 epochs of 781 steps"),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(failure(&plan(&["--schedule", "shrink"])).contains("`shrink`; choose one of: progressive_shrinking"));

    let schedule = ExperimentConfig::preset_with("thorough", ScheduleKind::Grow).unwrap().training.schedule;
    let file = temporary.path().join("grow.toml");
    fs::write(&file, toml::to_string(&schedule).unwrap()).unwrap();
    let file = file.to_str().unwrap();
    let output = plan(&["--preset", "smoke", "--schedule", file, "--toml"]);
    let config = ExperimentConfig::parse(&text(&output.stdout)).unwrap();
    assert_eq!(config.training.schedule, schedule);
    fs::write(file, "name = 'mine'").unwrap();
    assert!(failure(&plan(&["--schedule", file])).contains("grow.toml"));

    // With measured steps it prints how long training takes.
    let path = config_file(&tiny(), &temporary.path().join("run"));
    let output = plan(&["--config", path.to_str().unwrap(), "--steps", "1"]);
    assert!(text(&output.stdout).contains("training: about"), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn a_supernet_is_trained_alone_and_the_main_job_goes_on_with_it() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("run");
    let path = config_file(&tiny(), &root);
    let out = root.to_str().unwrap();
    let train = |arguments: &[&str]| ofa("train").args(arguments).args(["--out", out]).output().unwrap();
    let output = train(&["--config", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let table = fs::read_to_string(root.join("tables/accuracy.csv")).unwrap();
    assert_eq!(table.lines().count(), 2 + 8, "{table}");
    let weights = || Supernet::load(&root.join("supernet"), &Device::flex()).unwrap().to_original();
    let trained = weights();

    // Resuming a finished training changes nothing.
    let output = train(&["--resume"]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(weights() == trained);

    let supernet = root.join("supernet");
    goes_on_from(&root, temporary.path());
    let arch = tiny().space.smallest().to_string();
    is_exported_with_statistics(&supernet, &arch, temporary.path());

    let output = once_for_all(&["--resume", "--out", out]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("resumed: phase `done`"), "{}", text(&output.stdout));
    assert_eq!(fs::read_to_string(root.join("tables/accuracy.csv")).unwrap(), table);
}

/// Training leaves no statistics: a subnet of a run is calibrated on the run's images; one of any other supernet is
/// refused.
fn is_exported_with_statistics(supernet: &Path, arch: &str, parent: &Path) {
    let export = |supernet: &Path, out: &Path| {
        let arguments = [supernet.to_str().unwrap(), "--arch", arch, "--out", out.to_str().unwrap()];
        ofa("subnet export").args(arguments).output().unwrap()
    };
    let exported = parent.join("net");
    let output = export(supernet, &exported);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let card: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(exported.join("card.json")).unwrap()).unwrap();
    assert!((card["mean"][0].as_f64().unwrap() - 0.286).abs() < 0.01, "not the mean of the run's images: {card}");
    let weights = read_state_dict(&exported.join("weights.safetensors")).unwrap();
    let (_, mean) = weights.iter().find(|(key, _)| key.ends_with("running_mean")).unwrap();
    assert!(mean.iter::<f32>().any(|mean| mean != 0.0));

    let elsewhere = parent.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for file in fs::read_dir(supernet).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), elsewhere.join(file.file_name())).unwrap();
    }
    let message = failure(&export(&elsewhere, &parent.join("refused")));
    assert!(message.contains("have no statistics yet"), "{message}");
}

/// A trained supernet serves as the start of another training, and as its teacher.
fn goes_on_from(run: &Path, parent: &Path) {
    let mut config = tiny();
    config.training.schedule.phases = vec![config.training.schedule.phases.remove(1)];
    let train = |config: &ExperimentConfig, name: &str| {
        let root = parent.join(name);
        let path = config_file(config, &root);
        let arguments = ["--config", path.to_str().unwrap(), "--out", root.to_str().unwrap()];
        ofa("train").args(arguments).output().unwrap()
    };
    assert!(failure(&train(&config, "without")).contains("no earlier phase becomes the teacher and none is given"));
    (config.training.start, config.training.teacher) = (Some(run.to_owned()), Some(run.join("supernet")));
    let output = train(&config, "with");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    config.space.stages[0].channels *= 2;
    let message = failure(&train(&config, "of another space"));
    assert!(message.contains("training.start") && message.contains("small_mobilenet_v3"), "{message}");
}

#[cfg(not(feature = "mpi"))]
#[test]
fn one_of_several_processes_that_cannot_hear_of_the_others_does_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("run");
    let output = ofa("train")
        .args(["--preset", "smoke", "--out", root.to_str().unwrap()])
        .env("OMPI_COMM_WORLD_SIZE", "2")
        .output()
        .unwrap();
    let message = failure(&output);
    assert!(message.contains("started 2 processes") && message.contains("--features mpi"), "{message}");
    assert!(!root.exists());
}

#[test]
fn bad_input_is_named_and_nothing_is_trained() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("run");
    let out = root.to_str().unwrap();
    assert!(failure(&once_for_all(&["--preset", "fast", "--out", out])).contains("`fast`"));
    assert!(failure(&once_for_all(&["--device", "tpu", "--out", out])).contains("unknown device `tpu`"));
    assert!(failure(&once_for_all(&["--resume", "--out", out])).contains("there is no run in"));
    let missing = temporary.path().join("nowhere");
    let message = failure(&once_for_all(&["--data", missing.to_str().unwrap(), "--out", out]));
    assert!(message.contains("nowhere"), "{message}");
    let config = temporary.path().join("bad.toml");
    fs::write(&config, tiny().to_toml().unwrap().replace("batch_size", "batchsize")).unwrap();
    let message = failure(&once_for_all(&["--config", config.to_str().unwrap(), "--out", out]));
    assert!(message.contains("bad.toml") && message.contains("batchsize"), "{message}");
    assert!(!root.exists());
}

#[test]
fn a_budget_that_no_subnet_meets_names_the_cheapest() {
    let temporary = tempfile::tempdir().unwrap();
    let mut config = tiny();
    config.search.scenarios[0].macs = Some(1000);
    let message = failure(&run(&config, &temporary.path().join("run")));
    assert!(message.contains("k3e3") && message.contains("MACs"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_the_run_can_go_on() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("run");
    let path = config_file(&tiny(), &root);
    // A file size limit stands in for a full disk: configuration and records fit, the first checkpoint fails.
    let limited = r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#;
    let binary = env!("CARGO_BIN_EXE_once_for_all");
    let (config, out) = (path.to_str().unwrap(), root.to_str().unwrap());
    let output = Command::new("sh").args(["-c", limited, binary, "--config", config, "--out", out]).output().unwrap();
    let message = failure(&output);
    assert!(message.contains("checkpoint") && message.contains("--resume"), "{message}");
    let output = once_for_all(&["--resume", "--out", out]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(root.join("report.html").exists());
}

#[test]
fn a_folder_of_colour_images_takes_the_place_of_the_embedded_ones() {
    let temporary = tempfile::tempdir().unwrap();
    let data = temporary.path().join("data");
    for (part, images) in [("train", 60), ("val", 20)] {
        for (class, colour) in [("blue", [40, 60, 200]), ("red", [200, 60, 40])] {
            let folder = data.join(part).join(class);
            fs::create_dir_all(&folder).unwrap();
            for i in 0..images {
                let shade = |x, y| colour.map(|c: u8| c.wrapping_add((x * i + y) as u8 % 50));
                let image = image::RgbImage::from_fn(24, 20, |x, y| image::Rgb(shade(x, y)));
                image.save(folder.join(format!("{i}.png"))).unwrap();
            }
        }
    }
    // Prepare the images, so that the main job reads shards; one of them is broken.
    fs::write(data.join("train/red/7.png"), "").unwrap();
    let prepared = temporary.path().join("prepared");
    let (from, to) = (data.to_str().unwrap(), prepared.to_str().unwrap());
    let prepare = |more: &[&str]| {
        let arguments = [&[from, to, "--short-side", "16"], more].concat();
        ofa("data prepare").args(arguments).output().unwrap()
    };
    let refused = text(&prepare(&[]).stderr);
    assert!(refused.contains("train/red/7.png: empty file") && refused.contains("--skip-broken"), "{refused}");
    let refused = text(&prepare(&["--quality", "50"]).stderr);
    assert!(refused.contains("from other images or settings"), "{refused}");
    let output = prepare(&["--skip-broken", "0.02"]);
    assert!(output.status.success() && text(&output.stdout).contains("159 images in"), "{}", text(&output.stderr));

    let root = temporary.path().join("run");
    let path = config_file(&tiny(), &root);
    let (config, out) = (path.to_str().unwrap(), root.to_str().unwrap());
    let output = once_for_all(&["--config", config, "--data", to, "--out", out]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let config = fs::read_to_string(root.join("config.toml")).unwrap();
    assert!(config.contains("[data.prepared]") && config.contains("short_side = 16"), "{config}");
    let report: ReportData = serde_json::from_str(&fs::read_to_string(root.join("report.json")).unwrap()).unwrap();
    let subnet = root.join("subnets").join(&report.chosen[0].scenario);
    let image = data.join("val/red/3.png");
    let output = ofa("subnet classify").arg(subnet).arg(image).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("red") && text(&output.stdout).contains("blue"));
}

#[test]
fn the_template_runs() {
    let output = Command::new(env!("CARGO_BIN_EXE_minimal")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().filter(|line| line.contains("MACs:")).count(), 3, "{lines}");
}
