use super::*;
use crate::testing::additive_samples;

#[test]
fn an_additive_accuracy_is_learned_from_150_archs() {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let samples = additive_samples(&space, 150, 1);
    let (predictor, report) =
        MlpPredictor::fit_with_report(&space, &samples, &MlpConfig::default(), 0.2, &Device::flex()).unwrap();
    assert_eq!((report.training_rows, report.held_out.len()), (120, 30));
    assert!(report.kendall_tau > 0.8 && report.spearman > 0.9, "{report:?}");
    let spread = moments(&samples.iter().map(|(_, target)| *target).collect::<Vec<_>>()).1;
    assert!(report.rmse < 0.5 * spread, "{report:?}, spread {spread}");

    let archs: Vec<Arch> = samples.iter().map(|(arch, _)| arch.clone()).collect();
    let together = predictor.predict(&archs).unwrap();
    let alone: Vec<f64> =
        archs.iter().flat_map(|arch| predictor.predict(std::slice::from_ref(arch)).unwrap()).collect();
    for (a, b) in together.iter().zip(&alone) {
        assert!((a - b).abs() < 1e-6, "batched {a}, alone {b}");
    }
}

#[test]
fn same_seed_same_predictor() {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let samples = additive_samples(&space, 20, 2);
    let archs: Vec<Arch> = samples.iter().map(|(arch, _)| arch.clone()).collect();
    let predict = |seed| {
        let config = MlpConfig { epochs: 3, seed, ..MlpConfig::default() };
        MlpPredictor::fit(&space, &samples, &config, &Device::flex()).unwrap().predict(&archs).unwrap()
    };
    assert_eq!(predict(7), predict(7));
    assert_ne!(predict(7), predict(8));
}

#[test]
fn constant_targets_are_predicted() {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let samples: Vec<(Arch, f64)> = additive_samples(&space, 10, 3).into_iter().map(|(arch, _)| (arch, 0.75)).collect();
    let predictor = MlpPredictor::fit(&space, &samples, &MlpConfig::default(), &Device::flex()).unwrap();
    let prediction = predictor.predict(&[samples[0].0.clone()]).unwrap()[0];
    assert!((prediction - 0.75).abs() < 0.05, "{prediction}");
}

#[test]
fn bad_samples_and_settings_are_named() {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let good = additive_samples(&space, 4, 4);
    let refused = |samples: &[(Arch, f64)], config: MlpConfig| {
        MlpPredictor::fit(&space, samples, &config, &Device::flex()).unwrap_err().to_string()
    };
    assert!(refused(&good[..1], MlpConfig::default()).contains("needs at least 2 samples, found 1"));
    let mut bad = good.clone();
    bad[2].1 = f64::NAN;
    assert!(refused(&bad, MlpConfig::default()).starts_with("target of arch"));
    bad[2] = ("r8-k3e3".parse().unwrap(), 0.5);
    assert!(refused(&bad, MlpConfig::default()).contains("outside the space"));
    assert!(refused(&good, MlpConfig { hidden: vec![8, 0], ..MlpConfig::default() }).starts_with("hidden is [8, 0]"));
    assert!(refused(&good, MlpConfig { epochs: 0, ..MlpConfig::default() }).starts_with("epochs is 0"));
}

#[test]
fn the_networks_disagree_less_about_what_they_have_seen() {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let known = additive_samples(&space, 60, 5);
    let config = MlpConfig { weight_decay: 0.0, ..MlpConfig::default() };
    let predictor = MlpPredictor::fit(&space, &known, &config, &Device::flex()).unwrap();
    let archs = |samples: &[(Arch, f64)]| samples.iter().map(|(arch, _)| arch.clone()).collect::<Vec<_>>();
    let spread = |samples: &[(Arch, f64)]| {
        let predictions = predictor.predict_with_spread(&archs(samples)).unwrap();
        predictions.iter().map(|prediction| prediction.spread).sum::<f64>() / samples.len() as f64
    };
    let (seen, unseen) = (spread(&known), spread(&additive_samples(&space, 200, 6)));
    assert!(0.0 < seen && seen < 0.8 * unseen, "{seen} {unseen}");
    let alone = MlpPredictor::fit(&space, &known, &MlpConfig { ensemble: 1, epochs: 2, ..config }, &Device::flex());
    let predictions = alone.unwrap().predict_with_spread(&archs(&known[..3])).unwrap();
    assert!(predictions.iter().all(|prediction| prediction.spread == 0.0), "{predictions:?}");
}

#[test]
fn means_and_spreads_are_those_of_the_networks() {
    let prediction = Prediction::of([1.0, 2.0, 6.0].into_iter());
    assert_eq!(prediction, Prediction { mean: 3.0, spread: 7f64.sqrt() });
}
