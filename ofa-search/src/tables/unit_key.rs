//! The text form of a [`Unit`], its key in a latency table: `mb_conv:in8:mid48:out8:k7:s2:relu:x1:se0:r0@28`.

use ofa_model::{Activation, BottleneckShape, ConvShape, HeadShape, MbConvShape, Unit, UnitLayers};
use std::str::FromStr;

/// Text form of `unit`: its kind, its named numbers, and its input size in pixels.
///
/// Flags: `x` is a 1x1 expansion, `se` squeeze-and-excitation, `r` a residual connection, `d` a shortcut averaged over
/// the stride and projected by 1x1. `expand0` and `mix0` mean that a head lacks these layers.
pub(crate) fn format_unit(unit: &Unit) -> String {
    let layers = match &unit.layers {
        UnitLayers::Conv(conv) => format!(
            "conv:in{}:out{}:k{}:s{}:{}:r{}",
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.activation,
            u8::from(conv.residual)
        ),
        UnitLayers::MaxPool { channels } => format!("max_pool:in{channels}"),
        UnitLayers::MbConv(block) => format!(
            "mb_conv:in{}:mid{}:out{}:k{}:s{}:{}:x{}:se{}:r{}",
            block.in_channels,
            block.mid_channels,
            block.out_channels,
            block.kernel_size,
            block.stride,
            block.activation,
            u8::from(block.expansion),
            u8::from(block.squeeze_excite),
            u8::from(block.residual)
        ),
        UnitLayers::Bottleneck(block) => format!(
            "bottleneck:in{}:mid{}:out{}:k{}:s{}:{}:d{}",
            block.in_channels,
            block.mid_channels,
            block.out_channels,
            block.kernel_size,
            block.stride,
            block.activation,
            u8::from(block.downsample)
        ),
        UnitLayers::Head(HeadShape { in_channels, expand_channels, mix_channels, classes, activation }) => format!(
            "head:in{in_channels}:expand{}:mix{}:classes{classes}:{}",
            expand_channels.unwrap_or(0),
            mix_channels.unwrap_or(0),
            activation
        ),
    };
    format!("{layers}@{}", unit.input_size)
}

/// Parses the text form of a unit.
pub(crate) fn parse_unit(text: &str) -> Result<Unit, String> {
    let fail = || format!("`{text}` is not a unit (expected e.g. `mb_conv:in8:mid48:out8:k7:s2:relu:x1:se0:r0@28`)");
    let (layers, input_size) = text.split_once('@').ok_or_else(fail)?;
    let mut fields = Fields(layers.split(':'));
    let layers = match fields.0.next() {
        Some("conv") => fields.conv().map(UnitLayers::Conv),
        Some("max_pool") => fields.number("in").map(|channels| UnitLayers::MaxPool { channels }),
        Some("mb_conv") => fields.mb_conv().map(UnitLayers::MbConv),
        Some("bottleneck") => fields.bottleneck().map(UnitLayers::Bottleneck),
        Some("head") => fields.head().map(UnitLayers::Head),
        _ => None,
    };
    let unit = layers.zip(input_size.parse().ok()).map(|(layers, input_size)| Unit { input_size, layers });
    unit.filter(|unit| fields.0.next().is_none() && is_possible(unit)).ok_or_else(fail)
}

/// Whether every size is positive, and small enough that its costs do not overflow.
fn is_possible(unit: &Unit) -> bool {
    let (channels, kernel_size, stride) = match unit.layers {
        UnitLayers::Conv(conv) => (vec![conv.in_channels, conv.out_channels], conv.kernel_size, conv.stride),
        UnitLayers::MaxPool { channels } => (vec![channels], 1, 1),
        UnitLayers::MbConv(MbConvShape { in_channels, mid_channels, out_channels, kernel_size, stride, .. })
        | UnitLayers::Bottleneck(BottleneckShape {
            in_channels,
            mid_channels,
            out_channels,
            kernel_size,
            stride,
            ..
        }) => (vec![in_channels, mid_channels, out_channels], kernel_size, stride),
        UnitLayers::Head(head) => {
            let inner = [head.expand_channels, head.mix_channels].into_iter().flatten();
            (inner.chain([head.in_channels, head.classes]).collect(), 1, 1)
        }
    };
    let widest = channels.iter().copied().max().unwrap_or_default();
    // The square of `size` bounds the MACs of any layer.
    let size = widest as f64 * kernel_size as f64 * unit.input_size as f64;
    channels.iter().all(|&channels| channels > 0)
        && kernel_size > 0
        && (1..=unit.input_size.max(1 << 10)).contains(&stride)
        && (1.0..=f64::from(1 << 30)).contains(&size)
}

