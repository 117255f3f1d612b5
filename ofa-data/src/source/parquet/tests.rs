use super::*;
use std::fs;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder as Builder, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use tempfile::TempDir;

const HUB: &[u8] = include_bytes!("../../../fixtures/parquet/hub.parquet");
const HUB_SNAPPY: &[u8] = include_bytes!("../../../fixtures/parquet/hub_snappy.parquet");
const SCHEMA: &str =
    "message set { optional group img { optional binary bytes; } optional int64 label; required double weight; }";

/// Up to 40 KB, part noise, part repetitive enough for a compressor to find matches.
fn picture(i: usize) -> Vec<u8> {
    let noise = |j: usize| (j as u32 + 7919 * i as u32).wrapping_mul(2_654_435_761).rotate_left(9) as u8;
    (0..1000 + i * 7717 % 39_000).map(|j| if j / 500 % 3 == 0 { (j % 50) as u8 } else { noise(j * j) }).collect()
}

fn column<T: DataType>(group: &mut SerializedRowGroupWriter<'_, fs::File>, rows: &[Option<T::T>], level: i16) {
    let levels: Vec<i16> = rows.iter().map(|row| if row.is_some() { level } else { 0 }).collect();
    let values: Vec<T::T> = rows.iter().flatten().cloned().collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(&values, Some(&levels), None).unwrap();
    column.close().unwrap();
}

type Row = (Option<Vec<u8>>, Option<i64>);

fn write(path: &Path, properties: Builder, rows: &[Row]) {
    write_as(SCHEMA, path, properties, rows);
}

/// Writes row groups of 20.
fn write_as(schema: &str, path: &Path, properties: Builder, rows: &[Row]) {
    let names = r#"{"info": {"features": {"label": {"names": ["ant", "bee"], "_type": "ClassLabel"}}}}"#;
    let note = KeyValue::new("huggingface".into(), names.to_owned());
    let properties = Arc::new(properties.set_key_value_metadata(Some(vec![note])).build());
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, properties).unwrap();
    for rows in rows.chunks(20) {
        let mut group = file.next_row_group().unwrap();
        let images: Vec<_> = rows.iter().map(|row| row.0.clone().map(ByteArray::from)).collect();
        column::<ByteArrayType>(&mut group, &images, 2);
        column::<Int64Type>(&mut group, &rows.iter().map(|row| row.1).collect::<Vec<_>>(), 1);
        column::<DoubleType>(&mut group, &vec![Some(0.5); rows.len()], 0);
        group.close().unwrap();
    }
    file.close().unwrap();
}

/// Pages of 2 images, with or without an offset index.
fn small_pages(index: bool) -> Builder {
    let small = WriterProperties::builder().set_write_batch_size(1).set_data_page_row_count_limit(2);
    let small = small.set_dictionary_enabled(false).set_compression(Compression::SNAPPY);
    small.set_offset_index_disabled(!index)
}

fn rows(range: std::ops::Range<usize>) -> Vec<Row> {
    range.map(|i| (Some(picture(i)), Some(i as i64 % 2))).collect()
}

fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn problem(path: &Path) -> String {
    ParquetShards::open(vec![path.to_owned()]).unwrap_err().1.to_string()
}

#[test]
fn images_of_all_layouts_are_read_in_any_order_and_by_many_threads() {
    let whole = || WriterProperties::builder().set_write_batch_size(1).set_offset_index_disabled(true);
    let snappy = || whole().set_compression(Compression::SNAPPY);
    let second = WriterVersion::PARQUET_2_0;
    let images = ColumnPath::from(vec!["img".to_owned(), "bytes".to_owned()]);
    let plain = || snappy().set_dictionary_enabled(false).set_column_encoding(images.clone(), Encoding::PLAIN);
    let plain_second = || plain().set_writer_version(second);
    // Each layout, and whether its row groups get mapped.
    let layouts = [
        (small_pages(true), false),
        (small_pages(false), true),
        (snappy(), true),
        (snappy().set_dictionary_enabled(false), true),
        (snappy().set_dictionary_page_size_limit(100_000), true),
        (plain_second(), true),
        // Pages stored uncompressed, because snappy cannot reach that ratio.
        (plain_second().set_data_page_v2_compression_ratio_threshold(0.01), true),
        // Images that omit the prefix shared with the previous one.
        (snappy().set_dictionary_enabled(false).set_column_encoding(images.clone(), Encoding::DELTA_BYTE_ARRAY), false),
        (whole().set_writer_version(second), true),
        (whole().set_compression(Compression::ZSTD(Default::default())), false),
    ];
    let dir = tempfile::tempdir().unwrap();
    let files = vec![dir.path().join("a.parquet"), dir.path().join("b.parquet")];
    for (layout, mapped) in layouts {
        write(&files[0], layout.clone(), &rows(0..50));
        write(&files[1], layout, &rows(50..75));
        let set = ParquetShards::open(files.clone()).unwrap();
        assert_eq!((set.len(), set.class_names().unwrap()), (75, &["ant".to_owned(), "bee".to_owned()][..]));
        std::thread::scope(|scope| {
            let set = &set;
            let check = |i: usize| {
                assert_eq!((set.label(i) as usize, set.read(i)), (i % 2, Ok(picture(i))), "image {i}");
            };
            (0..3).for_each(|t| drop(scope.spawn(move || (0..75).map(|i| (i * 31 + t) % 75).for_each(check))));
        });
        assert!(set.groups.iter().all(|group| matches!(group.map.get(), Some(Some(_))) == mapped));
        assert_eq!([set.place(49), set.place(71)], [files[0].join("row 49"), files[1].join("row 21")]);
        assert!(set.shards().map(|shard| shard.0).eq(&files));
    }
}

