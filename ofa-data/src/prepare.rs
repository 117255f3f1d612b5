//! Re-encodes a set once, so training reads small images from few files.

mod broken_list;

use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use fast_image_resize::{FilterType, ResizeAlg};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use rayon::prelude::*;

use crate::broken::BrokenImages;
use crate::decode::{Damage, DecodeConfig, Image, decode_as_stored, jpeg, orientation};
use crate::error::{DataError, ImageProblem};
use crate::layout::Layout;
use crate::layout::prepare_config::PrepareConfig;
use crate::layout::prepared::{MANIFEST, PreparedSet, index_file, write_index, write_whole};
use crate::set::{ImageSet, ReadConfig};
use crate::source::entries::visible_entries;
use crate::view::canvas::resized;
pub use broken_list::BrokenLine;
use broken_list::BrokenList;

/// Result of [`prepare_images`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareReport {
    /// Number of images written, including those of earlier attempts.
    pub images: usize,
    /// Broken images that were skipped or partially decoded, including those of earlier attempts: the rows of
    /// `broken_images.csv`.
    pub broken: Vec<BrokenLine>,
}

/// Decodes the images of `dir` (any layout of image files), resizes their shorter side (Lanczos), and writes them as
/// JPEG into tar shards in `out`: a WebDataset with an index, which [`Layout`] recognises. JPEG images that are already
/// small enough are copied unchanged, unless they are CMYK, damaged or to be turned. Preparation changes pixels:
/// results on `out` are not results on `dir`. `reading` may be a policy for broken images alone.
///
/// Shards are written atomically; after an interruption the same call resumes after the last complete one. Broken
/// images that are skipped or partially decoded are listed in `broken_images.csv` (path within `dir`, problem). The
/// list survives interruptions too, so the allowed fraction of broken images covers all attempts together.
/// `on_progress` receives (images done, total) and may be called from any thread.
///
/// # Errors
/// If `dir` cannot be listed, an image is broken and `reading` does not allow it, `out` holds another preparation or
/// shards of unknown origin, or a file cannot be written.
pub fn prepare_images(
    dir: &Path,
    out: &Path,
    config: PrepareConfig,
    reading: impl Into<ReadConfig>,
    on_progress: impl Fn(usize, usize) + Sync,
) -> Result<PrepareReport, DataError> {
    let reading = ReadConfig { cache_mib: 0, ..reading.into() };
    config.validate()?;
    reading.validate()?;
    refuse_nested(dir, out)?;
    let layout = Layout::detect(dir)?;
    let (sets, classes) = layout.parts(3)?.named();
    let manifest = PreparedSet {
        config,
        broken: reading.broken,
        layout: layout.to_string(),
        fingerprints: sets.iter().map(|(part, set)| ((*part).to_owned(), set.fingerprint())).collect(),
        classes,
        apply_orientation: reading.apply_orientation,
        is_complete: false,
    };
    let manifest = begin(out, manifest)?;
    let (done, total) = (AtomicUsize::new(0), sets.iter().map(|(_, set)| set.len()).sum());
    let progress = |images: usize| on_progress(images + done.fetch_add(images, Ordering::Relaxed), total);
    let mut list = BrokenList::open(dir, out)?;
    let sets: Vec<(&str, ImageSet)> = sets
        .into_iter()
        .map(|(part, set)| {
            let done = shards(out, part, set.len(), config).filter(|(path, _)| path.exists());
            let earlier = list.keep(&set, done.flat_map(|(_, members)| members));
            (part, set.with_reading_after(reading, earlier))
        })
        .collect();
    let mut images = 0;
    for (part, set) in &sets {
        write_part(out, part, set, config, &list, &progress)?;
        list.add(&set.broken());
        let shards: Vec<PathBuf> = shards(out, part, set.len(), config).map(|(path, _)| path).collect();
        images += write_index(&out.join(index_file(part)), &shards)?;
    }
    write_whole(&out.join(MANIFEST), &PreparedSet { is_complete: true, ..manifest }.to_json())?;
    Ok(PrepareReport { images, broken: list.into_lines() })
}

/// Rejects nested directories, where shards would be taken for source images or vice versa.
fn refuse_nested(dir: &Path, out: &Path) -> Result<(), DataError> {
    let absolute = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let absolute = |path: &Path| absolute(path).map_err(|source| DataError::Read { path: path.to_owned(), source });
    let (from, to) = (absolute(dir)?, absolute(out)?);
    match to.starts_with(&from) || from.starts_with(&to) {
        true => Err(DataError::invalid(
            "output directory",
            to.display(),
            "one that neither contains nor lies in the image directory",
        )),
        false => Ok(()),
    }
}

/// Writes the manifest to `out`, or checks that the one there belongs to this preparation.
fn begin(out: &Path, wanted: PreparedSet) -> Result<PreparedSet, DataError> {
    fs::create_dir_all(out).map_err(|source| DataError::Write { path: out.to_owned(), source })?;
    let path = out.join(MANIFEST);
    if !path.exists() {
        refuse_shards(out, &wanted)?;
        write_whole(&path, &wanted.to_json())?;
        return Ok(wanted);
    }
    let found = PreparedSet::read(out)?;
    let broken = found.broken;
    if (PreparedSet { is_complete: false, broken: wanted.broken, ..found }) != wanted
        || !may_become(broken, wanted.broken)
    {
        return Err(DataError::OtherPreparation { path: out.to_owned() });
    }
    if broken != wanted.broken {
        write_whole(&path, &wanted.to_json())?;
    }
    Ok(wanted)
}

