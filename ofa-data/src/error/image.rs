//! Typed errors for a single image.

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
    /// The file's length changed after it was listed.
    #[error("changed since it was listed: {found} bytes now, {listed} then")]
    Changed {
        /// Bytes when it was listed.
        listed: u64,
        /// Bytes now; if the file grew during reading, counting stops one byte beyond `listed`.
        found: u64,
    },
    /// The archive that holds the image changed after it was listed.
    #[error("its archive changed since it was listed")]
    ArchiveChanged,
    /// The file is longer than any plausible image; refused before memory is allocated.
    #[error("{bytes} bytes are more than the {limit} allowed for an image file")]
    TooManyBytes {
        /// Length of the file in bytes.
        bytes: u64,
        /// Largest allowed length in bytes.
        limit: u64,
    },
    /// The decoder panicked: a bug in the decoder.
    #[error("the decoder panicked: {0}")]
    Panicked(String),
    /// The file has no bytes.
    #[error("empty file")]
    Empty,
    /// The first bytes (at most 8, kept here) are no signature of an image that is known.
    #[error("neither JPEG, PNG, WebP nor BMP: the file starts with {0:02x?}")]
    UnknownFormat(Vec<u8>),
    /// The first bytes are the signature of a format that is not read.
    #[error("{0}")]
    OtherFormat(&'static str),
    /// More pixels than any plausible photograph; refused before memory is allocated.
    #[error("{width} x {height} pixels are more than the {limit} allowed")]
    TooLarge {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Largest allowed number of pixels.
        limit: usize,
    },
    /// A decoded image whose values are not those of its size.
    #[error("{values} values are no image of {width} x {height} pixels with {channels} channels (1 or 3)")]
    Malformed {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Number of channels.
        channels: usize,
        /// Number of values found.
        values: usize,
    },
    /// The file ends before its image data does.
    #[error("truncated after {bytes} bytes")]
    Truncated {
        /// Length of the file in bytes.
        bytes: usize,
    },
    /// The JPEG decoder reported an error.
    #[error("broken jpeg ({bytes} bytes): {reason}")]
    Jpeg {
        /// Length of the file in bytes.
        bytes: usize,
        /// The decoder's message.
        reason: String,
    },
    /// The decoder of a format without a variant of its own reported an error.
    #[error("broken {format} ({bytes} bytes): {reason}")]
    Other {
        /// The format, in lower case.
        format: &'static str,
        /// Length of the file in bytes.
        bytes: usize,
        /// The decoder's message.
        reason: String,
    },
    /// The PNG decoder reported an error.
    #[error("broken png ({bytes} bytes): {reason}")]
    Png {
        /// Length of the file in bytes.
        bytes: usize,
        /// The decoder's message.
        reason: String,
    },
}

impl ImageProblem {
    /// Short category name, the same for all files with this kind of problem. Used to group problems in reports.
    pub fn sort(&self) -> &'static str {
        match self {
            Self::NotAFile => "not a regular file",
            Self::Unreadable(_) => "unreadable",
            Self::Changed { .. } | Self::ArchiveChanged => "changed",
            Self::TooManyBytes { .. } => "too large",
            Self::Panicked(_) => "decoder panicked",
            Self::Empty => "empty file",
            Self::UnknownFormat(_) => "unknown format",
            Self::OtherFormat(what) => what,
            Self::TooLarge { .. } => "too large",
            Self::Malformed { .. } => "malformed",
            Self::Truncated { .. } => "truncated",
            Self::Jpeg { .. } => "broken jpeg",
            Self::Png { .. } => "broken png",
            Self::Other { format: "webp", .. } => "broken webp",
            Self::Other { format: "bmp", .. } => "broken bmp",
            Self::Other { .. } => "broken image",
        }
    }
}
