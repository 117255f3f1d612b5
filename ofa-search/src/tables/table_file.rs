//! Append-only tables on disk: a JSON header in a comment line, column names, then one CSV row per line.
//!
//! A table takes hours to measure, so it is written row by row: the header appears atomically, every row is synced, and
//! a killed run loses only the row in progress. Anything after the last newline is such an unfinished row.

use crate::SearchError;
use atomic_write_file::AtomicWriteFile;
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// The kind of table in a file.
pub(crate) trait Format {
    /// Kind and version, the first words of the file.
    const TITLE: &'static str;
    /// Names of the columns that every table has.
    const COLUMNS: &'static [&'static str];
    /// Names of the columns of a table with this header.
    fn columns(_: &Self::Header) -> Vec<&'static str> {
        Self::COLUMNS.to_vec()
    }
    /// Header fields that are results rather than conditions of measurement. They may differ on resuming.
    const RESULTS: &'static [&'static str] = &[];
    /// Conditions of measurement.
    type Header: Serialize + DeserializeOwned;
    /// One row, its fields in the order of the columns.
    type Row: Serialize + DeserializeOwned;
}

/// The contents of a file.
pub(crate) struct Content<F: Format> {
    pub(crate) header: F::Header,
    /// Rows with their line numbers.
    pub(crate) rows: Vec<(u64, F::Row)>,
    /// The unfinished last line. `None` if absent.
    pub(crate) dropped: Option<String>,
    complete_bytes: usize,
}

/// A table open for appending and locked against other writers.
pub(crate) struct Appender<F: Format> {
    file: File,
    path: PathBuf,
    format: PhantomData<F>,
}

/// Reads a table.
pub(crate) fn read<F: Format>(path: &Path) -> Result<Content<F>, SearchError> {
    parse(path, std::fs::read(path).map_err(io_error(path))?)
}

/// Writes a whole table atomically: to a temporary file, synced, then renamed.
pub(crate) fn write<'a, F>(
    path: &Path,
    header: &F::Header,
    rows: impl IntoIterator<Item = &'a F::Row>,
) -> Result<(), SearchError>
where
    F: Format,
    F::Row: 'a,
{
    let save = || -> io::Result<()> {
        let mut file = AtomicWriteFile::open(path)?;
        writeln!(file, "# {} {}", F::TITLE, serde_json::to_string(header)?)?;
        writeln!(file, "{}", F::columns(header).join(","))?;
        for row in rows {
            file.write_all(&csv_line(row)?)?;
        }
        file.commit()
    };
    save().map_err(io_error(path))
}

