//! Reads every image of a set and reports broken ones, before training meets them.
//!
//! Command:  `ofa data check DIR --out broken.csv`
//! Result:   counts by class and by kind of problem; the CSV has one row (path, problem) per problem; exit code 1 if
//!           there is any

use anyhow::{Result, bail};
use clap::Args;
use experiments::console::progress;
use experiments::console::say;
use experiments::run::run_dir::write_whole;
use ofa_data::{DecodeConfig, ImageCheck, check_images};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Reads every image of a set and reports broken ones.
#[derive(Args)]
#[command(after_help = "Example: ofa data check DIR --out broken.csv")]
pub struct Options {
    /// Directory of images in any known layout
    dir: PathBuf,
    /// CSV file to write, with one row per problem
    #[arg(long)]
    out: Option<PathBuf>,
    /// Number of classes to show, those with the most broken images first
    #[arg(long, default_value_t = 20)]
    classes: usize,
    /// Largest number of pixels of an image
    #[arg(long, default_value_t = DecodeConfig::default().max_pixels)]
    max_pixels: usize,
}

pub fn run(options: &Options) -> Result<()> {
    let decode = DecodeConfig { max_pixels: options.max_pixels, ..DecodeConfig::default() };
    let bar = progress::bar()?;
    let check = check_images(&options.dir, decode, |done, total| progress::show(&bar, done, total));
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
        Some(path) => format!("see {}", path.display()),
        None => "list them with --out FILE.csv".into(),
    };
    bail!("{} problems in {} images; {where_to}", check.broken.len(), check.images());
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
    let names: BTreeSet<&str> = classes.iter().map(|class| class.class.as_str()).collect();
    say(&format!("{} images in {} classes", check.images(), names.len()));
    check.notes.iter().for_each(|note| say(note));
    if check.turned > 0 {
        say(&format!(
            "{} images have an EXIF orientation, which is not applied unless data.read.apply_orientation is true",
            check.turned
        ));
    }
    for (sort, count) in check.sorts() {
        say(&format!("{sort:<32}{count:>10}"));
    }
}

/// One CSV row (path, problem) per problem.
fn csv(check: &ImageCheck) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["path", "problem"])?;
    for broken in &check.broken {
        writer.write_record([broken.path.to_string_lossy().as_ref(), &broken.problem])?;
    }
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}
