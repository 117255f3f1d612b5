use super::*;
use std::collections::BTreeMap;

/// CRC-32C bit by bit, from its polynomial.
fn checksum(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}

/// The contents of the records of a file; checks their checksums.
fn records(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut take = |n: usize| {
        let (taken, rest) = file.split_at(n);
        file = rest;
        (taken, rest.is_empty())
    };
    let mut records = Vec::new();
    loop {
        let (length, _) = take(8);
        let check = |bytes: &[u8], stored: &[u8]| {
            let stored = u32::from_le_bytes(stored.try_into().unwrap()).wrapping_sub(0xA282_EAD8).rotate_left(15);
            assert_eq!(stored, checksum(bytes));
        };
        check(length, take(4).0);
        let content = take(u64::from_le_bytes(length.try_into().unwrap()) as usize).0;
        let (stored, is_end) = take(4);
        check(content, stored);
        records.push(content.to_vec());
        if is_end {
            return records;
        }
    }
}

/// The fields of a message by number, with integers as eight bytes.
fn fields(message: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut bytes = message.iter().copied();
    let mut fields = BTreeMap::new();
    while let Some(key) = bytes.next() {
        let mut varint = || {
            let (mut value, mut shift) = (0u64, 0);
            loop {
                let byte = bytes.next().unwrap();
                value |= u64::from(byte & 0x7F) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        };
        let length = match key & 7 {
            0 => {
                fields.insert(key >> 3, varint().to_le_bytes().to_vec());
                continue;
            }
            1 => 8,
            2 => varint() as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        fields.insert(key >> 3, bytes.by_ref().take(length).collect());
    }
    fields
}

/// Time, step, tag and value of every event of a file except the first, which holds the version.
fn events(file: &[u8]) -> Vec<(f64, u64, String, f32)> {
    let records = records(file);
    assert_eq!(fields(&records[0])[&3], b"brain.Event:2");
    let event = |record: &Vec<u8>| {
        let event = fields(record);
        let value = fields(&fields(&event[&5])[&1]);
        let number = |bytes: &Vec<u8>| <[u8; 8]>::try_from(&bytes[..]).unwrap();
        (
            f64::from_le_bytes(number(&event[&1])),
            u64::from_le_bytes(number(&event[&2])),
            String::from_utf8(value[&1].clone()).unwrap(),
            f32::from_le_bytes(value[&2][..].try_into().unwrap()),
        )
    };
    records[1..].iter().map(event).collect()
}

#[test]
fn the_checksum_of_the_tests_is_crc32c() {
    assert_eq!(checksum(b"123456789"), 0xE306_9283);
}

#[test]
fn a_file_holds_its_points() {
    let point = |tag: &str, step, value| Point { tag: tag.repeat(40), step, time: 1.7e9 + step as f64, value };
    // Lengths and steps below and above the limit of a one-byte varint.
    let points = [point("a", 1, 0.5), point("long", 127, -3.25), point("b", 128, 1e30), point("c", 70_000, f64::NAN)];
    let events = events(&event::file(1.7e9, &points));
    for (found, point) in events.iter().zip(&points) {
        assert_eq!((found.0, found.1, &found.2), (point.time, point.step, &point.tag));
        assert!(found.3 == point.value as f32 || point.value.is_nan() && found.3.is_nan(), "{found:?}");
    }
    assert_eq!(events.len(), 4);
    assert_eq!(super::tests::events(&event::file(0.0, &[])), []);
}

const EPOCHS: [&str; 4] = [
    "stage,epoch,learning_rate,loss,label_loss,teacher_loss,train_top1,images,seconds\n",
    "full,1,0.1,2.5,2.5,0.0,0.25,64,10\n",
    "full,2,0.05,2.0,2.0,0.0,0.5,64,10\n",
    "kernel,1,0.1,1.5,1.0,0.5,0.75,64,20\n",
];
const SMALLEST: &str = "r20-k3e3";
const LARGEST: &str = "r28-k7e6";

fn run(temporary: &tempfile::TempDir) -> RunDir {
    RunDir::create(temporary.path(), "").unwrap()
}

fn updated(dir: &RunDir, epochs: usize, watched: &str) -> Vec<u8> {
    dir.write("metrics.csv", &EPOCHS[..=epochs].concat()).unwrap();
    dir.write("watched.csv", watched).unwrap();
    update(dir, &[SMALLEST.parse().unwrap(), LARGEST.parse().unwrap()]).unwrap();
    fs::read(dir.path(FILE)).unwrap()
}

#[test]
fn curves_are_those_of_the_records() {
    let temporary = tempfile::tempdir().unwrap();
    let watched = format!("stage,arch,top1\nfull,{SMALLEST},0.125\nfull,{LARGEST},0.375\n");
    let events = events(&updated(&run(&temporary), 3, &watched));
    let curve = |tag: &str| -> Vec<(u64, f32)> {
        events.iter().filter(|event| event.2 == tag).map(|event| (event.1, event.3)).collect()
    };
    assert_eq!(curve("train/loss"), [(1, 2.5), (2, 2.0), (3, 1.5)]);
    assert_eq!(curve("train/label_loss"), [(1, 2.5), (2, 2.0), (3, 1.0)]);
    assert_eq!(curve("train/teacher_loss"), [(3, 0.5)]);
    assert_eq!(curve("train/top1"), [(1, 0.25), (2, 0.5), (3, 0.75)]);
    assert_eq!(curve("learning_rate"), [(1, 0.1), (2, 0.05), (3, 0.1)]);
    assert_eq!(curve("watched/smallest"), [(2, 0.125)]);
    assert_eq!(curve("watched/largest"), [(2, 0.375)]);
    let times: Vec<f64> = events.iter().filter(|event| event.2 == "train/loss").map(|event| event.0).collect();
    assert_eq!([times[1] - times[0], times[2] - times[1]], [10.0, 20.0]);
}

#[test]
fn what_was_watched_after_every_epoch_stands_there() {
    let temporary = tempfile::tempdir().unwrap();
    let watched =
        format!("stage,epoch,arch,top1\nfull,1,{LARGEST},0.25\nfull,2,{LARGEST},0.5\nkernel,1,r20-k5e3,0.75\n");
    let events = events(&updated(&run(&temporary), 3, &watched));
    let watched = events.iter().filter(|event| event.2.starts_with("watched/"));
    let watched: Vec<_> = watched.map(|event| (event.1, event.2.as_str(), event.3)).collect();
    assert_eq!(watched, [(1, "watched/largest", 0.25), (2, "watched/largest", 0.5), (3, "watched/r20-k5e3", 0.75)]);
}

#[test]
fn a_file_grows_and_a_resumed_run_neither_doubles_nor_loses_points() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = run(&temporary);
    let watched = format!("stage,arch,top1\nfull,{SMALLEST},0.125\n");
    let first = updated(&dir, 2, "");
    let second = updated(&dir, 2, &watched);
    let whole = updated(&dir, 3, &watched);
    assert!(second.starts_with(&first) && whole.starts_with(&second) && first.len() < second.len());
    assert_eq!(updated(&dir, 3, &watched), whole, "nothing is new");
    // Killed during an append.
    fs::write(dir.path(FILE), &whole[..second.len() + 5]).unwrap();
    assert_eq!(updated(&dir, 3, &watched), whole);
    // Resumed from an earlier checkpoint and trained again.
    assert_eq!(updated(&dir, 2, &watched), second);
    assert_eq!(updated(&dir, 3, &watched), whole);
}
