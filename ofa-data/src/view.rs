//! What of an image a network is shown.

pub(crate) mod augment;
pub(crate) mod canvas;
pub(crate) mod jitter;
pub(crate) mod mixup;
pub(crate) mod normalise;
mod pixels;
