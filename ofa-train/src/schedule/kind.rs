//! [`ScheduleKind`]: the supernet training methods compared in the literature, built from one recipe.

use super::{Annealing, ChoiceCounts, Opened, Phase, PhaseRecipe, Schedule, ScheduleRecipe};
use crate::{Distillation, Sampler, SoftTargets};
use ofa_model::{Importance, SearchSpace, StageSpace};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantArray, VariantNames};

/// A method of training a supernet.
///
/// All kinds are built from the same [`ScheduleRecipe`], so they differ in method, not in tuning. Their costs also
/// differ: with [`ScheduleRecipe::iclr2020`] in MobileNetV3's space, progressive shrinking and [`Grow`](Self::Grow) take
/// 1,205 subnet-epochs, [`Sandwich`](Self::Sandwich) and [`RandomOnly`](Self::RandomOnly) the same to within the
/// subnets of one step, [`Compofa`](Self::Compofa) 780 and [`FullOnly`](Self::FullOnly) 180.
/// [`Schedule::scale_to`] equalises them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, VariantArray, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown)]
pub enum ScheduleKind {
    /// The paper's method: the full network, then kernel size, depth and expand ratio open from large to small (section
    /// 3.3).
    ProgressiveShrinking,
    /// CompOFA (Sahni et al., ICLR 2021): the full network, then coupled depth and expand ratio, in two phases.
    Compofa,
    /// BigNAS (Yu et al., ECCV 2020): largest, smallest and random subnets in every step; the largest teaches the
    /// others. Optimizer and regularisation are those of the recipe.
    Sandwich,
    /// No shrinking: the whole space from the first step, on labels only.
    RandomOnly,
    /// Shrinking in reverse: the smallest network first, then expand ratio, depth and kernel size open from small to
    /// large, on labels only.
    Grow,
    /// Only the full network, as a teacher or a baseline.
    FullOnly,
}

impl ScheduleKind {
    /// All kinds, in declaration order.
    pub const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// Builds the schedule of this kind for `space`.
    pub fn schedule(self, space: &SearchSpace, recipe: &ScheduleRecipe) -> Schedule {
        let phases = match self {
            Self::ProgressiveShrinking => return Schedule::progressive_shrinking(space, recipe),
            Self::Compofa => compofa(recipe),
            Self::Sandwich => vec![sandwich(space, recipe)],
            Self::RandomOnly => vec![random_only(space, recipe)],
            Self::Grow => grow(space, recipe),
            Self::FullOnly => vec![full(recipe)],
        };
        schedule(self, recipe, phases)
    }
}

fn unknown(name: &str) -> String {
    let names = <ScheduleKind as VariantNames>::VARIANTS.join(", ");
    format!("unknown schedule kind `{name}`; choose one of: {names}")
}

impl Schedule {
    /// Progressive shrinking (paper, section 3.3): the full network, then kernel size, depth and expand ratio open step
    /// by step from large to small. Resolution is elastic throughout. Elastic widths (ResNets) open together with the
    /// expand ratios.
    pub fn progressive_shrinking(space: &SearchSpace, recipe: &ScheduleRecipe) -> Self {
        let mut phases = vec![full(recipe)];
        let distillation = by_full_network(recipe);
        let opening = opening(space, recipe, Order::Shrink);
        phases.extend(opening.into_iter().map(|Step { name, counts, phase, narrows }| Phase {
            distillation: distillation.clone(),
            sort_channels: narrows.then_some(Importance::L1),
            ..Phase::new(name, &phase, Opened::Largest(counts))
        }));
        schedule(ScheduleKind::ProgressiveShrinking, recipe, phases)
    }
}

fn schedule(kind: ScheduleKind, recipe: &ScheduleRecipe, mut phases: Vec<Phase>) -> Schedule {
    phases.retain(|phase| phase.epochs > 0);
    Schedule {
        name: kind.to_string(),
        reference_batch_size: recipe.reference_batch_size,
        annealing: Annealing::default(),
        phases,
    }
}

fn full(recipe: &ScheduleRecipe) -> Phase {
    Phase { becomes_teacher: true, ..Phase::new("full", &recipe.full, Opened::Largest(ChoiceCounts::ONE)) }
}

fn by_full_network(recipe: &ScheduleRecipe) -> Distillation {
    match recipe.distillation_weight {
        0.0 => Distillation::None,
        weight => Distillation::teacher(weight),
    }
}

