//! A lazily decoded image.

use std::sync::Arc;

use image::metadata::Orientation;

use super::frame::Frame;
#[cfg(feature = "turbo")]
use super::turbo;
use super::{DecodeConfig, Image, jpeg, orientation};
use crate::decode::Rectangle;
use crate::error::ImageProblem;

/// An image of which all or a part will be used.
#[derive(Debug)]
pub(crate) enum Picture {
    /// A decoded image.
    Whole(Arc<Image>),
    /// A JPEG file, decoded once it is known how much of it is needed.
    Jpeg(JpegPicture),
}

/// Pixels that contain the requested part of an image.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) image: Arc<Image>,
    /// Where the part lies within `image`.
    pub(crate) place: Rectangle,
}

#[derive(Debug)]
pub(crate) struct JpegPicture {
    bytes: Vec<u8>,
    size: (usize, usize),
    channels: usize,
    config: DecodeConfig,
}

impl Picture {
    /// Opens an encoded image, to be decoded to 1 (gray) or 3 (RGB) channels.
    pub(crate) fn open(bytes: Vec<u8>, channels: usize, config: DecodeConfig) -> Result<Self, ImageProblem> {
        // An image that is to be turned is decoded whole.
        let is_turned = config.apply_orientation && orientation::of(&bytes) != Orientation::NoTransforms;
        if bytes.starts_with(jpeg::SIGNATURE)
            && !is_turned
            && let Ok(Frame { width, height, .. }) = Frame::find(&bytes, config.max_pixels)
        {
            let size = (width, height);
            return Ok(Self::Jpeg(JpegPicture { bytes, size, channels, config }));
        }
        Ok(Self::Whole(Arc::new(config.decode(&bytes, channels)?)))
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (usize, usize) {
        match self {
            Self::Whole(image) => (image.width, image.height),
            Self::Jpeg(picture) => picture.size,
        }
    }

    /// The whole image.
    pub(crate) fn whole(&self) -> Result<Arc<Image>, ImageProblem> {
        match self {
            Self::Whole(image) => Ok(image.clone()),
            Self::Jpeg(picture) => picture.config.decode(&picture.bytes, picture.channels).map(Arc::new),
        }
    }

    /// The part at `place`; decodes more than that only if necessary.
    pub(crate) fn part(&self, place: Rectangle) -> Result<Part, ImageProblem> {
        if let Self::Jpeg(picture) = self
            && let Some(part) = picture.part(place)
        {
            return Ok(part);
        }
        Ok(Part { image: self.whole()?, place })
    }
}

impl JpegPicture {
    /// `None` if the image has to be decoded whole.
    fn part(&self, place: Rectangle) -> Option<Part> {
        #[cfg(feature = "turbo")]
        if let Some(part) = self.turbo_part(place) {
            return Some(part);
        }
        let image = jpeg::decode_top(&self.bytes, place.top + place.height, self.config.max_pixels)?;
        Some(Part { image: Arc::new(image.with_channels(self.channels)), place })
    }

    #[cfg(feature = "turbo")]
    fn turbo_part(&self, place: Rectangle) -> Option<Part> {
        let region = turbo::decode_region(&self.bytes, place, self.config.max_pixels).ok()??;
        let place = Rectangle { left: place.left - region.left, top: place.top - region.top, ..place };
        Some(Part { image: Arc::new(region.image.with_channels(self.channels)), place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_the_same_as_in_the_whole() {
        for file in
            [include_bytes!("../../fixtures/gradient_rgb.jpg").as_slice(), include_bytes!("../../fixtures/photo.png")]
        {
            for channels in [1, 3] {
                let picture = Picture::open(file.to_vec(), channels, DecodeConfig::default()).unwrap();
                let whole = picture.whole().unwrap();
                assert_eq!(picture.size(), (whole.width, whole.height));
                let wanted = Rectangle { left: 3, top: 2, width: 7, height: 4 };
                let Part { image, place } = picture.part(wanted).unwrap();
                let rows = |image: &Image, place: Rectangle| -> Vec<u8> {
                    let row = |row: usize| {
                        let start = ((place.top + row) * image.width + place.left) * channels;
                        image.pixels[start..start + place.width * channels].to_vec()
                    };
                    (0..place.height).flat_map(row).collect()
                };
                assert_eq!(rows(&image, place), rows(&whole, wanted));
            }
        }
    }
}
