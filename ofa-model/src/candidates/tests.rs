use super::*;
use crate::testing::Draw;
use crate::{ChoiceCosts, Statistics};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, Tolerance};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const SIDE: usize = 12;

fn space() -> SearchSpace {
    let mut space = SearchSpace::small_mobilenet_v3(1, 10);
    space.resolutions = vec![8, SIDE];
    space
}

fn network(device: &Device) -> CandidateNetwork {
    CandidateConfig::new(space()).unwrap().with_seed(3).init(device)
}

fn groups() -> ChoiceGroups {
    ChoiceGroups::new(&space(), SIDE).unwrap()
}

fn images(device: &Device) -> Tensor<4> {
    let images = Draw::new(5).normal([4, 1, SIDE, SIDE], 0.0, 1.0);
    if device.is_autodiff() { Tensor::from_inner(images) } else { images }
}

#[test]
fn an_extracted_path_computes_what_the_path_does() {
    let device = Device::flex();
    let network = network(&device);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    for _ in 0..20 {
        let arch = network.space().sample(rng).at_resolution(SIDE);
        let choices = groups().choices(&arch).unwrap();
        let subnet = network.path(&arch);
        assert_eq!(subnet.num_trainable() as u64, network.space().cost(&arch).parameters, "{arch}");
        let of_path = network.forward_mixture(images(&device), &Mixture::path(&choices), |x| x).logits;
        let of_subnet = subnet.forward(images(&device), &mut Statistics::Batch);
        assert_eq!(of_path.into_data(), of_subnet.into_data(), "{arch}");
    }
}

#[test]
fn candidates_share_nothing() {
    let device = Device::flex().autodiff();
    let network = network(&device);
    let arch = network.space().smallest().at_resolution(SIDE);
    let logits = network.path(&arch).forward(images(&device), &mut Statistics::Batch);
    let gradients = GradientsParams::from_grads(logits.powf_scalar(2.0).mean().backward(), &network);
    let Block::MbConv(used) = &network.stages[1].blocks[0].candidates[0] else { panic!() };
    let Block::MbConv(other) = &network.stages[1].blocks[0].candidates[1] else { panic!() };
    assert!(gradients.get::<4>(used.project.weight.id).is_some());
    assert!(gradients.get::<4>(other.project.weight.id).is_none());
    assert_ne!(used.project.weight.val().into_data(), other.project.weight.val().into_data());
}

/// A mixture of two candidates or depths in some groups.
fn mixture(groups: &[usize], weights: [f64; 2]) -> Mixture {
    let sizes = self::groups().sizes();
    let mut mixture = Mixture::path(&vec![1; sizes.len()]);
    for &group in groups {
        mixture.gates[group] = Gate { choices: vec![1, 2], weights: weights.to_vec() };
    }
    mixture
}

fn loss(network: &CandidateNetwork, mixture: &Mixture) -> (Mixed, Tensor<1>) {
    let device = Device::flex().autodiff();
    let mixed = network.forward_mixture(images(&device), mixture, |features| features);
    let loss = mixed.logits.clone().powf_scalar(2.0).mean();
    (mixed, loss)
}

#[test]
fn gradients_of_gates_are_those_of_finite_differences() {
    let network = network(&Device::flex().autodiff());
    // A block, the depth of its stage, and a block of another stage; as a soft mixture and with binary gates.
    let some = [0, 2, 7];
    for weights in [[0.6, 0.4], [1.0, 0.0]] {
        let (mixed, value) = loss(&network, &mixture(&some, weights));
        let gradients = mixed.gate_gradients(&value.backward());
        assert!(gradients.iter().enumerate().all(|(group, of)| of.is_empty() != some.contains(&group)));
        for group in some {
            for (place, &found) in gradients[group].iter().enumerate() {
                let at = |step: f64| {
                    let mut changed = mixture(&some, weights);
                    changed.gates[group].weights[place] += step;
                    f64::from(loss(&network, &changed).1.into_scalar::<f32>())
                };
                let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
                let error = (difference - found).abs();
                assert!(error < 0.1 * found.abs() + 2e-4, "{weights:?} {group} {place}: {difference} {found}");
            }
        }
    }
}