/// Opens the table at `path` for appending, or creates it. Cuts off an unfinished last line.
pub(crate) fn open<F: Format>(path: &Path, header: &F::Header) -> Result<(Content<F>, Appender<F>), SearchError> {
    let fail = io_error(path);
    if !path.exists() {
        start::<F>(path, header)?;
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(&fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(SearchError::TableInUse { path: path.to_owned() }),
        // The file system has no locks: go on without one.
        Err(TryLockError::Error(_)) => {}
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(&fail)?;
    let content = parse::<F>(path, bytes)?;
    check_header::<F>(path, &content.header, header)?;
    file.set_len(content.complete_bytes as u64).map_err(&fail)?;
    file.seek(SeekFrom::End(0)).map_err(&fail)?;
    Ok((content, Appender { file, path: path.to_owned(), format: PhantomData }))
}

/// Creates an empty table, unless another process was faster: its rows must not be replaced.
fn start<F: Format>(path: &Path, header: &F::Header) -> Result<(), SearchError> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    write::<F>(&new, header, [])?;
    let placed = match std::fs::hard_link(&new, path) {
        // The file system has no hard links.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => std::fs::rename(&new, path),
        _ => std::fs::remove_file(&new),
    };
    placed.map_err(io_error(path))
}

impl<F: Format> Appender<F> {
    /// Appends a row and syncs it to disk.
    pub(crate) fn append(&mut self, row: &F::Row) -> Result<(), SearchError> {
        let line = csv_line(row).map_err(io_error(&self.path))?;
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(io_error(&self.path))
    }
}

/// Closing the file would unlock it too, unless a child process that was forked a moment ago still holds a copy.
impl<F: Format> Drop for Appender<F> {
    fn drop(&mut self) {
        // A file system without locks has nothing to unlock.
        let _ = self.file.unlock();
    }
}

/// Fails if a condition of measurement differs, naming the first that does.
pub(crate) fn check_header<F: Format>(path: &Path, found: &F::Header, expected: &F::Header) -> Result<(), SearchError> {
    let fields = |header: &F::Header| match serde_json::to_value(header) {
        Ok(serde_json::Value::Object(fields)) => fields,
        other => panic!("a header must be a JSON object, not {other:?}"),
    };
    let (found, expected) = (fields(found), fields(expected));
    let differs = |field: &&String| {
        !F::RESULTS.contains(&field.as_str()) && found.get(field.as_str()) != expected.get(field.as_str())
    };
    let text = |value: Option<&serde_json::Value>| value.map_or("absent".into(), ToString::to_string);
    expected.keys().chain(found.keys()).find(differs).map_or(Ok(()), |field| {
        Err(SearchError::HeaderMismatch {
            path: path.to_owned(),
            field: field.replace('_', " "),
            found: text(found.get(field)),
            expected: text(expected.get(field)),
        })
    })
}

fn parse<F: Format>(path: &Path, mut bytes: Vec<u8>) -> Result<Content<F>, SearchError> {
    let complete_bytes = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    let rest = bytes.split_off(complete_bytes);
    let dropped = (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned());
    let header_end = bytes.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let (header, table) = bytes.split_at(header_end);
    let header = parse_header::<F>(path, header)?;
    let rows = parse_rows::<F>(path, &F::columns(&header), table)?;
    Ok(Content { header, rows, dropped, complete_bytes })
}

fn parse_header<F: Format>(path: &Path, line: &[u8]) -> Result<F::Header, SearchError> {
    let fail = |problem| invalid(path, 1, problem);
    let line = String::from_utf8_lossy(line);
    // A spreadsheet may have put a byte order mark before it.
    let json = line
        .trim_start_matches('\u{feff}')
        .strip_prefix("# ")
        .and_then(|rest| rest.strip_prefix(F::TITLE))
        .ok_or_else(|| {
            let start: String = line.chars().take(40).collect();
            fail(format!("not a table: the file begins with `{}`, expected `# {}`", start.trim_end(), F::TITLE))
        })?;
    serde_json::from_str(json).map_err(|error| fail(format!("damaged header: {error}")))
}

fn parse_rows<F: Format>(path: &Path, names: &[&str], table: &[u8]) -> Result<Vec<(u64, F::Row)>, SearchError> {
    let mut reader = csv::Reader::from_reader(table);
    // The reader starts after the header line, so its line numbers are one too low.
    let line = |position: Option<&csv::Position>| position.map_or(2, |position| position.line() + 1);
    let fail = |error: csv::Error| invalid(path, line(error.position()), problem(&error));
    let columns: Vec<String> = reader.headers().map_err(fail)?.iter().map(Into::into).collect();
    if columns != names {
        let problem = format!("columns are `{}`, expected `{}`", columns.join(","), names.join(","));
        return Err(invalid(path, 2, problem));
    }
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    let names = csv::StringRecord::from(names.to_vec());
    while reader.read_record(&mut record).map_err(fail)? {
        let row = record.deserialize(Some(&names)).map_err(fail)?;
        rows.push((line(record.position()), row));
    }
    Ok(rows)
}

/// The message of a CSV error without its position, whose line number is wrong.
fn problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, expected {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => err.to_string(),
        _ => error.to_string(),
    }
}

fn csv_line(row: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.serialize(row).map_err(io::Error::other)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

pub(crate) fn invalid(path: &Path, line: u64, problem: String) -> SearchError {
    SearchError::InvalidLine { path: path.to_owned(), line, problem }
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> SearchError {
    move |source| SearchError::Io { path: path.to_owned(), source }
}
