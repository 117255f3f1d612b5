//! Reads archs from configurations of the original's static nets (`net.config` of its specialised networks).

use crate::written_arch::field::{number, shown, whole};
use crate::{Activation, Arch, BlockArch, ModelError, Ratio, SearchSpace, StageArch, StageSpace, UnitLayers};
use serde_json::{Map, Value};

impl Arch {
    /// Reads the arch of `space` that a static-net configuration of the original describes. The resolution is the
    /// highest, because a configuration does not say which one the net was made for.
    ///
    /// `config` is the JSON of a `MobileNetV3`, `ProxylessNASNets` or `ResNets`.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidOriginalConfig`] if it is not such a configuration or does not describe a network of the
    /// space.
    pub fn from_original_config(config: &str, space: &SearchSpace) -> Result<Self, ModelError> {
        let refuse = |problem: String| ModelError::InvalidOriginalConfig { space: space.name.clone(), problem };
        let config: Value = serde_json::from_str(config).map_err(|_| refuse("it is no JSON".to_owned()))?;
        let layers = layers(&config).map_err(refuse)?;
        let stem = space.stem.iter().map(|stage| stage.depths[0]).sum();
        let mut rest = layers.get(stem..).unwrap_or_default();
        let mut stages = Vec::with_capacity(space.stages.len());
        for (s, stage) in space.stages.iter().enumerate() {
            let depth = depth(rest, stage);
            let (blocks, others) = rest.split_at(depth);
            let number = layers.len() - rest.len();
            let read = read_stage(blocks, space, s).map_err(|(b, problem)| {
                let layer = layers.get(number + b).map_or("missing".to_owned(), |layer| format!("{layer:?}"));
                refuse(format!("layer {} ({layer}): {problem}", number + b + 1))
            });
            stages.push(read?);
            rest = others;
        }
        if !rest.is_empty() {
            return Err(refuse(format!("{} layers remain after the last stage", rest.len())));
        }
        let arch = Self { resolution: *space.resolutions.last().expect("a valid space has a resolution"), stages };
        space.check(&arch)?;
        let units = space.units(&arch).into_iter().filter_map(|unit| Layer::of(&unit.layers));
        match units.zip(&layers).find(|(ours, theirs)| !ours.is_same(theirs)) {
            Some((ours, theirs)) => Err(refuse(format!("it has {theirs:?} where the space has {ours:?}"))),
            None => Ok(arch),
        }
    }
}

/// The layers of a static net, first to last.
fn layers(config: &Value) -> Result<Vec<Layer>, String> {
    let list = |key: &str| match config.get(key) {
        Some(Value::Array(layers)) => layers.clone(),
        _ => Vec::new(),
    };
    let first = config.get("first_conv").filter(|layer| !layer.is_null()).cloned();
    let written: Vec<Value> = first.into_iter().chain(list("input_stem")).chain(list("blocks")).collect();
    let is_supernet = |value: &Value| name(value).starts_with("OFA") || name(value).starts_with("Dynamic");
    if is_supernet(config) || written.iter().any(|layer| is_supernet(unwrapped(layer))) {
        return Err("this is the configuration of a supernet; name a subnet".to_owned());
    }
    let layer = |(layer, number): (&Value, usize)| {
        Layer::read(unwrapped(layer)).map_err(|problem| format!("layer {number}: {problem}"))
    };
    written.iter().zip(1..).map(layer).collect()
}

/// A layer without the residual block around it.
fn unwrapped(layer: &Value) -> &Value {
    layer.get("conv").or_else(|| layer.get("mobile_inverted_conv")).unwrap_or(layer)
}