fn compofa(recipe: &ScheduleRecipe) -> Vec<Phase> {
    let compound = |name: &str, phase: &PhaseRecipe, sort_channels| Phase {
        sampler: Sampler::Coupled,
        distillation: by_full_network(recipe),
        sort_channels,
        ..Phase::new(name, phase, Opened::All)
    };
    vec![
        full(recipe),
        compound("compound 1", &recipe.expand_first, Some(Importance::L1)),
        compound("compound 2", &recipe.expand_last, None),
    ]
}

/// One phase of about as many subnet-epochs as progressive shrinking, at the learning rate of the full network.
fn single(name: &str, space: &SearchSpace, recipe: &ScheduleRecipe, subnets_per_step: usize) -> Phase {
    let total = Schedule::progressive_shrinking(space, recipe).subnet_epochs();
    let epochs = (total as f64 / subnets_per_step as f64).round().max(1.0);
    let warmup_epochs = recipe.full.warmup_epochs.min(epochs);
    let phase = PhaseRecipe { epochs: epochs as usize, warmup_epochs, subnets_per_step, ..recipe.full };
    Phase::new(name, &phase, Opened::All)
}

fn sandwich(space: &SearchSpace, recipe: &ScheduleRecipe) -> Phase {
    let soft = SoftTargets { weight: 1.0, temperature: 1.0, label_weight: 0.0 };
    Phase {
        sampler: Sampler::Sandwich,
        distillation: Distillation::InPlace(soft),
        // Two random subnets, plus the largest and the smallest.
        ..single("sandwich", space, recipe, 4)
    }
}

fn random_only(space: &SearchSpace, recipe: &ScheduleRecipe) -> Phase {
    single("random", space, recipe, recipe.expand_last.subnets_per_step)
}

fn grow(space: &SearchSpace, recipe: &ScheduleRecipe) -> Vec<Phase> {
    let smallest = Phase::new("smallest", &recipe.full, Opened::Smallest(ChoiceCounts::ONE));
    let opening = opening(space, recipe, Order::Grow).into_iter();
    let opening = opening.map(|Step { name, counts, phase, .. }| Phase::new(name, &phase, Opened::Smallest(counts)));
    std::iter::once(smallest).chain(opening).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Shrink,
    Grow,
}

/// One step of opening choices of one kind.
struct Step {
    name: String,
    counts: ChoiceCounts,
    phase: PhaseRecipe,
    /// Whether it opens narrower blocks (wider ones when growing).
    narrows: bool,
}

/// The steps that open all choices, one kind after another.
fn opening(space: &SearchSpace, recipe: &ScheduleRecipe, order: Order) -> Vec<Step> {
    let mut counts = ChoiceCounts::ONE;
    let mut steps = Vec::new();
    let mut kinds = [open_kernels, open_depths, open_widths];
    if order == Order::Grow {
        kinds.reverse();
    }
    kinds.into_iter().for_each(|open| open(space, recipe, &mut counts, &mut steps));
    steps
}

fn open_kernels(space: &SearchSpace, recipe: &ScheduleRecipe, counts: &mut ChoiceCounts, steps: &mut Vec<Step>) {
    counts.kernel_sizes = most(space, |stage| stage.kernel_sizes.len());
    if counts.kernel_sizes > 1 {
        steps.push(Step { name: "kernel".into(), counts: *counts, phase: recipe.kernel, narrows: false });
    }
}

fn open_depths(space: &SearchSpace, recipe: &ScheduleRecipe, counts: &mut ChoiceCounts, steps: &mut Vec<Step>) {
    let last = most(space, |stage| stage.depths.len()) - 1;
    for step in 1..=last {
        counts.depths = step + 1;
        let phase = if step == last { recipe.depth_last } else { recipe.depth_first };
        steps.push(Step { name: format!("depth {step}"), counts: *counts, phase, narrows: false });
    }
}

fn open_widths(space: &SearchSpace, recipe: &ScheduleRecipe, counts: &mut ChoiceCounts, steps: &mut Vec<Step>) {
    let last = most(space, |stage| stage.expand_ratios.len().max(stage.widths.len())) - 1;
    for step in 1..=last {
        (counts.expand_ratios, counts.widths) = (step + 1, step + 1);
        let phase = if step == last { recipe.expand_last } else { recipe.expand_first };
        steps.push(Step { name: format!("expand {step}"), counts: *counts, phase, narrows: true });
    }
}

