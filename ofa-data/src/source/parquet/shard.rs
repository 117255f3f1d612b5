//! One parquet file of labelled images.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parquet::basic::Type;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};
use parquet::file::serialized_reader::SerializedPageReader;

use super::guarded;
use super::map::ImageMap;
use crate::error::ParquetProblem;

/// Accepted columns of encoded images: the `bytes` field of the Hub's image struct.
const IMAGES: [&str; 2] = ["image.bytes", "img.bytes"];
/// Accepted label columns; the first one present is used.
const LABELS: [&str; 3] = ["label", "labels", "fine_label"];
/// Labels decoded per batch.
const BATCH: usize = 8192;
/// Pages with at most this many images on average are decoded whole for a single image.
const IMAGES_A_PAGE: usize = 16;

/// A parquet file and its metadata.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    metadata: ParquetMetaData,
    /// Index of the image column; `label` and `label_name` are index and name of the label column.
    image: usize,
    label: usize,
    label_name: &'static str,
}

impl Shard {
    pub(super) fn open(path: &Path) -> Result<(Self, Arc<File>), ParquetProblem> {
        let (file, bytes) = open(path)?;
        let options = ParquetMetaDataOptions::new()
            .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let metadata = ParquetMetaDataReader::new()
            .with_offset_index_policy(PageIndexPolicy::Optional)
            .with_metadata_options(Some(options))
            .parse_and_finish(&*file)?;
        let (image, _) = find(&metadata, &IMAGES, &[Type::BYTE_ARRAY], "binary data")?;
        let (label, label_name) = find(&metadata, &LABELS, &[Type::INT64, Type::INT32], "integers")?;
        Ok((Self { path: path.to_owned(), bytes, metadata, image, label, label_name }, file))
    }

    /// Class names from the metadata that the Hub's `datasets` library writes.
    pub(super) fn class_names(&self) -> Option<Vec<String>> {
        let notes = self.metadata.file_metadata().key_value_metadata()?;
        let note = notes.iter().find(|note| note.key == "huggingface")?;
        let note: serde_json::Value = serde_json::from_str(note.value.as_deref()?).ok()?;
        let names = note["info"]["features"][self.label_name]["names"].as_array().filter(|names| !names.is_empty())?;
        names.iter().map(|name| name.as_str().map(String::from)).collect()
    }

    /// Number of row groups.
    pub(super) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// Detects problems that affect every image of a group, such as unsupported compression.
    pub(super) fn check_images(&self, file: &Arc<File>, group: usize) -> Result<(), ParquetProblem> {
        self.column::<ByteArrayType>(file, group, self.image).map(|_| ())
    }

    /// Number of rows in a group. Checked to be at most the file's length in bytes, which bounds the memory a damaged
    /// file can make us allocate.
    fn rows(&self, group: usize) -> Result<usize, ParquetProblem> {
        let rows = self.metadata.row_group(group).num_rows();
        let valid = u64::try_from(rows).ok().filter(|rows| *rows <= self.bytes);
        let problem = || format!("row group {group} announces {rows} rows in {} bytes", self.bytes);
        valid.map(|rows| rows as usize).ok_or_else(|| ParquetProblem::Format { reason: problem() })
    }

    /// A reader at the start of a column of a row group.
    fn column<T: DataType>(
        &self,
        file: &Arc<File>,
        group: usize,
        column: usize,
    ) -> Result<ColumnReaderImpl<T>, ParquetProblem> {
        let chunk = self.metadata.row_group(group).column(column);
        let (start, length) = chunk.byte_range();
        if start.checked_add(length).is_none_or(|end| end > self.bytes) {
            let reason = format!("row group {group} ends at byte {start} + {length}, the file at {}", self.bytes);
            return Err(ParquetProblem::Format { reason });
        }
        let locations = self.metadata.page_index_for_row_group(group).page_locations(column).cloned();
        let pages = SerializedPageReader::new(Arc::clone(file), chunk, self.rows(group)?, locations)?;
        Ok(ColumnReaderImpl::new(chunk.column_descr_ptr(), Box::new(pages)))
    }

    pub(super) fn labels(&self, file: &Arc<File>, group: usize) -> Result<Vec<Option<i64>>, ParquetProblem> {
        match self.metadata.row_group(group).column(self.label).column_type() {
            Type::INT32 => self.integers::<Int32Type>(file, group),
            _ => self.integers::<Int64Type>(file, group),
        }
    }

