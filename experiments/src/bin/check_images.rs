//! Reads every image of a set once and says what is broken, before a training finds it.
//!
//! Command:  `cargo run --release --bin check_images -- DIR --out broken.csv`
//! Result:   counts by class and by sort of problem; the CSV has a line (path, problem) for everything broken; exit code
//!           1 if anything is

use anyhow::{Result, bail};
use clap::Parser;
use experiments::console::progress;
use experiments::console::say;
use experiments::run::run_dir::write_whole;
use experiments::run::start;
use ofa_data::{ImageCheck, check_images};
use std::path::PathBuf;
use std::process::ExitCode;

/// Reads every image of a set once and says what is broken.
#[derive(Parser)]
struct Options {
    /// Images in any layout of JPEG and PNG files
    dir: PathBuf,
    /// A CSV file of everything broken
    #[arg(long)]
    out: Option<PathBuf>,
    /// Classes to show, those with most broken images first
    #[arg(long, default_value_t = 20)]
    classes: usize,
}

fn main() -> ExitCode {
    start::exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let bar = progress::bar()?;
    let check = check_images(&options.dir, |done, total| progress::show(&bar, done, total));
    bar.finish_and_clear();
    let check = check?;
    show(&check, options.classes);
    if let Some(path) = &options.out {
        write_whole(path, &csv(&check)?)?;
    }
    if check.broken.is_empty() {
        return Ok(());
    }
    let where_to = match &options.out {
        Some(path) => format!("they are listed in {}", path.display()),
        None => "list them with --out FILE.csv".into(),
    };
    bail!("{} problems with {} images; {where_to}", check.broken.len(), check.images());
}

fn show(check: &ImageCheck, most: usize) {
    let mut classes: Vec<_> = check.classes.iter().collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.broken));
    say(&format!("{:<8}{:<32}{:>10}{:>10}", "part", "class", "images", "broken"));
    for class in classes.iter().take(most) {
        say(&format!("{:<8}{:<32}{:>10}{:>10}", class.part, class.class, class.images, class.broken));
    }
    if classes.len() > most {
        say(&format!("... and {} more (--classes)", classes.len() - most));
    }
    say(&format!("{} images in {} class directories", check.images(), classes.len()));
    for (sort, count) in check.sorts() {
        say(&format!("{sort:<32}{count:>10}"));
    }
}

/// A line (path, problem) for everything broken.
fn csv(check: &ImageCheck) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["path", "problem"])?;
    for broken in &check.broken {
        writer.write_record([broken.path.to_string_lossy().as_ref(), &broken.problem])?;
    }
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}