fn most(space: &SearchSpace, count: impl Fn(&StageSpace) -> usize) -> usize {
    space.stages.iter().map(count).max().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> SearchSpace {
        SearchSpace::small_mobilenet_v3(1, 10)
    }

    /// Name, kernel sizes, depths and number of expand ratios of the first stage of the network.
    fn opened(schedule: &Schedule) -> Vec<(String, Vec<usize>, Vec<usize>, usize)> {
        let first = |phase: &Phase| {
            let open = phase.opened.of(&space()).stages.remove(0);
            (phase.name.clone(), open.kernel_sizes, open.depths, open.expand_ratios.len())
        };
        schedule.phases.iter().map(first).collect()
    }

    #[test]
    fn progressive_shrinking_opens_one_dimension_after_another() {
        let schedule = Schedule::progressive_shrinking(&space(), &ScheduleRecipe::iclr2020());
        let row = |name: &str, k: &[usize], d: &[usize], e| (name.to_owned(), k.to_vec(), d.to_vec(), e);
        let all = [3, 5, 7];
        let expected = [
            row("full", &[7], &[4], 1),
            row("kernel", &all, &[4], 1),
            row("depth 1", &all, &[3, 4], 1),
            row("depth 2", &all, &[2, 3, 4], 1),
            row("expand 1", &all, &[2, 3, 4], 2),
            row("expand 2", &all, &[2, 3, 4], 3),
        ];
        assert_eq!(opened(&schedule), expected);
        assert_eq!(schedule.phases.last().unwrap().opened.of(&space()), space());
        assert_eq!((schedule.epochs(), schedule.subnet_epochs(), schedule.epochs_before(2)), (605, 1205, 305));
        let sorted: Vec<bool> = schedule.phases.iter().map(|phase| phase.sort_channels.is_some()).collect();
        assert_eq!(sorted, [false, false, false, false, true, true]);
    }

    #[test]
    fn growing_is_the_reverse() {
        let grow = opened(&ScheduleKind::Grow.schedule(&space(), &ScheduleRecipe::iclr2020()));
        let names: Vec<&str> = grow.iter().map(|row| row.0.as_str()).collect();
        assert_eq!(names, ["smallest", "expand 1", "expand 2", "depth 1", "depth 2", "kernel"]);
        assert_eq!((&grow[0].1[..], &grow[0].2[..]), (&[3][..], &[2][..]));
        assert_eq!((&grow[3].1[..], &grow[3].2[..], grow[3].3), (&[3][..], &[2, 3][..], 3));
    }

    #[test]
    fn every_kind_is_sound_for_every_family_and_has_a_name() {
        for space in [space(), SearchSpace::resnet50d(1000), SearchSpace::mobilenet_v3(1.0, 1000)] {
            for &kind in ScheduleKind::ALL {
                let schedule = kind.schedule(&space, &ScheduleRecipe::iclr2020());
                schedule.validate(&space, false).unwrap();
                assert_eq!(schedule.name.parse::<ScheduleKind>().unwrap(), kind);
            }
        }
        assert!("shrink".parse::<ScheduleKind>().unwrap_err().contains("compofa"));
    }

    #[test]
    fn kinds_of_one_phase_cost_as_much_as_progressive_shrinking() {
        let recipe = ScheduleRecipe::iclr2020();
        for kind in [ScheduleKind::RandomOnly, ScheduleKind::Sandwich] {
            let found = kind.schedule(&space(), &recipe).subnet_epochs();
            assert!(found.abs_diff(1205) <= 2, "{kind}: {found}");
        }
        assert_eq!(ScheduleKind::Compofa.schedule(&space(), &recipe).epochs(), 180 + 25 + 125);
    }

    #[test]
    fn kinds_cost_what_their_documentation_says() {
        let cost = |kind: &ScheduleKind| kind.schedule(&space(), &ScheduleRecipe::iclr2020()).subnet_epochs();
        let costs: Vec<usize> = ScheduleKind::ALL.iter().map(cost).collect();
        assert_eq!(costs, [1205, 780, 1204, 1204, 1205, 180]);
    }

    #[test]
    fn widths_of_resnets_open_with_the_expand_ratios() {
        let space = SearchSpace::resnet50d(10);
        let schedule = Schedule::progressive_shrinking(&space, &ScheduleRecipe::iclr2020());
        let names: Vec<&str> = schedule.phases.iter().map(|phase| phase.name.as_str()).collect();
        assert_eq!(names, ["full", "depth 1", "depth 2", "expand 1", "expand 2"]);
        assert_eq!(schedule.phases[4].opened.of(&space), space);
    }
}
