//! Configurations of static nets.

use crate::golden::*;
use ofa_model::{Arch, OriginalArch, SearchSpace};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A subnet as a dictionary and as the configuration of its static net.
#[derive(Deserialize)]
struct GoldenConfig {
    arch: OriginalArch,
    config: Value,
}

#[test]
fn a_configuration_is_the_arch_it_was_made_from() {
    let configs: BTreeMap<String, GoldenConfig> = golden_json("configs.json");
    assert_eq!(configs.len(), 3);
    for (name, GoldenConfig { arch, config }) in configs {
        let space = match name.as_str() {
            "mobilenet_v3" => SearchSpace::mobilenet_v3(1.2, 10),
            "proxyless_nas" => SearchSpace::proxyless_nas(1.3, 10),
            _ => SearchSpace::resnet50d(10),
        };
        let expected = Arch::from_original(&arch, &space).unwrap();
        assert_eq!(Arch::from_original_config(&config.to_string(), &space).unwrap(), expected, "{name}");
    }
}

#[test]
fn configurations_of_other_networks_are_refused() {
    let configs: BTreeMap<String, GoldenConfig> = golden_json("configs.json");
    let config = &configs["mobilenet_v3"].config;
    let message = |config: &Value, space: &SearchSpace| {
        Arch::from_original_config(&config.to_string(), space).unwrap_err().to_string()
    };
    let space = SearchSpace::mobilenet_v3(1.2, 10);
    let changed = |change: fn(&mut Value)| {
        let mut config = config.clone();
        change(&mut config);
        message(&config, &space)
    };
    let cases = [
        (message(config, &SearchSpace::mobilenet_v3(1.0, 10)), "stage 1 offers [24] channels"),
        (message(config, &SearchSpace::resnet50d(10)), "does not describe a network of `resnet50d`"),
        (message(&Value::Null, &space), "does not describe a network"),
        (changed(|c| c["blocks"].as_array_mut().unwrap().truncate(4)), "a stage is missing"),
        (changed(|c| c["blocks"][1]["conv"]["mid_channels"] = 999.into()), "layer 3"),
        (changed(|c| c["blocks"][1]["conv"]["kernel_size"] = 9.into()), "kernel size is 9"),
        (changed(|c| c["blocks"][1]["conv"]["act_func"] = "relu6".into()), "relu6"),
        (changed(|c| c["blocks"][1]["conv"]["use_se"] = true.into()), "use_se: Some(true)"),
        (changed(|c| c["first_conv"]["out_channels"] = 999.into()), "out_channels: 999"),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}");
    }
}
