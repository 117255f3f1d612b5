//! Activations of mobile networks.

use burn::tensor::{Tensor, activation::relu};
use serde::{Deserialize, Serialize};

/// The function between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x`
    Identity,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x * relu6(x + 3) / 6` (MobileNetV3)
    HardSwish,
}

impl Activation {
    /// The activation of every element.
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => x,
            Self::Relu => relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::HardSwish => x.clone() * hard_sigmoid(x),
        }
    }
}

/// `relu6(x + 3) / 6`
pub fn hard_sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    (x + 3.0).clamp(0.0, 6.0) / 6.0
}

/// An activation and its slope on plain numbers, for the fused kernels. Slopes at the kinks are PyTorch's.
#[cfg(feature = "flex")]
pub(super) trait Scalar: Copy + Send + Sync {
    fn value(x: f32) -> f32;
    fn slope(x: f32) -> f32;
}

/// Calls `$body` with the type `$kind` that computes `$activation`, so that the choice is made outside the loops.
#[cfg(feature = "flex")]
macro_rules! with_scalar {
    ($activation:expr, $kind:ident => $body:expr) => {
        match $activation {
            $crate::Activation::Identity => {
                type $kind = $crate::kernels::activation::scalar::Identity;
                $body
            }
            $crate::Activation::Relu => {
                type $kind = $crate::kernels::activation::scalar::Relu;
                $body
            }
            $crate::Activation::Relu6 => {
                type $kind = $crate::kernels::activation::scalar::Relu6;
                $body
            }
            $crate::Activation::HardSwish => {
                type $kind = $crate::kernels::activation::scalar::HardSwish;
                $body
            }
        }
    };
}
#[cfg(feature = "flex")]
pub(super) use with_scalar;

#[cfg(feature = "flex")]
pub(super) mod scalar {
    use super::Scalar;

    #[derive(Clone, Copy)]
    pub(crate) struct Identity;
    #[derive(Clone, Copy)]
    pub(crate) struct Relu;
    #[derive(Clone, Copy)]
    pub(crate) struct Relu6;
    #[derive(Clone, Copy)]
    pub(crate) struct HardSwish;

    impl Scalar for Identity {
        #[inline(always)]
        fn value(x: f32) -> f32 {
            x
        }
        #[inline(always)]
        fn slope(_: f32) -> f32 {
            1.0
        }
    }

    impl Scalar for Relu {
        #[inline(always)]
        fn value(x: f32) -> f32 {
            if x > 0.0 { x } else { 0.0 }
        }
        #[inline(always)]
        fn slope(x: f32) -> f32 {
            if x > 0.0 { 1.0 } else { 0.0 }
        }
    }

    impl Scalar for Relu6 {
        #[inline(always)]
        fn value(x: f32) -> f32 {
            let x = if x > 0.0 { x } else { 0.0 };
            if x < 6.0 { x } else { 6.0 }
        }
        #[inline(always)]
        fn slope(x: f32) -> f32 {
            let below = if x < 6.0 { 1.0 } else { 0.0 };
            if x > 0.0 { below } else { 0.0 }
        }
    }

    impl Scalar for HardSwish {
        #[inline(always)]
        fn value(x: f32) -> f32 {
            x * Relu6::value(x + 3.0) * (1.0 / 6.0)
        }
        #[inline(always)]
        fn slope(x: f32) -> f32 {
            let inside = x * (1.0 / 3.0) + 0.5;
            let above = if x < 3.0 { inside } else { 1.0 };
            if x > -3.0 { above } else { 0.0 }
        }
    }
}
