//! A part of an image.

use super::Image;

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rectangle {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Rectangle {
    pub(crate) fn of(image: &Image) -> Self {
        Self { left: 0, top: 0, width: image.width, height: image.height }
    }
}
