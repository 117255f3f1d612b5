//! Encodes an event file: records of length, checksum, content and checksum, whose contents are `Event` messages of
//! TensorFlow's `event.proto` in protobuf's wire format.

/// A scalar of a curve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// Name of the curve; names with the same prefix up to a `/` are shown together.
    pub(super) tag: String,
    /// Position on the horizontal axis.
    pub(super) step: u64,
    /// Seconds since 1970.
    pub(super) time: f64,
    /// Position on the vertical axis.
    pub(super) value: f64,
}

/// Wire types; a field key combines field number and wire type.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// A complete event file, started at `time`.
pub(super) fn file(time: f64, points: &[Point]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut version = Message::default();
    version.double(1, time).bytes(3, b"brain.Event:2");
    record(&mut file, &version.0);
    for point in points {
        let (mut value, mut summary, mut event) = (Message::default(), Message::default(), Message::default());
        value.bytes(1, point.tag.as_bytes()).float(2, point.value as f32);
        summary.bytes(1, &value.0);
        event.double(1, point.time).integer(2, point.step).bytes(5, &summary.0);
        record(&mut file, &event.0);
    }
    file
}

fn record(file: &mut Vec<u8>, content: &[u8]) {
    let length = (content.len() as u64).to_le_bytes();
    for part in [&length[..], content] {
        file.extend(part);
        file.extend(masked(crc32c::crc32c(part)).to_le_bytes());
    }
}

/// The masked form in which checksums are stored; it keeps CRCs of data that contain CRCs effective.
fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// A protobuf message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn double(&mut self, field: u8, value: f64) -> &mut Self {
        self.key(field, FIXED64).0.extend(value.to_le_bytes());
        self
    }

    fn float(&mut self, field: u8, value: f32) -> &mut Self {
        self.key(field, FIXED32).0.extend(value.to_le_bytes());
        self
    }

    fn integer(&mut self, field: u8, value: u64) -> &mut Self {
        self.key(field, VARINT).varint(value)
    }

    fn bytes(&mut self, field: u8, value: &[u8]) -> &mut Self {
        self.key(field, BYTES).varint(value.len() as u64).0.extend(value);
        self
    }

    fn key(&mut self, field: u8, wire_type: u8) -> &mut Self {
        self.0.push(field << 3 | wire_type);
        self
    }

    /// Seven bits per byte, lowest first; the eighth bit is set in all bytes except the last.
    fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }
}
