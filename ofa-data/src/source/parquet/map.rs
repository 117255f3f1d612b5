//! Where the images of a row group lie within its pages.
//!
//! Pages are compressed as a whole, and writers that limit pages by value count rather than bytes put a hundred images
//! or more into one. Most of a snappy stream can be skipped, though: it consists of 64 KB blocks that do not refer to
//! one another. Decoding a row group once shows which blocks hold each image.

use std::fs::File;
use std::io::BufReader;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::Result;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use crate::error::ParquetProblem;

/// Approximate distance between cuts, in decompressed bytes: snappy compressors reset their state that often.
const BLOCK: usize = 1 << 16;

/// Locations of the images of a row group.
#[derive(Debug)]
pub(super) struct ImageMap {
    pages: Vec<MappedPage>,
    /// One entry per row; `None` if the row has no image.
    images: Vec<Option<Spot>>,
}

/// A byte range of a decompressed page.
#[derive(Debug, Clone, Copy)]
struct Spot {
    page: u32,
    start: u32,
    length: u32,
}

#[derive(Debug)]
struct MappedPage {
    /// File position that the `input` of `cuts` counts from.
    offset: u64,
    /// Ascending, with the last one at the end of the page; `None` if the page is not compressed.
    cuts: Option<Vec<Cut>>,
}

/// A position in a snappy stream after which nothing refers back beyond it.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Offset in the compressed stream.
    input: u32,
    /// Offset in the decompressed page.
    output: u32,
}

impl ImageMap {
    /// Whether pages with this compression can be mapped.
    pub(super) fn supports(compression: Compression) -> bool {
        matches!(compression, Compression::UNCOMPRESSED | Compression::SNAPPY)
    }

