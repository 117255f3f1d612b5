//! What a network sees of an image.

pub(crate) mod augment;
pub(crate) mod canvas;
pub(crate) mod jitter;
pub(crate) mod mixup;
pub(crate) mod normalise;
mod pixels;
