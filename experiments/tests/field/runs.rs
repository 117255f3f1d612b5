//! D8, D9, R1, R2, kinds 13, 14, 20, 21 and 25, and the small ones: runs that cannot hurt each other or mislead.

use crate::process::{config_file, failure, ofa, once_for_all, said, success, tiny};
use crate::{Place, SPACE, space};
use experiments::config::ExperimentConfig;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The tiny configuration on colour images of two classes.
fn coloured() -> ExperimentConfig {
    let mut config = tiny();
    (config.data.channels, config.space.image_channels, config.space.classes) = (3, 3, 2);
    config
}

/// Starts a program, and waits until `file` of its run exists.
fn started(program: &str, arguments: &[&str], file: &str) -> Child {
    let mut child = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while !Path::new(file).exists() {
        assert!(child.try_wait().unwrap().is_none(), "{arguments:?} ended before it wrote {file}");
        assert!(begin.elapsed() < Duration::from_secs(120), "{file} does not appear");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn d8_one_class_is_refused_by_every_program_before_anything_starts() {
    let place = Place::new();
    place.images("parts/train", &["only"], 90, 24);
    place.images("parts/val", &["only"], 10, 24);
    place.images("alone/things", &["only"], 5, 24);
    place.images("few/train", &["only"], 1, 24);
    let out = place.at("run");
    for set in ["parts", "alone", "alone/things", "few"] {
        let data = place.at(set);
        let arguments = ["--preset", "smoke", "--data", &data];
        for message in [
            failure(once_for_all(&[&arguments[..], &["--out", &out]].concat())),
            failure(ofa("train", &[&arguments[..], &["--out", &out]].concat())),
            failure(ofa("plan", &[&arguments[..], &["--steps", "0"]].concat())),
            failure(ofa("data check", &[&data])),
            failure(ofa("data prepare", &[&data, &out])),
        ] {
            assert!(message.contains("one class (only): there is nothing to learn"), "{set}: {message}");
            assert!(!Path::new(&out).exists(), "{set}");
        }
    }
}

#[test]
fn d9_what_can_be_known_is_checked_before_there_is_a_run() {
    let place = Place::new();
    place.images("set/train", &["cat", "dog"], 8, 24);
    place.images("set/val", &["cat", "dog"], 2, 24);
    let (data, out) = (place.at("set"), place.at("run"));
    type Change = fn(&mut ExperimentConfig, &Place);
    let cases: [(Change, &str); 9] = [
        (|config, _| config.training.batch_size = 64, "batch"),
        (|config, place| config.training.start = Some(place.at("nowhere").into()), "nowhere"),
        (|config, place| config.training.teacher = Some(place.at("nothing").into()), "nothing"),
        (|config, place| config.training.start = Some(place.supernet("gray", 1).into()), "training.start"),
        (|config, _| config.data.hold_out = Some(0.9), "hold_out"),
        (|config, _| config.tables.archs = 3, "tables.archs"),
        (|config, _| config.training.schedule.phases.clear(), "schedule"),
        (|config, _| config.search.queries = 0, "queries"),
        (|config, _| config.device = "quantum".into(), "unknown device `quantum`"),
    ];
    for (change, word) in cases {
        let mut config = coloured();
        config.training.batch_size = 8;
        change(&mut config, &place);
        let file = config_file(&config, Path::new(&out));
        let arguments = ["--config", file.to_str().unwrap(), "--data", &data, "--out", &out];
        for message in [failure(once_for_all(&arguments)), failure(ofa("train", &arguments))] {
            assert!(message.contains(word), "{word}: {message}");
            assert!(!message.contains("--resume"), "advice that cannot help: {message}");
            assert!(!Path::new(&out).exists(), "{word}");
        }
    }
}

#[test]
fn r1_a_second_job_is_refused_and_the_lock_of_a_killed_one_is_taken_over() {
    let place = Place::new();
    let out = place.at("run");
    let mut config = tiny();
    config.training.schedule = config.training.schedule.scale_to(4000);
    let file = config_file(&config, Path::new(&out));
    let (file, checkpoint) = (file.to_str().unwrap(), format!("{out}/checkpoints"));
    let mut first = started(env!("CARGO_BIN_EXE_once_for_all"), &["--config", file, "--out", &out], &checkpoint);
    let holder = format!("is in use by process {} on ", first.id());
    for message in [
        failure(once_for_all(&["--resume", "--out", &out])),
        failure(once_for_all(&["--resume", "--out", &format!("{out}/.")])),
        failure(ofa("train", &["--resume", "--out", &out])),
    ] {
        assert!(message.contains(&holder), "{message}");
    }
    let message = failure(once_for_all(&["--config", file, "--out", &out]));
    assert!(message.contains("already holds a run") || message.contains(&holder), "{message}");
    // Readers need no lock.
    let few = ["--images", "10", "--calibration-images", "8"];
    success(ofa("subnet evaluate", &[&[&*out], &few[..]].concat()));
    assert!(first.try_wait().unwrap().is_none(), "the first job was not hurt");
    first.kill().unwrap();
    first.wait().unwrap();
    let mut second = started(env!("CARGO_BIN_EXE_ofa"), &["train", "--resume", "--out", &out], &checkpoint);
    let (holder, begin) = (format!("process {} on ", second.id()), Instant::now());
    while !fs::read_to_string(format!("{out}/lock")).unwrap().starts_with(&holder) {
        assert!(second.try_wait().unwrap().is_none(), "the lock of a process that is gone is taken over");
        assert!(begin.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(5));
    }
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn r2_a_run_goes_on_after_its_images_moved_if_they_are_the_same() {
    let place = Place::new();
    let root = place.0.path();
    place.images("few/train", &["cat", "dog"], 24, 24);
    place.images("few/val", &["cat", "dog"], 4, 24);
    place.images("other/train", &["cat", "dog"], 24, 22);
    place.images("other/val", &["cat", "dog"], 4, 22);
    let mut config = coloured();
    config.training.schedule.phases.truncate(2);
    config_file(&config, &root.join("run"));
    let train = |directory: &Path, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ofa"));
        command.arg("train").args(arguments).current_dir(directory).output().unwrap()
    };
    let begin = ["--config", "run.toml", "--data", "few", "--out", "run"];
    let mut first = Command::new(env!("CARGO_BIN_EXE_ofa"))
        .arg("train")
        .args(begin)
        .current_dir(root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !root.join("run/checkpoints").exists() && begin.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(2));
    }
    first.kill().ok();
    first.wait().unwrap();
    // From another directory it goes on, because paths are stored as absolute ones.
    let noted = fs::read_to_string(root.join("run/config.toml")).unwrap();
    assert!(noted.contains(&format!("dir = \"{}\"", place.at("few"))), "{noted}");
    fs::create_dir(root.join("elsewhere")).unwrap();
    fs::rename(root.join("few"), root.join("elsewhere/moved")).unwrap();
    let message = failure(train(root, &["--resume", "--out", "run"]));
    assert!(message.contains("few not found"), "{message}");
    let message = failure(train(root, &["--resume", "--out", "run", "--data", "other"]));
    assert!(message.contains("images are not those the run started with"), "{message}");
    assert_eq!(fs::read_to_string(root.join("run/config.toml")).unwrap(), noted);
    success(train(&root.join("elsewhere"), &["--resume", "--out", "../run", "--data", "moved"]));
    let noted = fs::read_to_string(root.join("run/config.toml")).unwrap();
    assert!(noted.contains(&place.at("elsewhere/moved")), "{noted}");
    // Once noted, the new place is known.
    success(train(root, &["--resume", "--out", "run"]));
    let message = failure(train(root, &["--resume", "--out", "run", "--seed", "2"]));
    assert!(message.contains("--data and --device may change"), "{message}");
}

#[test]
fn kind_14_a_training_that_diverged_gets_one_advice() {
    let place = Place::new();
    let mut config = tiny();
    config.training.schedule.phases.iter_mut().for_each(|phase| phase.learning_rate = 1e30);
    let out = place.at("run");
    let file = config_file(&config, Path::new(&out));
    let message = failure(ofa("train", &["--config", file.to_str().unwrap(), "--out", &out]));
    assert!(message.contains("start a new run with a lower learning rate"), "{message}");
    assert!(!message.contains("--resume"), "{message}");
}

#[test]
fn kind_25_an_error_of_the_system_is_said_once() {
    let place = Place::new();
    let (gone, out, net, text) =
        (place.at("gone"), place.at("out"), place.supernet("net", 1), space().smallest().to_string());
    let file = place.file("a file", "text");
    let below = format!("{file}/below");
    let commands: [(&str, Vec<&str>); 17] = [
        ("weights import", [&SPACE[..], &["--checkpoint", &gone, "--out", &out]].concat()),
        ("weights import", [&SPACE[..], &["--checkpoint", &net, "--out", &out]].concat()),
        (
            "weights logits",
            [&SPACE[..], &["--checkpoint", &gone, "--arch", &text, "--images", &gone, "--out", &out]].concat(),
        ),
        ("subnet export", vec![&gone, "--out", &out]),
        ("subnet export", vec![&net, "--arch", &text, "--calibrate", &gone, "--out", &out]),
        ("subnet evaluate", vec![&gone]),
        ("subnet evaluate", vec![&net, "--archs", &gone]),
        ("subnet classify", vec![&gone, &file]),
        ("space show", vec!["--space", "gone.json"]),
        ("tables import-latency", [&SPACE[..], &["--measured", &gone, "--device-name", "x", "--out", &out]].concat()),
        ("tables fit", vec!["--tables", &gone]),
        ("deploy", vec!["--tables", &gone, "--scenarios", &gone]),
        ("plan", vec!["--config", &gone]),
        ("train", vec!["--resume", "--out", &gone]),
        ("train", vec!["--preset", "smoke", "--out", &below]),
        ("data prepare", vec![&gone, &out]),
        ("cost", vec!["--run", &gone]),
    ];
    for (command, arguments) in commands {
        let message = failure(ofa(command, &arguments));
        assert!(message.matches("os error").count() < 2, "{command}: {message}");
        assert!(message.matches("No such file").count() < 2, "{command}: {message}");
        assert!(message.starts_with("error: ") && message.lines().count() == 1, "{command}: {message}");
        assert!(!Path::new(&out).exists(), "{command}");
    }
}

#[test]
fn small_ones_options_that_do_nothing_or_less_are_said() {
    let place = Place::new();
    let plan =
        |subnet_epochs: &str| ofa("plan", &["--preset", "smoke", "--steps", "0", "--subnet-epochs", subnet_epochs]);
    assert!(failure(plan("0")).contains("--subnet-epochs is 0, it must be positive"));
    for few in ["1", "2", "7"] {
        let said = said(plan(few));
        assert!(said.contains(&format!("10 subnet-epochs come closest to {few}")), "{said}");
    }
    let minimal = Command::new(env!("CARGO_BIN_EXE_minimal")).arg("--epochs").output().unwrap();
    assert!(!minimal.status.success() && String::from_utf8_lossy(&minimal.stderr).contains("takes no options"));
    let out = place.at("run");
    fs::create_dir_all(format!("{out}/subnets/a")).unwrap();
    let image = place.file("x.png", crate::png(20, |x, y| image::Rgb([x as u8, y as u8, 0])));
    let message = failure(ofa("subnet classify", &[&out, &image]));
    assert!(message.contains(&format!("is a run: name one of its subnets in {out}/subnets")), "{message}");
    let message = failure(ofa("subnet evaluate", &[&place.at("void")]));
    assert!(message.contains("is neither a run directory nor a supernet directory"), "{message}");
    assert!(!message.contains("resume"), "{message}");
    let message = failure(ofa("data preview", &["--data", &image, "--out", &place.at("sheet.png")]));
    assert!(message.contains("x.png is a file: pass the directory that it lies in"), "{message}");
    // Equal latencies have no rank correlation.
    let rows: String = (0..40).map(|seed| format!("{},2\n", crate::sampled(seed))).collect();
    let (measured, table) = (place.file("phone.csv", format!("arch,ms\n{rows}")), place.at("table.csv"));
    let arguments = ["--measured", &measured, "--device-name", "x", "--out", &table];
    let said = success(ofa("tables import-latency", &[&SPACE[..], &arguments].concat()));
    assert!(said.contains("Kendall tau") && !said.contains("NaN"), "{said}");
}