    /// Decodes the images of a column chunk one by one and records where they were.
    pub(super) fn new(file: &Arc<File>, chunk: &ColumnChunkMetaData, rows: usize) -> Result<Self, ParquetProblem> {
        let file = Arc::new(Recorder { file: Arc::clone(file), last: Mutex::default() });
        let pages = SerializedPageReader::new(Arc::clone(&file), chunk, rows, None)?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let snappy = chunk.compression() == Compression::SNAPPY;
        let witness = Witness { pages, file, snappy, seen: Arc::clone(&seen) };
        let mut column = ColumnReaderImpl::<ByteArrayType>::new(chunk.column_descr_ptr(), Box::new(witness));
        let (mut images, mut levels, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rows {
            levels.clear();
            values.clear();
            let (found, ..) = column.read_records(1, Some(&mut levels), None, &mut values)?;
            let spot = values.first().map(|image| lock(&seen).spot(image)).transpose()?;
            images.push(spot.filter(|_| found == 1));
        }
        let pages = std::mem::take(&mut lock(&seen).mapped);
        Ok(Self { pages, images })
    }

    /// Reads the image in `row`.
    pub(super) fn read(&self, file: &File, row: usize) -> Result<Vec<u8>, ParquetProblem> {
        let Spot { page, start, length } = self.images[row].ok_or(ParquetProblem::Null)?;
        let page = &self.pages[page as usize];
        let Some(cuts) = &page.cuts else {
            return Ok(file.get_bytes(page.offset + u64::from(start), length as usize)?.into());
        };
        let from = cuts[cuts.partition_point(|cut| cut.output <= start) - 1];
        let to = cuts[cuts.partition_point(|cut| cut.output < start + length)];
        let compressed = file.get_bytes(page.offset + u64::from(from.input), (to.input - from.input) as usize)?;
        let stream = [&length_prefix(to.output - from.output), &compressed[..]].concat();
        let broken = |error: snap::Error| ParquetProblem::Format { reason: error.to_string() };
        let mut bytes = snap::raw::Decoder::new().decompress_vec(&stream).map_err(broken)?;
        bytes.truncate((start - from.output + length) as usize);
        bytes.drain(..(start - from.output) as usize);
        Ok(bytes)
    }
}

/// The header of a snappy stream: its decompressed length, seven bits per byte, lowest first.
fn length_prefix(mut length: u32) -> Vec<u8> {
    let mut prefix = Vec::new();
    while length >= 128 {
        prefix.push(length as u8 | 128);
        length >>= 7;
    }
    prefix.push(length as u8);
    prefix
}

/// The cuts of `stream`; `None` if it is not valid snappy. `output` is where its bytes start in the decompressed page.
fn cuts(stream: &[u8], output: usize) -> Option<Vec<Cut>> {
    let cut = |input: usize, output: usize| Cut { input: input as u32, output: output as u32 };
    let (mut input, mut output) = (stream.iter().position(|byte| *byte < 128)? + 1, output);
    let mut cuts = vec![cut(input, output)];
    while input < stream.len() {
        if output / BLOCK > cuts[cuts.len() - 1].output as usize / BLOCK {
            cuts.push(cut(input, output));
        }
        let tag = usize::from(stream[input]);
        let number = |bytes| {
            let bytes = stream.get(input + 1..input + 1 + bytes)?;
            Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
        };
        // Length of the element in the stream, length of its output, and how far back the output is copied from.
        let (length, produced, back) = match (tag & 3, tag >> 2) {
            (0, short @ 0..60) => (2 + short, short + 1, 0),
            (0, wide) => (wide - 58 + number(wide - 59)? + 1, number(wide - 59)? + 1, 0),
            (1, rest) => (2, 4 + (rest & 7), rest >> 3 << 8 | number(1)?),
            (kind, rest) => (if kind == 2 { 3 } else { 5 }, rest + 1, number(if kind == 2 { 2 } else { 4 })?),
        };
        let source = output.checked_sub(back)?;
        while back > 0 && cuts.len() > 1 && cuts[cuts.len() - 1].output as usize > source {
            cuts.pop();
        }
        (input, output) = (input + length, output + produced);
    }
    cuts.push(cut(input, output));
    Some(cuts)
}

/// The pages of a column chunk read so far.
#[derive(Default)]
struct Seen {
    mapped: Vec<MappedPage>,
    /// Decompressed dictionary page and latest data page, each with its index in `mapped`.
    dictionary: Option<(usize, Bytes)>,
    latest: Option<(usize, Bytes)>,
}

impl Seen {
    /// Locates an image. The reader returns slices of decompressed pages, so addresses identify the page.
    fn spot(&self, image: &ByteArray) -> Result<Spot, ParquetProblem> {
        let image = image.data();
        let within = |(page, bytes): &(usize, Bytes)| {
            let start = image.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
            let inside = start.checked_add(image.len())? <= bytes.len();
            inside.then_some(Spot { page: *page as u32, start: start as u32, length: image.len() as u32 })
        };
        let spot = [&self.latest, &self.dictionary].into_iter().flatten().find_map(within);
        spot.ok_or_else(|| ParquetProblem::Format { reason: "images are not contiguous".into() })
    }
}

/// Forwards pages and records the bytes they were decoded from.
struct Witness {
    pages: SerializedPageReader<Recorder>,
    file: Arc<Recorder>,
    snappy: bool,
    seen: Arc<Mutex<Seen>>,
}

impl Witness {
    fn note(&self, page: &Page) {
        let (offset, stream) = lock(&self.file.last).clone();
        // In v2 data pages, the levels at the front are not compressed.
        let (levels, compressed) = match page {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, is_compressed, .. } => {
                ((def_levels_byte_len + rep_levels_byte_len) as usize, *is_compressed)
            }
            _ => (0, true),
        };
        let mut seen = lock(&self.seen);
        let number = seen.mapped.len();
        let latest = Some((number, page.buffer().clone()));
        if self.snappy && compressed {
            // A page without values has no stream; nothing will be read from it.
            let cuts = cuts(stream.get(levels..).unwrap_or_default(), levels).unwrap_or_default();
            seen.mapped.push(MappedPage { offset: offset + levels as u64, cuts: Some(cuts) });
        } else {
            seen.mapped.push(MappedPage { offset, cuts: None });
        }
        match page {
            Page::DictionaryPage { .. } => seen.dictionary = latest,
            _ => seen.latest = latest,
        }
    }
}

impl Iterator for Witness {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Witness {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().for_each(|page| self.note(page));
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

/// A file that remembers the last bytes read from it: without an offset index, these are the body of a page.
struct Recorder {
    file: Arc<File>,
    last: Mutex<(u64, Bytes)>,
}

impl Length for Recorder {
    fn len(&self) -> u64 {
        Length::len(&*self.file)
    }
}

impl ChunkReader for Recorder {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.file.get_bytes(start, length)?;
        *lock(&self.last) = (start, bytes.clone());
        Ok(bytes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length prefix, a literal of 70,000 bytes, a copy of 5 bytes from `back` bytes earlier, another literal of
    /// 70,000.
    fn stream(back: u32) -> Vec<u8> {
        let literal = |value| [&[62 << 2], &69_999_u32.to_le_bytes()[..3], &[value; 70_000][..]].concat();
        let copy = [&[4 << 2 | 3], &back.to_le_bytes()[..]].concat();
        [length_prefix(140_005), literal(1), copy, literal(2)].concat()
    }

    #[test]
    fn cuts_are_where_nothing_refers_back() {
        let outputs = |back| cuts(&stream(back), 0).unwrap().iter().map(|cut| cut.output).collect::<Vec<_>>();
        assert_eq!(outputs(70_000), [0, 70_005, 140_005]);
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&stream(70_000)).unwrap().len(), 140_005);
        assert!(cuts(&stream(70_001), 0).is_none());
    }
}
