//! How images are re-encoded.

use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// Settings of [`prepare_images`](crate::prepare_images).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepareConfig {
    /// Shorter side of a prepared image in pixels; smaller images keep their size.
    pub short_side: usize,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Maximum number of images per tar file.
    pub images_per_shard: usize,
}

impl Default for PrepareConfig {
    fn default() -> Self {
        Self { short_side: 256, quality: 90, images_per_shard: 2000 }
    }
}

impl PrepareConfig {
    /// Checks that all values are in range.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if `short_side` or `images_per_shard` is 0, or `quality` is outside 1 to 100.
    pub fn validate(self) -> Result<(), DataError> {
        for (name, value) in [("short_side", self.short_side), ("images_per_shard", self.images_per_shard)] {
            if value == 0 {
                return Err(DataError::invalid(name, value, "at least 1"));
            }
        }
        match self.quality {
            1..=100 => Ok(()),
            quality => Err(DataError::invalid("quality", quality, "1 to 100")),
        }
    }
}
