//! Human-readable tables of spaces and archs.

use crate::{Arch, BlockKind, SearchSpace, StageSpace, Unit, UnitLayers, space::list};
use std::fmt;

/// A block-by-block table of an arch: see [`SearchSpace::summary`].
#[derive(Clone, Debug)]
pub struct ArchSummary {
    arch: Arch,
    units: Vec<Unit>,
}

impl SearchSpace {
    /// A table of the units of `arch`: layers, input and output shapes, MACs and parameters.
    ///
    /// ```
    /// use ofa_model::SearchSpace;
    ///
    /// let space = SearchSpace::small_mobilenet_v3(1, 10);
    /// let summary = space.summary(&space.smallest()).to_string();
    /// assert!(summary.contains("mb_conv k3 s2 8-24-8 relu"), "{summary}");
    /// assert!(summary.ends_with(&format!("{:>13}\n", space.cost(&space.smallest()).parameters)));
    /// ```
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space.
    pub fn summary(&self, arch: &Arch) -> ArchSummary {
        ArchSummary { arch: arch.clone(), units: self.units(arch) }
    }
}

impl fmt::Display for ArchSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, cells: [&str; 5]| {
            let [layers, input, output, macs, parameters] = cells;
            writeln!(f, "{layers:<46} {input:>13} {output:>13} {macs:>14} {parameters:>13}")
        };
        writeln!(f, "{}", self.arch)?;
        row(f, ["unit", "input", "output", "MACs", "parameters"])?;
        let (mut macs, mut parameters) = (0, 0);
        for unit in &self.units {
            let cost = unit.cost();
            (macs, parameters) = (macs + cost.macs, parameters + cost.parameters);
            let map = |channels, size| format!("{channels}x{size}x{size}");
            let input = map(unit.in_channels(), unit.input_size);
            let output = map(unit.out_channels(), unit.output_size());
            let numbers = [cost.macs.to_string(), cost.parameters.to_string()];
            row(f, [&layers(&unit.layers), &input, &output, &numbers[0], &numbers[1]])?;
        }
        row(f, ["total", "", "", &macs.to_string(), &parameters.to_string()])
    }
}

/// Short description of a unit's layers.
fn layers(layers: &UnitLayers) -> String {
    let with = |there: bool, what: &str| if there { format!(" {what}") } else { String::new() };
    match layers {
        UnitLayers::Conv(conv) => {
            let residual = with(conv.residual, "+input");
            format!("conv k{} s{} {}{residual}", conv.kernel_size, conv.stride, conv.activation)
        }
        UnitLayers::MaxPool { .. } => "max_pool k3 s2".into(),
        UnitLayers::MbConv(block) => format!(
            "mb_conv k{} s{} {}-{}-{} {}{}{}",
            block.kernel_size,
            block.stride,
            block.in_channels,
            block.mid_channels,
            block.out_channels,
            block.activation,
            with(block.squeeze_excite, "se"),
            with(block.residual, "+input")
        ),
        UnitLayers::Bottleneck(block) => format!(
            "bottleneck k{} s{} {}-{}-{} {}{}",
            block.kernel_size,
            block.stride,
            block.in_channels,
            block.mid_channels,
            block.out_channels,
            block.activation,
            if block.downsample { " +downsampled" } else { " +input" }
        ),
        UnitLayers::Head(head) => {
            let layer =
                |name: &str, channels: Option<usize>| channels.map_or(String::new(), |c| format!(" {name} {c}"));
            let (expand, mix) = (layer("expand", head.expand_channels), layer("mix", head.mix_channels));
            format!("head{expand} pool{mix} classify")
        }
    }
}

impl fmt::Display for SearchSpace {
    /// One line per stage, with the number of networks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} networks at each of {} resolutions", self.name, self.len(), self.resolutions.len())?;
        let ends = [self.resolutions[0], self.resolutions[self.resolutions.len() - 1]];
        writeln!(f, "input       {} channels, {} to {} px", self.image_channels, ends[0], ends[1])?;
        for stage in &self.stem {
            writeln!(f, "stem        {}", describe(stage))?;
        }
        for (stage, number) in self.stages.iter().zip(1..) {
            writeln!(f, "stage {number:<5} {}", describe(stage))?;
        }
        let [expand, mix] = [self.head.expand_channels, self.head.mix_channels].map(|channels| match channels {
            Some(channels) => channels.to_string(),
            None => "none".into(),
        });
        write!(f, "head        expand {expand}, pool, mix {mix}, {} classes", self.classes)
    }
}

fn describe(stage: &StageSpace) -> String {
    let kind = match stage.block {
        BlockKind::Conv => "conv",
        BlockKind::MbConv => "mb_conv",
        BlockKind::Bottleneck => "bottleneck",
    };
    let pool = if stage.max_pool { "max_pool, " } else { "" };
    let gate = if stage.squeeze_excite { " se" } else { "" };
    let choices = [
        ("width", list(&stage.widths)),
        ("depth", list(&stage.depths)),
        ("kernel size", list(&stage.kernel_sizes)),
        ("expand ratio", list(&stage.expand_ratios)),
    ];
    let told = choices.iter().filter(|(name, values)| values != "1" || *name == "depth");
    let told: Vec<String> = told.map(|(name, values)| format!("; {name} {values}")).collect();
    let StageSpace { channels, stride, activation, .. } = stage;
    format!("{pool}{kind} to {channels} channels, stride {stride}, {activation}{gate}{}", told.concat())
}
