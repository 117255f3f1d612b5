//! [`Grid`]: the real numbers that a quantised tensor can hold.

use super::ActivationFormat;
use crate::kernels::Levels;

/// The numbers `(q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    /// Size of a step, positive.
    pub(crate) scale: f32,
    /// The integer of 0.
    pub(crate) zero_point: i32,
    /// Whether q is `int8`; `uint8` otherwise.
    pub(crate) signed: bool,
}

impl Grid {
    /// The grid that covers a range and 0, which is exact: borders of maps are filled with it.
    pub(super) fn new([low, high]: [f32; 2], format: ActivationFormat) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        match format {
            ActivationFormat::Asymmetric => {
                let scale = positive((high - low) / 255.0);
                Self { scale, zero_point: (-low / scale).round_ties_even().clamp(0.0, 255.0) as i32, signed: false }
            }
            ActivationFormat::Symmetric => {
                Self { scale: positive(high.max(-low) / 127.0), zero_point: 0, signed: true }
            }
        }
    }

    /// Least and greatest integer, counted from the zero point.
    pub(crate) fn levels(self) -> Levels {
        let [low, high] = if self.signed { [-128, 127] } else { [0, 255] };
        [low, high].map(|level| (level - self.zero_point) as f32)
    }
}

/// Even a tensor of zeros needs a step.
fn positive(scale: f32) -> f32 {
    if scale >= f32::MIN_POSITIVE { scale } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn zero_is_exact_and_the_range_is_covered(low in -1e3f32..1e3, width in 0f32..1e3) {
            for format in [ActivationFormat::Asymmetric, ActivationFormat::Symmetric] {
                let grid = Grid::new([low, low + width], format);
                let [least, greatest] = grid.levels().map(|level| level * grid.scale);
                let slack = 0.51 * grid.scale;
                prop_assert!(least <= low.min(0.0) + slack && greatest >= (low + width).max(0.0) - slack);
                prop_assert!(grid.scale > 0.0 && least <= 0.0 && greatest >= 0.0);
            }
        }
    }

    #[test]
    fn a_tensor_of_zeros_has_a_grid() {
        assert_eq!(Grid::new([0.0, 0.0], ActivationFormat::Asymmetric).levels(), [0.0, 255.0]);
        assert_eq!(Grid::new([0.0, 0.0], ActivationFormat::Symmetric).scale, 1.0);
    }
}
