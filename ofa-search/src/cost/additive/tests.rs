use super::*;
use crate::testing::tiny_space;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

#[test]
fn sums_equal_the_costs_of_the_space() {
    for space in [
        tiny_space(),
        SearchSpace::small_mobilenet_v3(1, 10),
        SearchSpace::mobilenet_v3(1.0, 1000),
        SearchSpace::proxyless_nas(1.3, 1000),
        SearchSpace::resnet50d(1000),
    ] {
        let (macs, parameters) = (AdditiveCost::macs(&space), AdditiveCost::parameters(&space));
        let scaled = macs.clone().scaled(2.0, 5.0);
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            let arch = space.sample(rng);
            let cost = space.cost(&arch);
            assert_eq!((macs.of(&arch), parameters.of(&arch)), (cost.macs as f64, cost.parameters as f64), "{arch}");
            assert_eq!(scaled.of(&arch), 2.0 * macs.of(&arch) + 5.0);
        }
    }
}

#[test]
fn distinct_units_are_exactly_those_of_all_archs() {
    let mut wide = tiny_space();
    wide.stages.push(wide.stages[0].clone());
    wide.stages.iter_mut().for_each(|stage| stage.widths = vec![1.into(), 2.into()]);
    wide.stages[1].max_pool = true;
    for (space, count) in [(tiny_space(), 40), (wide, 2 * 40 * 40)] {
        let archs = crate::testing::all_archs(&space);
        assert_eq!(archs.len(), count);
        let expected: HashSet<Unit> = archs.iter().flat_map(|arch| space.units(arch)).collect();
        let units = distinct_units(&space);
        assert_eq!(units.len(), expected.len());
        assert_eq!(units.into_iter().collect::<HashSet<_>>(), expected);
    }
}

#[test]
fn a_stage_of_single_blocks_has_no_later_block() {
    let mut space = tiny_space();
    space.stages[0].depths = vec![1];
    // Two resolutions, each with stem, first block, four first blocks of the stage and head.
    assert_eq!(distinct_units(&space).len(), 2 * (1 + 1 + 4 + 1));
}

#[test]
#[should_panic(expected = "arch `r10-k3e3` is outside the space")]
fn archs_outside_the_space_are_a_bug() {
    AdditiveCost::macs(&tiny_space()).of(&"r10-k3e3".parse().unwrap());
}

#[test]
fn sums_by_block_know_the_place_of_every_block() {
    let space = SearchSpace::resnet50d(1000);
    let share = |b: &PlacedBlock| {
        let choices = b.choices.kernel_size as f64 + b.choices.expand_ratio.value() + b.width.value();
        b.resolution as f64 + 1e4 * b.stage as f64 + 1e3 * b.block as f64 + choices
    };
    let sum = AdditiveCost::by_block(&space, |resolution| -(resolution as f64), share);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    for _ in 0..200 {
        let arch = space.sample(rng);
        let resolution = arch.resolution;
        let mut expected = -(resolution as f64);
        for (stage, made) in arch.stages.iter().enumerate() {
            for (block, &choices) in made.blocks.iter().enumerate() {
                expected += share(&PlacedBlock { resolution, stage, block, width: made.width, choices });
            }
        }
        assert_eq!(sum.predict(std::slice::from_ref(&arch)).unwrap(), [expected], "{arch}");
    }
}

#[test]
#[should_panic(expected = "arch `r8-k3e3.k3e3.k3e3` is outside the space")]
fn archs_deeper_than_the_space_are_a_bug() {
    AdditiveCost::macs(&tiny_space()).of(&"r8-k3e3.k3e3.k3e3".parse().unwrap());
}