#[test]
fn pages_before_an_image_are_not_decoded() {
    for index in [true, false] {
        let (_dir, path) = file("a", b"");
        write(&path, small_pages(index), &rows(0..20));
        let mut bytes = fs::read(&path).unwrap();
        bytes[100..1000].fill(255);
        fs::write(&path, bytes).unwrap();
        let set = ParquetShards::open(vec![path]).unwrap();
        assert!(set.read(0).unwrap_err().starts_with("damaged"));
        (2..20).for_each(|i| assert_eq!(set.read(i), Ok(picture(i))));
    }
}

#[test]
fn files_of_the_hub_are_read() {
    let images = [HUB, HUB_SNAPPY].map(|bytes| {
        let (_dir, path) = file("hub.parquet", bytes);
        let set = ParquetShards::open(vec![path]).unwrap();
        assert_eq!((set.len(), set.class_names().unwrap().join(" ")), (10, "ant bee cat".into()));
        assert!((0..10).all(|i| set.label(i) as usize == i % 3));
        (0..10).map(|i| set.read(i).unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(images[0], images[1]);
    assert!(images[0].iter().all(|image| image.starts_with(b"\x89PNG") && image.ends_with(b"IEND\xaeB`\x82")));
    assert!((1..10).all(|i| images[0][i] != images[0][i - 1]));
}

#[test]
fn what_is_wrong_is_said() {
    let (dir, path) = file("a.parquet", &HUB[..HUB.len() - 1]);
    assert!(problem(&path).starts_with("damaged, or not a parquet file"), "{}", problem(&path));
    assert_eq!(problem(dir.path()), "not a regular file");
    assert!(problem(&dir.path().join("b")).starts_with("cannot be read: No such file"));
    let labelled = |label| {
        write(&path, WriterProperties::builder(), &[rows(0..30), vec![(None, label)], rows(31..33)].concat());
        problem(&path)
    };
    let minus = "label of row 30 is -1, expected 0 to 1 (-1 means unlabelled: this split has no labels)";
    assert_eq!(labelled(Some(-1)), minus);
    assert_eq!(labelled(Some(2)), "label of row 30 is 2, expected 0 to 1");
    assert_eq!(labelled(None), "label of row 30 is missing, expected 0 to 1");
    write(&path, WriterProperties::builder(), &[(None, Some(0)), (Some(vec![1]), Some(0))]);
    let set = ParquetShards::open(vec![path.clone()]).unwrap();
    assert_eq!(set.read(0).unwrap_err(), "no image in this row: its bytes are null");
    fs::write(&path, HUB).unwrap();
    assert!(set.read(1).unwrap_err().starts_with("changed since it was opened: "));
    let hub = path.with_file_name("hub");
    write(&hub, WriterProperties::builder(), &rows(0..1));
    let (path, problem) = ParquetShards::open(vec![path, hub.clone()]).unwrap_err();
    assert!(path == hub && matches!(problem, ParquetProblem::Names { .. }), "{problem}");
}

#[test]
fn other_columns_are_named() {
    let (_dir, path) = file("a", b"");
    let message = |from: &str, to: &str| {
        write_as(&SCHEMA.replace(from, to), &path, WriterProperties::builder(), &rows(0..1));
        problem(&path)
    };
    let columns = "the columns are pic.bytes, label, weight";
    assert_eq!(message("img", "pic"), format!("no column image.bytes or img.bytes; {columns}"));
    let columns = "the columns are img.bytes, class, weight";
    assert_eq!(message("label", "class"), format!("no column label or labels or fine_label; {columns}"));
    let wrong = "column labels does not hold integers, one per row";
    assert_eq!(message("label; required double weight", "class; required double labels"), wrong);
}

#[test]
fn damaged_files_are_refused_or_read() {
    for whole in [HUB, HUB_SNAPPY] {
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << (at % 8);
            let (_dir, path) = file("a", &bytes);
            if let Ok(set) = ParquetShards::open(vec![path]) {
                (0..set.len()).for_each(|i| drop(set.read(i)));
            }
            let (_dir, path) = file("a", &whole[..at]);
            assert!(ParquetShards::open(vec![path]).is_err());
        }
    }
}
