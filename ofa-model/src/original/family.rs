//! [`Family`]: which of the original's supernet classes a space matches.

use crate::{BlockKind, SearchSpace};

/// One of the original's supernet classes. They differ in layer names and in their dictionaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `OFAMobileNetV3`: inverted bottlenecks, feature mixing after pooling.
    MobileNetV3,
    /// `OFAProxylessNASNets`: inverted bottlenecks, feature mixing before pooling.
    ProxylessNas,
    /// `OFAResNets`: bottlenecks after a stem of convolutions.
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
