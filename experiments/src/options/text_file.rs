//! Text files as editors and shells write them.

use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Reads a text: UTF-8 with or without a byte order mark, or UTF-16 with one (as PowerShell writes).
///
/// # Errors
///
/// If the file cannot be read or is no text.
pub fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    decoded(&bytes).with_context(|| format!("{} is no text file", path.display()))
}

fn decoded(bytes: &[u8]) -> Result<String> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok(std::str::from_utf8(rest)?.to_owned()),
        bytes => Ok(std::str::from_utf8(bytes)?.to_owned()),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String> {
    ensure!(bytes.len().is_multiple_of(2), "it ends inside a character");
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    Ok(String::from_utf16(&units)?)
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
        for form in forms {
            assert_eq!(decoded(&form).unwrap(), text);
        }
        assert!(decoded(b"\xff\xfea").is_err() && decoded(b"\x80\x81").is_err());
    }
}
