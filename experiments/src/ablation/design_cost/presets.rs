//! Preset comparisons.

use super::config::{DesignConfig, DesignRule, Designer, Method, OfaDesign};
use crate::ablation::presets::Scale;
use anyhow::{Result, bail};
use ofa_search::timing::LatencyConfig;
use ofa_train::ScheduleKind;
use ofa_train::baselines::{
    AdamConfig, ControllerConfig, FbNet, LatencyLoss, MnasNet, Policy, ProxylessNas, WeightRates,
};

const QUESTION: &str = "What do networks for N deployment scenarios cost with a once-for-all network, and with one search \
                        and one training each?";
/// Three blocks per stage, expand ratio 4, kernel size 5.
const MIDDLE: &str = "r28-k5e4.k5e4.k5e4-k5e4.k5e4.k5e4-k5e4.k5e4.k5e4";
/// Ratios of GPU hours at 40 scenarios (arXiv:1908.09791v1, abstract and table 1).
const PUBLISHED: [f64; 3] = [14.0, 16.0, 1_142.0];

impl DesignConfig {
    /// Names of the presets.
    pub const PRESETS: [&'static str; 2] = ["smoke", "default"];

    /// A preset by name: `smoke` (two minutes, to check that everything works) or `default` (all methods on the embedded
    /// images; days).
    ///
    /// # Errors
    ///
    /// If there is no such preset, or the images cannot be read.
    pub fn preset(name: &str) -> Result<Self> {
        let config = match name {
            "smoke" => smoke()?,
            "default" => default()?,
            _ => bail!("there is no comparison `{name}`; choose one of: {}", Self::PRESETS.join(", ")),
        };
        config.validate()?;
        Ok(config)
    }
}

/// Budget 1 has the papers' proportions: with F the training of one network (24 epochs), the search of ProxylessNAS takes
/// 0.67 F, that of FBNet 0.6 F, and a sample of MnasNet 0.015 F.
fn default() -> Result<DesignConfig> {
    let scale = Scale::all_images()?;
    let mut base = scale.base;
    (base.tables.archs, base.tables.validation_images, base.tables.calibration_images) = (160, 2_500, 500);
    // Rung B of the ladder of `ablate_shrinking`.
    let recipe = crate::config::few_epochs([12, 3, 1, 3, 1, 9]);
    base.training.schedule = ScheduleKind::ProgressiveShrinking.schedule(&base.space, &recipe);
    (base.fine_tune.epochs, base.training.checkpoint_steps) = (2, Some(200));
    let batch_size = base.training.batch_size;
    let rates = |epochs| WeightRates { epochs, learning_rate: 0.1, batch_size, weight_decay: 3e-5 };
    // A search this short takes few steps of the choices: their rates are higher than published, so that the sum of the
    // rates over the search is of the published order.
    let proxyless_nas = ProxylessNas {
        warmup_epochs: 4,
        weights: WeightRates { epochs: 10, ..ProxylessNas::published().weights },
        choices: AdamConfig { learning_rate: 0.03, ..ProxylessNas::published().choices },
        ..ProxylessNas::published()
    };
    let fbnet = FbNet {
        weights: WeightRates { epochs: 11, ..FbNet::published().weights },
        warmup_epochs: 1,
        choices: AdamConfig { learning_rate: 0.3, ..FbNet::published().choices },
        betas: vec![0.2, 0.6],
        ..FbNet::published()
    };
    let mnas_net =
        MnasNet { samples: 1_000, proxy: rates(1), finalists: 3, final_training: rates(24), ..MnasNet::published() };
    let random = MnasNet { policy: Policy::Uniform, ..mnas_net.clone() };
    let method = |name: &str, budgets: &[f64], published, designer| Method {
        name: name.into(),
        budgets: budgets.into(),
        factors: Vec::new(),
        targets: None,
        seeds: None,
        images: None,
        published,
        published_samples: None,
        designer,
    };
    let [of_proxyless_nas, of_fbnet, of_mnas_net] = PUBLISHED.map(Some);
    let by_samples = |name, published, designer| Method {
        targets: Some(vec![1]),
        seeds: Some(vec![1]),
        images: Some(12_500),
        published_samples: Some(8_000),
        ..method(name, &[1.0], published, designer)
    };
    let tenfold = || vec![0.3, 1.0, 3.0];
    let methods = vec![
        Method {
            factors: tenfold(),
            ..method("proxyless_nas", &[0.25, 1.0, 4.0], of_proxyless_nas, Designer::ProxylessNas(proxyless_nas))
        },
        Method {
            // The paper searches on a tenth of the classes.
            images: Some(2_560),
            factors: tenfold(),
            ..method("fbnet", &[0.25, 1.0, 4.0], of_fbnet, Designer::FbNet(fbnet))
        },
        method("random_in_band", &[1.0], None, Designer::RandomInBand(0.9)),
        method("fixed", &[1.0], None, Designer::Fixed(MIDDLE.into())),
        by_samples("mnas_net", of_mnas_net, Designer::MnasNet(mnas_net)),
        by_samples("random_search", None, Designer::MnasNet(random)),
    ];
    Ok(DesignConfig {
        question: QUESTION.into(),
        targets: vec![0.15, 0.3, 0.5],
        seeds: vec![1],
        repeated_target: 1,
        more_seeds: vec![2, 3],
        trial_seed: 101,
        latency_table: None,
        final_training: rates(24),
        rule: DesignRule { tolerance: 0.003, scenarios: 40, within_factor: 2.0 },
        ofa: OfaDesign { supernets: None, queries: 10_000, factors: vec![2.0, 4.0, 8.0] },
        methods,
        base,
    })
}

fn smoke() -> Result<DesignConfig> {
    let mut config = default()?;
    let scale = Scale::named("smoke")?;
    config.base = scale.base;
    let base = &mut config.base;
    base.training.schedule = ScheduleKind::ProgressiveShrinking.schedule(&base.space, &scale.recipe);
    base.data.train_images = Some(512);
    base.tables.archs = 16;
    base.fine_tune.epochs = 1;
    base.tables.latency_networks = 8;
    base.tables.latency = LatencyConfig { warmup: 1, min_samples: 3, max_samples: 5, ..base.tables.latency.clone() };
    config.targets = vec![0.3];
    (config.repeated_target, config.more_seeds) = (0, Vec::new());
    config.ofa.queries = 500;
    config.ofa.factors.truncate(1);
    config.final_training.epochs = 2;
    for method in &mut config.methods {
        method.targets = method.targets.as_ref().map(|_| vec![0]);
        method.images = method.images.map(|_| 256);
        method.factors.truncate(1);
        method.budgets = if method.name == "proxyless_nas" { vec![0.5, 1.0] } else { vec![1.0] };
        match &mut method.designer {
            Designer::ProxylessNas(method) => {
                (method.warmup_epochs, method.weights.epochs, method.weight_steps) = (1, 3, 2);
                method.latency = LatencyLoss::AddAbove { lambda: 0.5 };
            }
            Designer::FbNet(method) => {
                (method.weights.epochs, method.warmup_epochs, method.drawn) = (2, 1, 2);
                method.betas.truncate(1);
            }
            Designer::MnasNet(method) => {
                (method.samples, method.finalists, method.final_training.epochs) = (4, 2, 2);
                if let Policy::Controller(controller) = &mut method.policy {
                    *controller = ControllerConfig { batch: 2, ..*controller };
                }
            }
            Designer::RandomInBand(share) => *share = 0.7,
            Designer::Fixed(_) => {}
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_configurations_that_a_file_can_hold() {
        for name in DesignConfig::PRESETS {
            let config = DesignConfig::preset(name).unwrap();
            assert!(DesignConfig::parse(&config.to_toml().unwrap()).unwrap() == config, "{name}");
        }
        let message = DesignConfig::preset("other").unwrap_err().to_string();
        assert!(message.contains("`other`; choose one of: smoke, default"), "{message}");
    }

    #[test]
    fn impossible_values_are_named_with_their_method() {
        let refused = |change: fn(&mut DesignConfig)| {
            let mut config = DesignConfig::preset("smoke").unwrap();
            change(&mut config);
            format!("{:#}", config.validate().unwrap_err())
        };
        for (message, expected) in [
            (refused(|config| config.targets = vec![1.0]), "targets has 1, but"),
            (refused(|config| config.repeated_target = 7), "repeated_target is 7"),
            (refused(|config| config.more_seeds = vec![1]), "seed 1 occurs twice"),
            (refused(|config| config.methods[0].name = "ofa".into()), "method `ofa`: a name may contain"),
            (refused(|config| config.methods[0].budgets = vec![2.0]), "method `proxyless_nas`: budgets is [2.0]"),
            (refused(|config| config.trial_seed = 1), "trial_seed 1 is a reported seed"),
            (refused(|config| config.ofa.supernets = Some("there".into())), "ofa.factors must be empty"),
            (refused(|config| config.methods[1].factors = vec![1.0, 2.0]), "`fbnet` has 2 factors and `ofa` 1"),
            (
                refused(|config| config.methods[3].factors = vec![1.0]),
                "method `fixed`: factors is [1.0], but it learns",
            ),
            (refused(|config| config.methods[1].images = Some(1)), "method `fbnet`: images is 1"),
            (refused(|config| config.methods[1].seeds = Some(vec![])), "method `fbnet`: seeds is []"),
            (refused(|config| config.methods[1].targets = Some(vec![4])), "method `fbnet`: targets is [4]"),
            (refused(|config| config.methods[2].designer = Designer::RandomInBand(1.0)), "random_in_band is 1"),
            (refused(|config| config.methods[3].designer = Designer::Fixed("r28-k9e3".into())), "outside the space"),
        ] {
            assert!(message.contains(expected), "{message}");
        }
    }
}