/// The fields of a text form, parsed in order. `None` if a field is missing or malformed.
struct Fields<'a>(std::str::Split<'a, char>);

impl Fields<'_> {
    fn conv(&mut self) -> Option<ConvShape> {
        Some(ConvShape {
            in_channels: self.number("in")?,
            out_channels: self.number("out")?,
            kernel_size: self.number("k")?,
            stride: self.number("s")?,
            activation: self.activation()?,
            residual: self.flag("r")?,
        })
    }

    fn mb_conv(&mut self) -> Option<MbConvShape> {
        Some(MbConvShape {
            in_channels: self.number("in")?,
            mid_channels: self.number("mid")?,
            out_channels: self.number("out")?,
            kernel_size: self.number("k")?,
            stride: self.number("s")?,
            activation: self.activation()?,
            expansion: self.flag("x")?,
            squeeze_excite: self.flag("se")?,
            residual: self.flag("r")?,
        })
    }

    fn bottleneck(&mut self) -> Option<BottleneckShape> {
        Some(BottleneckShape {
            in_channels: self.number("in")?,
            mid_channels: self.number("mid")?,
            out_channels: self.number("out")?,
            kernel_size: self.number("k")?,
            stride: self.number("s")?,
            activation: self.activation()?,
            downsample: self.flag("d")?,
        })
    }

    fn head(&mut self) -> Option<HeadShape> {
        Some(HeadShape {
            in_channels: self.number("in")?,
            expand_channels: Some(self.number("expand")?).filter(|&channels| channels != 0),
            mix_channels: Some(self.number("mix")?).filter(|&channels| channels != 0),
            classes: self.number("classes")?,
            activation: self.activation()?,
        })
    }

    fn number<T: FromStr>(&mut self, name: &str) -> Option<T> {
        self.0.next()?.strip_prefix(name)?.parse().ok()
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        match self.number(name)? {
            0u8 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn activation(&mut self) -> Option<Activation> {
        serde_json::from_value(self.0.next()?.into()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::distinct_units;
    use ofa_model::SearchSpace;
    use std::collections::HashSet;

    #[test]
    fn round_trip_over_all_units_of_the_published_spaces() {
        for space in [
            SearchSpace::mobilenet_v3(1.0, 1000),
            SearchSpace::proxyless_nas(1.3, 1000),
            SearchSpace::resnet50d(1000),
            SearchSpace::small_mobilenet_v3(1, 10),
        ] {
            let units = distinct_units(&space);
            let texts: HashSet<String> = units.iter().map(format_unit).collect();
            assert_eq!(texts.len(), units.len(), "two units share a text");
            for unit in units {
                assert_eq!(parse_unit(&format_unit(&unit)), Ok(unit));
            }
        }
    }

    #[test]
    fn malformed_texts_are_refused() {
        let good = "mb_conv:in8:mid48:out8:k7:s2:relu:x1:se0:r0@28";
        assert_eq!(format_unit(&parse_unit(good).unwrap()), good);
        for (from, to) in [("@28", ""), ("mb_conv", "brick"), ("mid", "m"), (":se0", ""), ("se0", "se2"), ("@", ":z@")]
        {
            let text = good.replacen(from, to, 1);
            assert!(parse_unit(&text).unwrap_err().contains(&text), "{text}");
        }
        // Sizes that are impossible, or whose costs overflow.
        for (from, to) in [
            ("s2", "s0"),
            ("in8", "in0"),
            ("k7", "k0"),
            ("@28", "@0"),
            ("@28", "@99999999999"),
            ("mid48", "mid99999999999"),
        ] {
            let text = good.replacen(from, to, 1);
            assert!(parse_unit(&text).unwrap_err().contains(&text), "{text}");
        }
    }
}
