//! Channels sorted by importance.

use crate::noise::tolerance;
use crate::{formula, golden::*};
use ofa_model::{Arch, Importance, Statistics, Supernet};

#[test]
fn sorted_channels_compute_what_the_original_does() {
    for (kind, count) in [("mbv3_w1.0", 3), ("mbv3_w1.2", 1), ("proxyless_w1.3", 1), ("resnets", 3)] {
        let golden = Golden::read(kind);
        let supernet = golden.supernet(kind, 100);
        assert_eq!(golden.sorted.len(), count);
        golden.sorted.iter().for_each(|sort| sorts(kind, &supernet, sort));
    }
}

fn sorts(kind: &str, supernet: &Supernet, GoldenSort { stage, arch }: &GoldenSort) {
    let images = formula::images("input.128", 2, 128);
    let expected = golden_tensors(&format!("reorg_{kind}_stage{stage}.safetensors"));
    // Stage 0 follows training at the largest ratio only; each further stage also has the next smaller one.
    let mut trained = supernet.space().clone();
    for stage_space in trained.stages.iter_mut().filter(|stage_space| stage_space.expand_ratios.len() > 1) {
        stage_space.expand_ratios.drain(..2 - stage);
        // The original knows middle channels only at full width.
        stage_space.widths.drain(..stage_space.widths.len() - 1);
    }
    let sorted = supernet.clone().sort_channels(&trained, Importance::L1);
    for (when, supernet) in [("before", supernet), ("after", &sorted)] {
        for (name, arch) in arch {
            // Its narrow stages cut through channels whose importances tie after the original's rounding.
            if (kind, stage, when, name.as_str()) == ("resnets", &2, "after", "rand0") {
                continue;
            }
            let arch = Arch::from_original(arch, supernet.space()).unwrap().at_resolution(128);
            let forward = |images| supernet.forward(images, &arch, &mut Statistics::Running);
            let expected = numbers(&expected[&format!("{when}.{name}")]);
            let difference = max_difference(&logits(forward(images.clone())), &expected);
            let tolerance = tolerance(name, &images, forward);
            assert!(difference <= tolerance, "{kind} stage {stage} {when} {name}: {difference:e}");
        }
    }
}
