//! Activations of mobile networks and ResNets.

use burn::tensor::{Tensor, activation::relu};
#[cfg(feature = "flex")]
use pulp::Simd;
use serde::{Deserialize, Serialize};

/// An activation function.
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

impl std::fmt::Display for Activation {
    /// The name used in files.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Identity => "identity",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::HardSwish => "hard_swish",
        })
    }
}

impl Activation {
    /// Applies the activation elementwise.
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

/// An activation and its slope on SIMD vectors, for the fused kernels. Slopes at the kinks follow PyTorch.
#[cfg(feature = "flex")]
pub(super) trait Lanes: Send + Sync {
    fn value<S: Simd>(simd: S, x: S::f32s) -> S::f32s;
    fn slope<S: Simd>(simd: S, x: S::f32s) -> S::f32s;
}

/// Runs `$body` with the type `$kind` that computes `$activation`, so the choice is made outside the loops.
#[cfg(feature = "flex")]
macro_rules! with_lanes {
    ($activation:expr, $kind:ident => $body:expr) => {
        match $activation {
            $crate::Activation::Identity => {
                type $kind = $crate::kernels::activation::lanes::Identity;
                $body
            }
            $crate::Activation::Relu => {
                type $kind = $crate::kernels::activation::lanes::Relu;
                $body
            }
            $crate::Activation::Relu6 => {
                type $kind = $crate::kernels::activation::lanes::Relu6;
                $body
            }
            $crate::Activation::HardSwish => {
                type $kind = $crate::kernels::activation::lanes::HardSwish;
                $body
            }
        }
    };
}
#[cfg(feature = "flex")]
pub(super) use with_lanes;

#[cfg(feature = "flex")]
pub(super) mod lanes {
    use super::Lanes;
    use pulp::Simd;

    pub(crate) struct Identity;
    pub(crate) struct Relu;
    pub(crate) struct Relu6;
    pub(crate) struct HardSwish;

    impl Lanes for Identity {
        #[inline(always)]
        fn value<S: Simd>(_: S, x: S::f32s) -> S::f32s {
            x
        }
        #[inline(always)]
        fn slope<S: Simd>(simd: S, _: S::f32s) -> S::f32s {
            simd.splat_f32s(1.0)
        }
    }

    impl Lanes for Relu {
        #[inline(always)]
        fn value<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
            simd.max_f32s(simd.splat_f32s(0.0), x)
        }
        #[inline(always)]
        fn slope<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
            let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
            simd.select_f32s(simd.less_than_f32s(zero, x), one, zero)
        }
    }

    impl Lanes for Relu6 {
        #[inline(always)]
        fn value<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
            simd.min_f32s(simd.splat_f32s(6.0), Relu::value(simd, x))
        }
        #[inline(always)]
        fn slope<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
            let below = simd.less_than_f32s(x, simd.splat_f32s(6.0));
            simd.select_f32s(below, Relu::slope(simd, x), simd.splat_f32s(0.0))
        }
    }

    impl Lanes for HardSwish {
        #[inline(always)]
        fn value<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
            let gate = Relu6::value(simd, simd.add_f32s(x, simd.splat_f32s(3.0)));
            simd.mul_f32s(simd.mul_f32s(x, simd.splat_f32s(1.0 / 6.0)), gate)
        }
        #[inline(always)]
        fn slope<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
            let inside = simd.mul_add_e_f32s(x, simd.splat_f32s(1.0 / 3.0), simd.splat_f32s(0.5));
            let below = simd.less_than_f32s(x, simd.splat_f32s(3.0));
            let above = simd.less_than_f32s(simd.splat_f32s(-3.0), x);
            let slope = simd.select_f32s(below, inside, simd.splat_f32s(1.0));
            simd.select_f32s(above, slope, simd.splat_f32s(0.0))
        }
    }
}
