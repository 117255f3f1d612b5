//! What can be wrong with files that hold a whole set, as data.

/// What is wrong with an IDX file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdxProblem {
    /// The gzip stream is broken or ends too early.
    #[error("broken gzip stream: {0}")]
    Gzip(String),
    /// The first four bytes are not those of this kind of file.
    #[error("magic number is {found:#010x}, expected {expected:#010x}")]
    Magic {
        /// Magic number of this kind of file.
        expected: u32,
        /// Magic number of the file.
        found: u32,
    },
    /// The header announces another amount of data than there is.
    #[error("the header announces {announced} bytes of data, there are {found}")]
    Length {
        /// Bytes of data according to the header.
        announced: u64,
        /// Bytes of data there are; counted no further than one beyond `announced`.
        found: u64,
    },
    /// Images of another size, or another number of items, than the set has.
    #[error("{what} is {found}, expected {expected}")]
    Shape {
        /// What is counted.
        what: &'static str,
        /// What the set has.
        expected: usize,
        /// What the file has.
        found: usize,
    },
    /// A label beyond the last class.
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

/// What is wrong with a file of CIFAR.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CifarProblem {
    /// The file is cut or another file.
    #[error("{bytes} bytes are not a whole number of records of {record}")]
    Length {
        /// Length of the file.
        bytes: usize,
        /// Bytes of a record.
        record: usize,
    },
    /// A label is none of the set.
    #[error("label {label} of record {item} is beyond the {classes} classes")]
    Label {
        /// Position of the record, from 0.
        item: usize,
        /// The label there.
        label: u8,
        /// Number of classes of the set.
        classes: usize,
    },
    /// The file of names has too few or too many lines.
    #[error("{found} names of classes, expected {expected}")]
    Names {
        /// Names in the file.
        found: usize,
        /// Classes of the set.
        expected: usize,
    },
}
