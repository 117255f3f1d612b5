//! Typed errors for files that hold a whole set.

/// What is wrong with an IDX file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdxProblem {
    /// The header, or the gzip stream, is broken or ends too early.
    #[error("broken or truncated: {0}")]
    Gzip(String),
    /// The first four bytes are not the magic number of this kind of file.
    #[error("it holds {}, expected {}", described(*found), described(*expected))]
    Magic {
        /// Magic number of this kind of file.
        expected: u32,
        /// Magic number found.
        found: u32,
    },
    /// The header announces a different amount of data than the file holds.
    #[error("the header announces {announced} bytes of data, the file has {found}")]
    Length {
        /// Bytes of data according to the header.
        announced: u64,
        /// Bytes of data in the file; counting stops one byte beyond `announced`.
        found: u64,
    },
    /// The image size or the number of items differs from the set's.
    #[error("{what} is {found}, expected {expected}")]
    Shape {
        /// The quantity that differs.
        what: &'static str,
        /// Its value in the set.
        expected: usize,
        /// Its value in the file.
        found: usize,
    },
    /// A label is not below the number of classes.
    #[error("label {label} of item {item} is beyond the {classes} classes")]
    Label {
        /// Position in the file.
        item: usize,
        /// The label there.
        label: u8,
        /// Number of classes of the set.
        classes: usize,
    },
}

/// What is wrong with a CIFAR file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CifarProblem {
    /// The file is truncated or of another kind.
    #[error("{bytes} bytes are not a whole number of records of {record}")]
    Length {
        /// Length of the file in bytes.
        bytes: usize,
        /// Length of one record in bytes.
        record: usize,
    },
    /// A label is not below the number of classes.
    #[error("label {label} of record {item} is beyond the {classes} classes")]
    Label {
        /// Position of the record, from 0.
        item: usize,
        /// The label there.
        label: u8,
        /// Number of classes of the set.
        classes: usize,
    },
    /// The file of class names has too few or too many lines.
    #[error("{found} class names, expected {expected}")]
    Names {
        /// Names in the file.
        found: usize,
        /// Classes of the set.
        expected: usize,
    },
}

/// What a file with this magic number holds.
fn described(magic: u32) -> String {
    let numbers = match magic >> 8 {
        0x08 => "unsigned bytes",
        0x09 => "signed bytes",
        0x0b => "integers of two bytes",
        0x0c => "integers of four bytes",
        0x0d => "floats",
        0x0e => "doubles",
        _ => return format!("no IDX data (it begins with {magic:#010x})"),
    };
    let rank = magic & 0xff;
    format!("{numbers} in {rank} {}", if rank == 1 { "dimension" } else { "dimensions" })
}
