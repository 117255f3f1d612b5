//! Reads struct arrays from MATLAB 5.0 to 7 MAT-files (level 5), limited to numbers and text in their fields.
//!
//! The format is that of MathWorks' document "MAT-File Level 5". A header of 128 bytes (text, 2 bytes of version, 2
//! bytes of endian indicator) precedes data elements. A data element is a tag (type and length, 4 bytes each) and its
//! data, padded to 8 bytes; for up to 4 bytes of data, type and length may take 2 bytes each, with the data after them.
//! A variable is an element of type miMATRIX, or one of type miCOMPRESSED that inflates to it. A miMATRIX contains
//! elements itself: array flags with the class, dimensions, name, then the values, which depend on the class. The
//! values of a struct array are the maximum length of a field name, the field names, and a miMATRIX for every field of
//! every struct.
//!
//! Nothing here is recursive, and memory use is bounded by the bytes in the file, not by the sizes it announces.

use std::io::Read;

use flate2::read::ZlibDecoder;

use crate::error::MatProblem;

const HEADER: usize = 128;
/// Maximum size of an inflated variable in bytes.
const INFLATED_LIMIT: usize = 64 << 20;

/// Data element types.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Array classes and flags.
const STRUCT_CLASS: u32 = 2;
const CHAR_CLASS: u32 = 4;
const CLASS_MASK: u32 = 0xff;
const COMPLEX_FLAG: u32 = 0x800;

/// Value of a struct field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A real 1x1 array of any numeric class; integers beyond 2^53 are rounded.
    Number(f64),
    /// A char array with one row, or an empty one.
    Text(String),
    /// Anything else; not read.
    Other,
}

type Result<T> = std::result::Result<T, MatProblem>;

/// The structs of the array `name` in storage order (column by column), each as the values of `fields`.
pub(crate) fn struct_array<const N: usize>(file: &[u8], name: &str, fields: [&str; N]) -> Result<Vec<[Value; N]>> {
    const { assert!(N > 0, "structs without a field would take no bytes, however many") };
    let mut variables = open(file)?;
    while !variables.bytes.is_empty() {
        let (mut kind, mut data) = variables.element()?;
        let inflated;
        if kind == COMPRESSED {
            inflated = inflate(&data)?;
            (kind, data) = Reader { bytes: &inflated, offset: 0, ..data }.element()?;
        }
        let is_array = kind == MATRIX && !data.bytes.is_empty();
        if is_array && data.element()?.1.u32("array flags")? & CLASS_MASK == STRUCT_CLASS {
            let (_, count) = data.dimensions()?;
            if data.element()?.1.bytes == name.as_bytes() {
                return structs(count, data, fields);
            }
        }
    }
    Err(MatProblem::MissingVariable(name.to_owned()))
}

fn open(file: &[u8]) -> Result<Reader<'_>> {
    let mut reader = Reader { bytes: file, offset: 0, big_endian: false };
    let [.., version_0, version_1, endian_0, endian_1] = reader.array::<HEADER>("header")?;
    // The numbers 0x0100 and 0x4d49 ("MI") in the byte order of the file.
    match [version_0, version_1, endian_0, endian_1] {
        [0, 1, b'I', b'M'] => Ok(reader),
        [1, 0, b'M', b'I'] => Ok(Reader { big_endian: true, ..reader }),
        end => Err(MatProblem::Header(end)),
    }
}

fn inflate(compressed: &Reader<'_>) -> Result<Vec<u8>> {
    let (offset, limit) = (compressed.offset, INFLATED_LIMIT);
    let mut inflated = Vec::new();
    let mut stream = ZlibDecoder::new(compressed.bytes).take(limit as u64 + 1);
    stream.read_to_end(&mut inflated).map_err(|error| MatProblem::Zlib { offset, reason: error.to_string() })?;
    if inflated.len() <= limit { Ok(inflated) } else { Err(MatProblem::TooLarge { offset, limit }) }
}

/// Values of `fields` for the next `count` structs.
fn structs<const N: usize>(count: u64, mut body: Reader<'_>, fields: [&str; N]) -> Result<Vec<[Value; N]>> {
    let longest = body.element()?.1.u32("maximum field name length")?;
    let names = body.element()?.1.bytes.chunks_exact(longest.max(1) as usize);
    let mut places = [0; N];
    for (place, field) in places.iter_mut().zip(fields) {
        // Names are padded with zeros.
        let is_field = |name: &[u8]| name.split(|&byte| byte == 0).next() == Some(field.as_bytes());
        *place = names.clone().position(is_field).ok_or_else(|| MatProblem::MissingField(field.to_owned()))?;
    }
    let mut structs = Vec::new();
    for _ in 0..count {
        let mut values = [const { Value::Other }; N];
        for place in 0..names.len() {
            let element = body.element()?;
            if let Some(wanted) = places.iter().position(|&wanted| wanted == place) {
                values[wanted] = value(element)?;
            }
        }
        structs.push(values);
    }
    Ok(structs)
}

