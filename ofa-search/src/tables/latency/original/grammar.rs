//! [`Grammar`]: the keys of the original's latency tables.

use crate::SearchError;
use ofa_model::{Activation, BlockKind, HeadShape, MbConvShape, SearchSpace, StageSpace, Unit, UnitLayers};

/// How the original spells the layers of a family of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// Blocks by middle channels, with `se` and `hs`; separate pooling and mixing layers before the classifier.
    MobileNetV3,
    /// Blocks by expand ratio; the classifier includes the pooling.
    ProxylessNas,
}

impl Grammar {
    /// The grammar for `space`: MobileNetV3's if its head has a mixing layer.
    pub(super) fn of(space: &SearchSpace) -> Result<Self, SearchError> {
        let is_mobile_v3 = space.head.mix_channels.is_some();
        // ProxylessNAS's keys cannot express what MobileNetV3 added to blocks.
        let has_words =
            |stage: &StageSpace| is_mobile_v3 || !(stage.squeeze_excite || stage.activation == Activation::HardSwish);
        let is_mobile = |stage: &StageSpace| stage.block == BlockKind::MbConv && !stage.max_pool && has_words(stage);
        let has_conv = |stage: &StageSpace| stage.block == BlockKind::Conv && stage.greatest_depth() == 1;
        let stem = space.stem.split_first();
        let fits = stem.is_some_and(|(conv, rest)| has_conv(conv) && rest.iter().chain(&space.stages).all(is_mobile));
        match (fits, is_mobile_v3) {
            (false, _) => Err(SearchError::NotInOriginalTables { space: space.name.clone() }),
            (true, true) => Ok(Self::MobileNetV3),
            (true, false) => Ok(Self::ProxylessNas),
        }
    }

    /// Keys of the entries that sum to the latency of a unit: one key, or one per layer for a head.
    ///
    /// # Panics
    ///
    /// If the unit occurs in no space that has a grammar.
    pub(super) fn keys(self, unit: &Unit) -> Vec<String> {
        let ends = |name: &str| {
            let input = square(unit.input_size, unit.in_channels());
            format!("{name}-input:{input}-output:{}", square(unit.output_size(), unit.out_channels()))
        };
        match &unit.layers {
            UnitLayers::Conv(_) => vec![ends("Conv")],
            UnitLayers::MbConv(block) => vec![ends("expanded_conv") + &self.choices(block)],
            UnitLayers::Head(head) => self.head(unit.input_size, head),
            other => panic!("{other:?} has no key in the original's tables"),
        }
    }

    fn choices(self, block: &MbConvShape) -> String {
        let MbConvShape { in_channels, mid_channels, kernel_size, stride, .. } = *block;
        let idskip = u8::from(block.residual);
        let choices = |expand: f64| format!("-expand:{expand}-kernel:{kernel_size}-stride:{stride}-idskip:{idskip}");
        match self {
            Self::MobileNetV3 => {
                let (se, hs) = (block.squeeze_excite, block.activation == Activation::HardSwish);
                format!("{}-se:{}-hs:{}", choices(mid_channels as f64), u8::from(se), u8::from(hs))
            }
            Self::ProxylessNas => choices(mid_channels as f64 / in_channels as f64),
        }
    }

    fn head(self, size: usize, head: &HeadShape) -> Vec<String> {
        let HeadShape { in_channels, classes, .. } = *head;
        let pooled = head.expand_channels.unwrap_or(in_channels);
        let expand = head
            .expand_channels
            .map(|expanded| format!("Conv_1-input:{}-output:{}", square(size, in_channels), square(size, expanded)));
        let rest = match self {
            Self::MobileNetV3 => {
                let mixed = head.mix_channels.unwrap_or(pooled);
                vec![
                    format!("AvgPool2D-input:{}-output:{}", square(size, pooled), square(1, pooled)),
                    format!("Conv_2-input:{}-output:{}", square(1, pooled), square(1, mixed)),
                    format!("Logits-input:{}-output:{classes}", square(1, mixed)),
                ]
            }
            Self::ProxylessNas => vec![format!("Logits-input:{}-output:{classes}", square(size, pooled))],
        };
        expand.into_iter().chain(rest).collect()
    }
}

fn square(size: usize, channels: usize) -> String {
    format!("{size}x{size}x{channels}")
}
