//! What is wrong with a development kit, as data.

/// What is wrong with the development kit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DevkitProblem {
    /// `meta.mat` does not follow its format or lacks the synsets.
    #[error("meta.mat: {0}")]
    Meta(#[from] MatProblem),
    /// No synset without children.
    #[error("meta.mat: none of the {synsets} synsets is a class (has a num_children of 0)")]
    NoClasses {
        /// Number of synsets in the file.
        synsets: usize,
    },
    /// A field of a synset holds what it cannot hold.
    #[error("meta.mat: {field} of synset {synset} is {found}, expected {expected}")]
    Field {
        /// Position of the synset in the file, from 1.
        synset: usize,
        /// The field.
        field: &'static str,
        /// Its value, text in quotation marks.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// Two classes of one id.
    #[error("meta.mat: {first} and {second} both have the ILSVRC2012_ID {id}")]
    RepeatedId {
        /// The id.
        id: usize,
        /// WordNet id of the class that has it first.
        first: String,
        /// WordNet id of the other class.
        second: String,
    },
    /// Two classes of one WordNet id.
    #[error("meta.mat: the classes {first} and {second} both have the WNID {wnid}")]
    RepeatedWnid {
        /// The WordNet id.
        wnid: String,
        /// The lower id.
        first: usize,
        /// The higher id.
        second: usize,
    },
    /// The ground truth has no line.
    #[error("ground truth is empty")]
    NoGroundTruth,
    /// A line of the ground truth is not the id of a class.
    #[error("ground truth line {line} is {found:?}, expected an id 1 to {classes}")]
    GroundTruth {
        /// Number of the line, from 1.
        line: usize,
        /// The line, or its start if it is long.
        found: String,
        /// Number of classes, the highest id.
        classes: usize,
    },
}

/// What is wrong with a MAT-file; offsets are those in the file or, in a compressed variable, in its inflated data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatProblem {
    /// Another file, or one of another version: version 2, of MATLAB 7.3, is another format (HDF5).
    #[error(r"not a level 5 mat-file: the header ends in {end}, expected \x00\x01IM or \x01\x00MI", end = .0.escape_ascii())]
    Header([u8; 4]),
    /// The file or an element in it ends too early.
    #[error("{what} at byte {offset} needs {needed} bytes, {left} are left")]
    Short {
        /// What does not fit.
        what: &'static str,
        /// Where it starts.
        offset: usize,
        /// Its length in bytes.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// A value that the format does not allow, or that is not read here.
    #[error("{what} at byte {offset} is {found:#x}, expected {expected}")]
    Unexpected {
        /// What has the value.
        what: &'static str,
        /// Where it is, or where what follows it starts.
        offset: usize,
        /// The value.
        found: u32,
        /// What it may be.
        expected: &'static str,
    },
    /// Characters that are none in their encoding.
    #[error("text at byte {offset} is not valid unicode")]
    Text {
        /// Where the text starts.
        offset: usize,
    },
    /// A compressed variable is broken or ends too early.
    #[error("compressed variable at byte {offset}: broken zlib stream: {reason}")]
    Zlib {
        /// Where the stream starts.
        offset: usize,
        /// The decoder's message.
        reason: String,
    },
    /// A compressed variable that inflates to more than any file of this kind holds.
    #[error("compressed variable at byte {offset} inflates to more than the {limit} bytes allowed")]
    TooLarge {
        /// Where the stream starts.
        offset: usize,
        /// Greatest number of bytes.
        limit: usize,
    },
    /// No struct array of this name.
    #[error("no struct array named {0:?}")]
    MissingVariable(String),
    /// The structs lack a field.
    #[error("no field named {0:?}")]
    MissingField(String),
}