/// Whether a preparation may go on with another policy: what is written must be what that policy would have written.
fn may_become(broken: BrokenImages, wanted: BrokenImages) -> bool {
    match (broken, wanted) {
        (BrokenImages::Fail, _) | (BrokenImages::Skip { .. }, BrokenImages::Skip { .. }) => true,
        (broken, wanted) => broken == wanted,
    }
}

/// Refuses shards without a manifest: they may come from other images or settings and must not be taken for shards of
/// this preparation.
fn refuse_shards(out: &Path, wanted: &PreparedSet) -> Result<(), DataError> {
    let is_shard = |name: &OsStr| wanted.fingerprints.keys().any(|part| is_shard_of(name, part));
    let shards = visible_entries(out)?.into_iter().filter(|(name, _)| is_shard(name)).map(|(_, path)| path);
    match shards.min() {
        Some(path) => Err(DataError::UnknownShard { path }),
        None => Ok(()),
    }
}

/// Whether `name` is `<part>-<number>.tar`.
fn is_shard_of(name: &OsStr, part: &str) -> bool {
    let name = name.to_string_lossy();
    let stem = name.strip_suffix(".tar").and_then(|stem| stem.strip_prefix(part));
    let number = stem.and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

/// The shards of a part with `images` images: their paths, and the positions of their images in the part.
fn shards(
    out: &Path,
    part: &str,
    images: usize,
    config: PrepareConfig,
) -> impl Iterator<Item = (PathBuf, Range<usize>)> {
    let size = config.images_per_shard;
    (0..images.div_ceil(size)).map(move |number| {
        let members = number * size..((number + 1) * size).min(images);
        (out.join(format!("{part}-{number:05}.tar")), members)
    })
}

/// Writes the missing shards of a part. Before each shard, the list of broken images is written.
fn write_part(
    out: &Path,
    part: &str,
    set: &ImageSet,
    config: PrepareConfig,
    list: &BrokenList,
    progress: &(impl Fn(usize) + Sync),
) -> Result<(), DataError> {
    for (path, members) in shards(out, part, set.len(), config) {
        if path.exists() {
            progress(members.len());
            continue;
        }
        let shard = shard(set, members, config, progress);
        list.write(&set.broken())?;
        write_whole(&path, &shard?)?;
    }
    Ok(())
}

/// A tar file of the images at `members` and their labels.
fn shard(
    set: &ImageSet,
    members: Range<usize>,
    config: PrepareConfig,
    progress: &(impl Fn(usize) + Sync),
) -> Result<Vec<u8>, DataError> {
    let prepare = |i: usize| {
        let prepared = set.show_bytes(i, |bytes, damage| prepared(bytes, damage, config, set.decoding()));
        progress(1);
        prepared
    };
    // Collect all results before reporting an error: which error is reported must not depend on thread timing.
    let images: Vec<Result<Option<Vec<u8>>, DataError>> = members.clone().into_par_iter().map(prepare).collect();
    set.check_broken()?;
    let mut archive = tar::Builder::new(Vec::new());
    for (i, image) in members.zip(images) {
        let Some(image) = image? else { continue };
        append(&mut archive, &format!("{i:08}.jpg"), &image);
        append(&mut archive, &format!("{i:08}.cls"), set.label(i).to_string().as_bytes());
    }
    Ok(archive.into_inner().expect("writing to memory"))
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, content).expect("writing to memory");
}

/// Decodes and shrinks the image in `bytes`; returns JPEG.
fn prepared(
    bytes: &[u8],
    damage: Damage,
    config: PrepareConfig,
    decode: DecodeConfig,
) -> Result<Vec<u8>, ImageProblem> {
    let image = decode_as_stored(bytes, damage, decode)?;
    let short = image.width.min(image.height);
    let is_small = short <= config.short_side;
    // Re-encode CMYK, damaged and turned images even if small, so later readers need not handle them.
    let is_turned = decode.apply_orientation && orientation::is_turned(bytes);
    if is_small && !is_turned && damage == Damage::Refuse && jpeg::is_plain(bytes) {
        return Ok(bytes.to_vec());
    }
    let scaled = |side: usize| ((side * config.short_side) as f64 / short as f64).round().max(1.0) as usize;
    let image = match is_small {
        true => image,
        false => {
            let (width, height) = (scaled(image.width), scaled(image.height));
            resized(&image, width, height, ResizeAlg::Convolution(FilterType::Lanczos3))
        }
    };
    encoded(&image, config.quality)
}

fn encoded(image: &Image, quality: u8) -> Result<Vec<u8>, ImageProblem> {
    let unfit = |_| ImageProblem::TooLarge { width: image.width, height: image.height, limit: usize::from(u16::MAX) };
    let (width, height) = (u16::try_from(image.width).map_err(unfit)?, u16::try_from(image.height).map_err(unfit)?);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    // 4:2:0 chroma subsampling, as in camera files and ImageNet.
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let color = if image.channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    encoder.encode(&image.pixels, width, height, color).expect("writing to memory");
    Ok(bytes)
}

#[cfg(test)]
mod tests;