fn name(value: &Value) -> &str {
    value.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The settings that identify a layer.
#[derive(Clone, Debug)]
struct Layer {
    in_channels: usize,
    out_channels: usize,
    kernel_size: usize,
    stride: usize,
    mid_channels: Option<usize>,
    expand_ratio: Option<f64>,
    use_se: Option<bool>,
    act_func: Option<String>,
}

impl Layer {
    fn read(layer: &Value) -> Result<Self, String> {
        let settings = layer.as_object().ok_or_else(|| format!("{} is no layer", shown(layer)))?;
        let needed = |key: &str| whole(settings.get(key).ok_or_else(|| format!("`{key}` is missing"))?, key);
        Ok(Self {
            in_channels: needed("in_channels")?,
            out_channels: needed("out_channels")?,
            kernel_size: needed("kernel_size")?,
            stride: optional(settings, "stride", whole)?.unwrap_or(1),
            mid_channels: optional(settings, "mid_channels", whole)?,
            expand_ratio: optional(settings, "expand_ratio", number)?,
            use_se: settings.get("use_se").and_then(Value::as_bool),
            act_func: settings.get("act_func").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// The layer of a unit; `None` if it has none.
    fn of(unit: &UnitLayers) -> Option<Self> {
        let (in_channels, mid_channels, out_channels, kernel_size, stride) = match *unit {
            UnitLayers::Conv(shape) => (shape.in_channels, None, shape.out_channels, shape.kernel_size, shape.stride),
            UnitLayers::MbConv(shape) => {
                let middle = shape.expansion.then_some(shape.mid_channels);
                (shape.in_channels, middle, shape.out_channels, shape.kernel_size, shape.stride)
            }
            UnitLayers::Bottleneck(shape) => {
                (shape.in_channels, Some(shape.mid_channels), shape.out_channels, shape.kernel_size, shape.stride)
            }
            UnitLayers::MaxPool { .. } | UnitLayers::Head(_) => return None,
        };
        let (activation, use_se) = match unit {
            UnitLayers::Conv(shape) => (shape.activation, false),
            UnitLayers::MbConv(shape) => (shape.activation, shape.squeeze_excite),
            UnitLayers::Bottleneck(shape) => (shape.activation, false),
            UnitLayers::MaxPool { .. } | UnitLayers::Head(_) => return None,
        };
        Some(Self {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            mid_channels,
            expand_ratio: None,
            use_se: Some(use_se),
            act_func: original_name(activation).map(str::to_owned),
        })
    }

    /// Whether both are the same layer, judged by the settings the configuration gives.
    fn is_same(&self, config: &Self) -> bool {
        let shape = |layer: &Self| (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride);
        let same_middle = config.mid_channels.is_none() || config.mid_channels == self.mid_channels;
        let same_gate = config.use_se.is_none() || config.use_se == self.use_se;
        let same_activation = config.act_func.is_none() || config.act_func == self.act_func;
        shape(self) == shape(config) && same_middle && same_gate && same_activation
    }
}

/// A setting that a layer may lack, or have as null.
fn optional<T>(
    settings: &Map<String, Value>,
    key: &str,
    read: fn(&Value, &str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    settings.get(key).filter(|value| !value.is_null()).map(|value| read(value, key)).transpose()
}

/// The original's name for an activation.
fn original_name(activation: Activation) -> Option<&'static str> {
    match activation {
        Activation::Identity => None,
        Activation::Relu => Some("relu"),
        Activation::Relu6 => Some("relu6"),
        Activation::HardSwish => Some("h_swish"),
    }
}

/// Number of layers that belong to a stage: the first one, and those after it that keep the shape.
fn depth(layers: &[Layer], stage: &StageSpace) -> usize {
    let Some(first) = layers.first() else { return 0 };
    let keeps =
        |layer: &&Layer| layer.stride == 1 && [layer.in_channels, layer.out_channels] == [first.out_channels; 2];
    (1 + layers[1..].iter().take_while(keeps).count()).min(stage.greatest_depth())
}

/// Reads a stage from `layers`. On error, returns the index of the layer that does not fit, and the problem.
fn read_stage(layers: &[Layer], space: &SearchSpace, s: usize) -> Result<StageArch, (usize, String)> {
    let stage = &space.stages[s];
    let out_channels = layers.first().map(|layer| layer.out_channels).ok_or((0, "a stage is missing".to_owned()))?;
    let width = stage.widths.iter().copied().find(|&width| stage.channels_at(width) == out_channels);
    let width = width.ok_or_else(|| (0, format!("stage {} offers {:?} channels", s + 1, stage.channel_choices())))?;
    let read = |(b, layer): (usize, &Layer)| {
        let block = |expand_ratio| BlockArch { kernel_size: layer.kernel_size, expand_ratio };
        let middle = |ratio| Layer::of(&space.block_layers(s, b, layer.in_channels, width, block(ratio)));
        let fits = |ratio: &Ratio| match layer.mid_channels {
            Some(_) => middle(*ratio).is_some_and(|unit| unit.mid_channels == layer.mid_channels),
            None => ratio.value() == layer.expand_ratio.unwrap_or(1.0),
        };
        let ratio = stage.expand_ratios.iter().copied().find(fits);
        ratio.map(block).ok_or_else(|| (b, format!("no expand ratio of stage {} gives its middle channels", s + 1)))
    };
    Ok(StageArch { width, blocks: layers.iter().enumerate().map(read).collect::<Result<_, _>>()? })
}
