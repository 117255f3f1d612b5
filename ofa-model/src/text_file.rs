//! Text files as editors and shells write them.

use std::io;
use std::path::Path;

/// Reads a text: UTF-8 with or without a byte order mark, or UTF-16 with one (as PowerShell writes).
///
/// Whatever a user may have written or edited is read by this function.
///
/// # Errors
///
/// If the file cannot be read; [`io::ErrorKind::InvalidData`] if it is no text.
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = std::fs::read(path)?;
    match encoding_rs::UTF_8.decode(&bytes) {
        (text, _, false) => Ok(text.into_owned()),
        (_, encoding, true) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is no text ({})", encoding.name())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_order_mark_goes() {
        let text = "r28-k3e3 \u{20ac}\r\n";
        let units = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
        let forms = [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [vec![0xff, 0xfe], units(u16::to_le_bytes)].concat(),
            [vec![0xfe, 0xff], units(u16::to_be_bytes)].concat(),
        ];
        let dir = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| {
            let path = dir.path().join("text");
            std::fs::write(&path, bytes).unwrap();
            read_text(&path)
        };
        for form in forms {
            assert_eq!(read(&form).unwrap(), text);
        }
        for form in [b"\xff\xfea".as_slice(), b"\x80\x81"] {
            assert_eq!(read(form).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        assert!(read_text(&dir.path().join("none")).is_err());
    }
}
