//! [`Family`]: which of the original's supernets a space is.

use crate::{BlockKind, SearchSpace};

/// One of the original's supernet classes: they differ in the names of their layers and in their dictionaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `OFAMobileNetV3`: inverted bottlenecks, feature mixing after the pooling.
    MobileNetV3,
    /// `OFAProxylessNASNets`: inverted bottlenecks, feature mixing before the pooling.
    ProxylessNas,
    /// `OFAResNets`: bottlenecks behind a stem of convolutions.
    ResNet,
}

impl Family {
    /// The family a space belongs to.
    pub(super) fn of(space: &SearchSpace) -> Self {
        if space.stages.iter().any(|stage| stage.block == BlockKind::Bottleneck) {
            Self::ResNet
        } else if space.head.mix_channels.is_some() {
            Self::MobileNetV3
        } else {
            Self::ProxylessNas
        }
    }
}
