//! What can be wrong with an image, as data.

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProblem {
    /// Not a regular file (a directory, a FIFO, a device, a socket).
    #[error("not a regular file")]
    NotAFile,
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is not the one that was listed.
    #[error("changed since it was listed: {found} bytes, it had {listed}")]
    Changed {
        /// Bytes when it was listed.
        listed: u64,
        /// Bytes now, counted no further than one beyond `listed` if it grew while it was read.
        found: u64,
    },
    /// The archive of the image is not the one that was listed.
    #[error("its archive changed since it was listed")]
    ArchiveChanged,
    /// More bytes than any image; refused before memory is set aside.
    #[error("{bytes} bytes are more than the {limit} of any image")]
    TooManyBytes {
        /// Length of the file.
        bytes: u64,
        /// Greatest length.
        limit: u64,
    },
    /// The decoder has a bug.
    #[error("the decoder panicked: {0}")]
    Panicked(String),
    /// The file has no bytes.
    #[error("empty file")]
    Empty,
    /// The first bytes belong neither to a JPEG nor to a PNG.
    #[error("neither JPEG nor PNG: the file starts with {0:02x?}")]
    UnknownFormat(Vec<u8>),
    /// More pixels than any photograph; refused before memory is set aside.
    #[error("{width} x {height} pixels are more than the {limit} allowed")]
    TooLarge {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Greatest number of pixels.
        limit: usize,
    },
    /// The file ends before its picture does.
    #[error("truncated after {bytes} bytes")]
    Truncated {
        /// Length of the file.
        bytes: usize,
    },
    /// The JPEG decoder's complaint.
    #[error("broken jpeg ({bytes} bytes): {reason}")]
    Jpeg {
        /// Length of the file.
        bytes: usize,
        /// The decoder's message.
        reason: String,
    },
    /// The PNG decoder's complaint.
    #[error("broken png ({bytes} bytes): {reason}")]
    Png {
        /// Length of the file.
        bytes: usize,
        /// The decoder's message.
        reason: String,
    },
}

impl ImageProblem {
    /// The sort of problem in few words, the same for all files of this sort.
    pub fn sort(&self) -> &'static str {
        match self {
            Self::NotAFile => "not a regular file",
            Self::Unreadable(_) => "unreadable",
            Self::Changed { .. } | Self::ArchiveChanged => "changed",
            Self::TooManyBytes { .. } => "too large",
            Self::Panicked(_) => "decoder panicked",
            Self::Empty => "empty file",
            Self::UnknownFormat(_) => "neither JPEG nor PNG",
            Self::TooLarge { .. } => "too large",
            Self::Truncated { .. } => "truncated",
            Self::Jpeg { .. } => "broken jpeg",
            Self::Png { .. } => "broken png",
        }
    }
}
