//! Typed errors for an ImageNet development kit.

/// What is wrong with a development kit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DevkitProblem {
    /// `meta.mat` violates its format or lacks the synsets.
    #[error("meta.mat: {0}")]
    Meta(#[from] MatProblem),
    /// No synset has a `num_children` of 0.
    #[error("meta.mat: none of the {synsets} synsets is a class (has a num_children of 0)")]
    NoClasses {
        /// Number of synsets in the file.
        synsets: usize,
    },
    /// A field of a synset has an invalid value.
    #[error("meta.mat: {field} of synset {synset} is {found}, expected {expected}")]
    Field {
        /// Position of the synset in the file, from 1.
        synset: usize,
        /// Name of the field.
        field: &'static str,
        /// Its value; text is quoted.
        found: String,
        /// Valid values.
        expected: String,
    },
    /// Two classes have the same `ILSVRC2012_ID`.
    #[error("meta.mat: {first} and {second} both have the ILSVRC2012_ID {id}")]
    RepeatedId {
        /// The repeated id.
        id: usize,
        /// WordNet id of the first class with this id.
        first: String,
        /// WordNet id of the second one.
        second: String,
    },
    /// Two classes have the same WordNet id.
    #[error("meta.mat: the classes {first} and {second} both have the WNID {wnid}")]
    RepeatedWnid {
        /// The repeated WordNet id.
        wnid: String,
        /// The lower `ILSVRC2012_ID`.
        first: usize,
        /// The higher `ILSVRC2012_ID`.
        second: usize,
    },
    /// The ground truth is empty.
    #[error("ground truth is empty")]
    NoGroundTruth,
    /// A line of the ground truth is not a class id.
    #[error("ground truth line {line} is {found:?}, expected an id from 1 to {classes}")]
    GroundTruth {
        /// Line number, from 1.
        line: usize,
        /// The line, truncated if it is long.
        found: String,
        /// Number of classes, which is the highest id.
        classes: usize,
    },
}

/// What is wrong with a MAT-file. Offsets count from the start of the file or, for a compressed variable, of its
/// inflated data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatProblem {
    /// Not a level 5 MAT-file. Version 2 files, from MATLAB 7.3, use a different format (HDF5). Holds the last four
    /// bytes of the header.
    #[error(r"not a level 5 mat-file: the header ends in {end}, expected \x00\x01IM or \x01\x00MI", end = .0.escape_ascii())]
    Header([u8; 4]),
    /// The file or one of its elements ends too early.
    #[error("{what} at byte {offset} needs {needed} bytes, {left} are left")]
    Short {
        /// What does not fit.
        what: &'static str,
        /// Offset where it starts.
        offset: usize,
        /// Its length in bytes.
        needed: usize,
        /// Bytes left.
        left: usize,
    },
    /// A value that the format forbids or this reader does not support.
    #[error("{what} at byte {offset} is {found:#x}, expected {expected}")]
    Unexpected {
        /// What has the value.
        what: &'static str,
        /// Offset of the value, or of the data right after it.
        offset: usize,
        /// The value.
        found: u32,
        /// Valid values.
        expected: &'static str,
    },
    /// Text is not valid in its encoding.
    #[error("text at byte {offset} is not valid unicode")]
    Text {
        /// Offset where the text starts.
        offset: usize,
    },
    /// A compressed variable is damaged or truncated.
    #[error("compressed variable at byte {offset}: broken zlib stream: {reason}")]
    Zlib {
        /// Offset where the stream starts.
        offset: usize,
        /// The decoder's message.
        reason: String,
    },
    /// A compressed variable inflates to more than any such file holds.
    #[error("compressed variable at byte {offset} inflates to more than the {limit} bytes allowed")]
    TooLarge {
        /// Offset where the stream starts.
        offset: usize,
        /// Largest allowed size in bytes.
        limit: usize,
    },
    /// The file has no struct array of this name.
    #[error("no struct array named {0:?}")]
    MissingVariable(String),
    /// The structs lack this field.
    #[error("no field named {0:?}")]
    MissingField(String),
}
