//! Text files as editors and shells write them.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use crate::error::DataError;

/// Reads a text: UTF-8 with or without a byte order mark, or UTF-16 with one (as PowerShell writes).
///
/// # Errors
/// [`DataError::Read`] if the file cannot be read or is no text.
pub(crate) fn read(path: &Path) -> Result<String, DataError> {
    let text = std::fs::read(path).and_then(|bytes| {
        let (text, _, is_broken) = encoding_rs::UTF_8.decode(&bytes);
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "it is no text in UTF-8 or UTF-16");
        if is_broken { Err(broken()) } else { Ok(text.into_owned()) }
    });
    text.map_err(|source| DataError::Read { path: path.to_owned(), source })
}

/// The text of a small file, such as a label, with a sign in place of what is no text.
pub(crate) fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    encoding_rs::UTF_8.decode(bytes).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_order_mark_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        for bytes in [b"4\r\n".as_slice(), b"\xef\xbb\xbf4\r\n", b"\xff\xfe4\0\r\0\n\0", b"\xfe\xff\x004\0\r\0\n"] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!((read(&path).unwrap().as_str(), &*decoded(bytes)), ("4\r\n", "4\r\n"));
        }
        std::fs::write(&path, b"\x80\x81").unwrap();
        let error = read(&path).unwrap_err();
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(reason.contains("no text in UTF-8"), "{error}: {reason}");
    }
}