    fn integers<T: DataType<T: Into<i64>>>(
        &self,
        file: &Arc<File>,
        group: usize,
    ) -> Result<Vec<Option<i64>>, ParquetProblem> {
        let (mut column, rows) = (self.column::<T>(file, group, self.label)?, self.rows(group)?);
        let required = self.metadata.row_group(group).column(self.label).column_descr().max_def_level() == 0;
        let (mut labels, mut levels, mut values) = (Vec::new(), Vec::new(), Vec::new());
        while labels.len() < rows {
            levels.clear();
            values.clear();
            let (records, ..) =
                column.read_records(BATCH.min(rows - labels.len()), Some(&mut levels), None, &mut values)?;
            if records == 0 {
                let reason = format!("row group {group} has {} labels for {rows} rows", labels.len());
                return Err(ParquetProblem::Format { reason });
            }
            let mut values = values.drain(..).map(Into::into);
            labels.extend((0..records).map(|i| if required || levels[i] > 0 { values.next() } else { None }));
        }
        Ok(labels)
    }

    /// Reads the image in `row`. `map` belongs to the group and is filled if that speeds up later reads.
    pub(super) fn image(
        &self,
        group: usize,
        row: usize,
        map: &OnceLock<Option<ImageMap>>,
    ) -> Result<Vec<u8>, ParquetProblem> {
        let (file, now) = open(&self.path)?;
        if now != self.bytes {
            return Err(ParquetProblem::Changed { then: self.bytes, now });
        }
        let chunk = self.metadata.row_group(group).column(self.image);
        if self.has_small_pages(group)? || !ImageMap::supports(chunk.compression()) {
            return self.decode(&file, group, row);
        }
        // A damaged page makes mapping fail, but the images of the other pages are still readable.
        match map.get_or_init(|| guarded(|| ImageMap::new(&file, chunk, self.rows(group)?)).ok()) {
            Some(map) => map.read(&file, row),
            None => self.decode(&file, group, row),
        }
    }

    /// Whether pages are known to hold few images, so decoding a whole page per read is cheap.
    fn has_small_pages(&self, group: usize) -> Result<bool, ParquetProblem> {
        let index = self.metadata.page_index_for_row_group(group);
        let pages = index.page_locations(self.image).map_or(0, Vec::len);
        Ok(IMAGES_A_PAGE * pages >= self.rows(group)?)
    }

    /// Skips the pages before `row` and decodes its page.
    fn decode(&self, file: &Arc<File>, group: usize, row: usize) -> Result<Vec<u8>, ParquetProblem> {
        let mut column = self.column::<ByteArrayType>(file, group, self.image)?;
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let skipped = column.skip_records(row)?;
        let (found, ..) = column.read_records(1, Some(&mut levels), None, &mut values)?;
        match values.first() {
            Some(image) if skipped == row => Ok(image.data().to_vec()),
            None if skipped == row && found == 1 => Err(ParquetProblem::Null),
            _ => Err(ParquetProblem::Format { reason: format!("row group {group} ends before its row {row}") }),
        }
    }
}

/// Opens a regular file and returns it with its length. Rejects FIFOs, where opening would block forever.
fn open(path: &Path) -> Result<(Arc<File>, u64), ParquetProblem> {
    let unreadable = |error: std::io::Error| ParquetProblem::Unreadable(error.to_string());
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ParquetProblem::NotAFile);
    }
    let file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    Ok((Arc::new(file), bytes))
}

/// The first of `names` that exists as a column. It must have one of `types` and must not be a list.
fn find(
    metadata: &ParquetMetaData,
    names: &[&'static str],
    types: &[Type],
    expected: &'static str,
) -> Result<(usize, &'static str), ParquetProblem> {
    let columns = metadata.file_metadata().schema_descr().columns();
    let position = |name: &str| columns.iter().position(|column| column.path().string() == name);
    let Some((found, name)) = names.iter().find_map(|&name| Some((position(name)?, name))) else {
        let found = columns.iter().map(|column| column.path().string()).collect::<Vec<_>>().join(", ");
        return Err(ParquetProblem::Column { expected: names.join(" or "), found });
    };
    if columns[found].max_rep_level() > 0 || !types.contains(&columns[found].physical_type()) {
        return Err(ParquetProblem::ColumnType { name, expected });
    }
    Ok((found, name))
}