#[test]
fn a_choice_of_weight_0_changes_neither_output_nor_gradients() {
    let device = Device::flex().autodiff();
    let network = network(&device);
    let path = Mixture::path(&vec![1; groups().sizes().len()]);
    let (alone, value) = loss(&network, &path);
    let expected = GradientsParams::from_grads(value.backward(), &network);
    // Among them a depth of weight 0 that is deeper than the other.
    let (mixed, value) = loss(&network, &mixture(&[0, 2, 5, 7, 8], [1.0, 0.0]));
    let tolerance = Tolerance::absolute(1e-6);
    mixed.logits.into_data().assert_approx_eq::<f32>(&alone.logits.into_data(), tolerance);
    let found = GradientsParams::from_grads(value.backward(), &network);
    assert_eq!(found.len(), expected.len());
    let Block::MbConv(first) = &network.stages[0].blocks[0].candidates[1] else { panic!() };
    let of = |gradients: &GradientsParams| gradients.get::<4>(first.depthwise.weight.id).unwrap().into_data();
    of(&found).assert_approx_eq::<f32>(&of(&expected), tolerance);
}

#[test]
fn macs_count_what_runs_forwards_and_what_runs_backwards() {
    let (space, groups) = (space(), groups());
    let macs = ChoiceCosts::macs(&space, &groups);
    let one = groups.choices(&space.smallest().at_resolution(SIDE)).unwrap();
    let of = |arch: &Arch| space.cost(arch).macs as f64;
    let smallest = of(&space.smallest().at_resolution(SIDE));
    assert_eq!(Mixture::path(&one).macs(&macs), [smallest; 2]);
    let binary = mixture(&[2, 5], [1.0, 0.0]);
    let path = of(&groups.arch(&vec![1; groups.sizes().len()]));
    let [forward, backward] = binary.macs(&macs);
    // Another candidate in one block, and a block more in the second stage.
    let mut other = vec![1; groups.sizes().len()];
    other[2] = 2;
    let mut deeper = vec![1; groups.sizes().len()];
    deeper[5] = 2;
    // All three depths have the first block.
    let without = path - macs.gradient(&groups.filled(1.0))[2][1] / 3.0;
    let candidate = of(&groups.arch(&other)) - without;
    assert_eq!(backward, path);
    assert!((forward - (candidate + of(&groups.arch(&deeper)))).abs() < 1.0, "{forward}");
    let all = Mixture::all(&groups.filled(0.5)).macs(&macs);
    let deepest = |candidate: usize| {
        let choices = groups.sizes().into_iter().map(|size| if size == 3 { 2 } else { candidate });
        of(&groups.arch(&choices.collect::<Vec<_>>()))
    };
    let fixed = macs.expected(&groups.filled(0.0));
    assert_eq!(all, [(0..9).map(deepest).sum::<f64>() - 8.0 * fixed; 2]);
}

#[test]
fn a_space_with_too_many_candidates_is_refused_with_the_numbers() {
    let mut space = space();
    let fitting = CandidateConfig::new(space.clone()).unwrap().parameters();
    assert_eq!(fitting as usize, network(&Device::flex()).num_params() - running(&network(&Device::flex())));
    for stage in &mut space.stages {
        (stage.channels, stage.kernel_sizes) = (512, (3..=63).step_by(2).collect());
    }
    let message = CandidateConfig::new(space).unwrap_err().to_string();
    assert!(message.contains("12 blocks have 1116 candidates with ") && message.contains("500000000"), "{message}");
}

/// Numbers of running statistics.
fn running(network: &CandidateNetwork) -> usize {
    network.num_params() - crate::subnet::trainable_numbers(network)
}