fn value((kind, mut body): (u32, Reader<'_>)) -> Result<Value> {
    if kind != MATRIX || body.bytes.is_empty() {
        return Ok(Value::Other);
    }
    let flags = body.element()?.1.u32("array flags")?;
    let (rows, count) = body.dimensions()?;
    body.element()?; // name
    match flags & CLASS_MASK {
        CHAR_CLASS if rows == 1 || count == 0 => text(body.element()?).map(Value::Text),
        // double, single, and integers of 8 to 64 bits
        6..=15 if count == 1 && flags & COMPLEX_FLAG == 0 => number(body.element()?).map(Value::Number),
        _ => Ok(Value::Other),
    }
}

/// The first number. Its storage type (miINT8 is 1, miUINT8 is 2 and so on) may differ from the array class.
fn number((kind, mut data): (u32, Reader<'_>)) -> Result<f64> {
    Ok(match kind {
        1 => i8::from_le_bytes(data.array("number")?).into(),
        2 => u8::from_le_bytes(data.array("number")?).into(),
        3 => i16::from_le_bytes(data.array("number")?).into(),
        4 => u16::from_le_bytes(data.array("number")?).into(),
        5 => i32::from_le_bytes(data.array("number")?).into(),
        6 => u32::from_le_bytes(data.array("number")?).into(),
        7 => f32::from_le_bytes(data.array("number")?).into(),
        9 => f64::from_le_bytes(data.array("number")?),
        12 => i64::from_le_bytes(data.array("number")?) as f64,
        13 => u64::from_le_bytes(data.array("number")?) as f64,
        _ => return Err(data.unexpected("type of a number", kind, "a numeric type (1 to 7, 9, 0xc or 0xd)")),
    })
}

/// UTF-16 as miUINT16 or miUTF16, or as miINT8 or miUINT8 if all units fit; or UTF-8.
fn text((kind, mut data): (u32, Reader<'_>)) -> Result<String> {
    let broken = MatProblem::Text { offset: data.offset };
    let mut units = Vec::new();
    match kind {
        1 | 2 => units.extend(data.bytes.iter().copied().map(u16::from)),
        4 | 17 => {
            while !data.bytes.is_empty() {
                units.push(u16::from_le_bytes(data.array("character")?));
            }
        }
        16 => return str::from_utf8(data.bytes).map(str::to_owned).map_err(|_| broken),
        _ => return Err(data.unexpected("type of text", kind, "1, 2, 4, 0x10 or 0x11")),
    }
    String::from_utf16(&units).map_err(|_| broken)
}

/// The unread bytes of a file or element.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    big_endian: bool,
}

impl<'a> Reader<'a> {
    /// Type and data of the next data element.
    fn element(&mut self) -> Result<(u32, Self)> {
        let tag = self.u32("tag")?;
        let (kind, length, alignment) = match (tag & 0xffff, tag >> 16) {
            (kind, 0) => (kind, self.u32("tag")?, if kind == COMPRESSED { 1 } else { 8 }),
            (kind, length @ 1..=4) => (kind, length, 4),
            (_, length) => return Err(self.unexpected("length in a short tag", length, "1 to 4")),
        };
        let length = length as usize;
        let data = self.take("data element", length)?;
        // The last element may lack its padding.
        self.take("padding", (length.wrapping_neg() % alignment).min(self.bytes.len()))?;
        Ok((kind, data))
    }

    /// Number of rows, and total number of values (saturating at 2^64 - 1).
    fn dimensions(&mut self) -> Result<(u32, u64)> {
        let (_, mut data) = self.element()?;
        let rows = data.u32("dimension")?;
        let mut count = u64::from(rows);
        while !data.bytes.is_empty() {
            count = count.saturating_mul(data.u32("dimension")?.into());
        }
        Ok((rows, count))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// The next `N` bytes, least significant first.
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(what, N)?.bytes);
        if self.big_endian {
            bytes.reverse();
        }
        Ok(bytes)
    }

    fn take(&mut self, what: &'static str, needed: usize) -> Result<Self> {
        let short = MatProblem::Short { what, offset: self.offset, needed, left: self.bytes.len() };
        let (bytes, rest) = self.bytes.split_at_checked(needed).ok_or(short)?;
        let after = Self { bytes: rest, offset: self.offset + needed, ..*self };
        Ok(Self { bytes, ..std::mem::replace(self, after) })
    }

    fn unexpected(&self, what: &'static str, found: u32, expected: &'static str) -> MatProblem {
        MatProblem::Unexpected { what, offset: self.offset, found, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    const PLAIN: &[u8] = include_bytes!("../../../../fixtures/devkit/meta-plain.mat");
    const ZLIB: &[u8] = include_bytes!("../../../../fixtures/devkit/meta-compressed.mat");
    const BIG_ENDIAN: &[u8] = include_bytes!("../../../../fixtures/devkit/meta-big-endian.mat");

    fn read(file: &[u8]) -> Result<Vec<[Value; 3]>> {
        struct_array(file, "synsets", ["words", "num_train_images", "children"])
    }

    /// A file with one compressed variable.
    fn compressed(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        let stream = encoder.finish().unwrap();
        [&PLAIN[..HEADER], &COMPRESSED.to_le_bytes(), &(stream.len() as u32).to_le_bytes(), &stream].concat()
    }

    #[test]
    fn fields_are_read_whatever_the_storage() {
        let plain = read(PLAIN).unwrap();
        assert_eq!(plain[3], [Value::Text("Australian terrier".into()), Value::Number(1300.0), Value::Other]);
        assert_eq!(read(ZLIB).unwrap(), plain);
        assert_eq!(read(BIG_ENDIAN).unwrap(), [6, 3, 0, 4, 2, 1, 5].map(|place: usize| plain[place].clone()));
        assert_eq!(struct_array(PLAIN, "synsets", ["word"]), Err(MatProblem::MissingField("word".into())));
    }

    #[test]
    fn numbers_and_text_of_every_type_are_read() {
        let element = |kind, bytes| (kind, Reader { bytes, offset: 0, big_endian: true });
        let ones = [(1, -1.0), (2, 255.0), (3, -1.0), (4, 65535.0), (5, -1.0), (6, 4294967295.0), (12, -1.0)];
        for (kind, value) in ones {
            assert_eq!(number(element(kind, &[0xff; 8])), Ok(value));
        }
        for (kind, value) in [(7, -2.0), (9, -2.0), (13, 1.5 * 2f64.powi(63))] {
            assert_eq!(number(element(kind, b"\xc0\0\0\0\0\0\0\0")), Ok(value));
        }
        for (kind, bytes) in [(1, &b"\xe4"[..]), (2, b"\xe4"), (4, b"\0\xe4"), (17, b"\0\xe4"), (16, b"\xc3\xa4")] {
            assert_eq!(text(element(kind, bytes)).as_deref(), Ok("ä"));
        }
        assert_eq!(text(element(16, b"\xc3")), Err(MatProblem::Text { offset: 0 }));
        assert_eq!(text(element(17, b"\xd8\0")), Err(MatProblem::Text { offset: 0 }));
    }

    #[test]
    fn other_and_cut_files_are_refused() {
        let newer = read(&[&PLAIN[..124], b"\0\x02IM"].concat()).unwrap_err().to_string();
        assert!(newer.contains(r"ends in \x00\x02IM, expected \x00\x01IM or \x01\x00MI"), "{newer}");
        for file in [PLAIN, ZLIB, BIG_ENDIAN] {
            assert_eq!((0..file.len()).find(|&length| read(&file[..length]).is_ok()), None);
        }
    }

    #[test]
    fn forged_amounts_are_harmless() {
        let (mut huge, mut nameless) = (PLAIN.to_vec(), PLAIN.to_vec());
        huge[224..232].fill(0x7f); // dimensions
        assert!(matches!(read(&huge), Err(MatProblem::Short { what: "tag", left: 0, .. })));
        nameless[252..256].fill(0); // greatest length of a field name
        assert_eq!(read(&nameless), Err(MatProblem::MissingField("words".into())));
        let bomb = read(&compressed(&vec![0; INFLATED_LIMIT + 1]));
        assert_eq!(bomb, Err(MatProblem::TooLarge { offset: HEADER + 8, limit: INFLATED_LIMIT }));
    }

    proptest! {
        #[test]
        fn damaged_and_random_files_do_not_panic(at in HEADER..PLAIN.len() - 4, word: [u8; 4], bytes: Vec<u8>) {
            let mut damaged = PLAIN.to_vec();
            damaged[at..at + 4].copy_from_slice(&word);
            let pieces = [&PLAIN[..at], &bytes].concat();
            for file in [&damaged, &pieces, &bytes, &compressed(&damaged[HEADER..]), &compressed(&bytes)] {
                prop_assert!(read(file).map_or(0, |structs| structs.len()) <= PLAIN.len());
            }
        }
    }
}
