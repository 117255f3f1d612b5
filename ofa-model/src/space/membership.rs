//! Whether a space contains an arch or another space.

use super::{SearchSpace, StageSpace, list};
use crate::{Arch, ModelError, StageArch};
use std::fmt::Display;

impl SearchSpace {
    /// Checks that this space offers every choice `arch` makes.
    ///
    /// # Errors
    ///
    /// [`ModelError::OutsideSpace`] names the first choice not offered, its value and the allowed values.
    pub fn check(&self, arch: &Arch) -> Result<(), ModelError> {
        let stray = self.first_stray(arch);
        stray.map_or(Ok(()), |Stray { choice, found, allowed }| {
            Err(ModelError::OutsideSpace { arch: arch.to_string(), space: self.name.clone(), choice, found, allowed })
        })
    }

    /// Whether this space offers every choice `arch` makes.
    pub fn contains(&self, arch: &Arch) -> bool {
        self.first_stray(arch).is_none()
    }

    fn first_stray(&self, arch: &Arch) -> Option<Stray> {
        let (stages, count) = (arch.stages.len(), self.stages.len());
        stray(|| "resolution".into(), &arch.resolution, &self.resolutions)
            .or_else(|| stray(|| "number of stages".into(), &stages, &[count]))
            .or_else(|| (arch.stages.iter().zip(&self.stages).enumerate()).find_map(|(s, (a, b))| b.first_stray(s, a)))
    }

    /// Whether every arch of this space is an arch of `outer` and describes the same network there.
    pub fn is_within(&self, outer: &SearchSpace) -> bool {
        self.image_channels == outer.image_channels
            && self.classes == outer.classes
            && self.norm_epsilon == outer.norm_epsilon
            && self.stem == outer.stem
            && self.head == outer.head
            && self.stages.len() == outer.stages.len()
            && is_subset(&self.resolutions, &outer.resolutions)
            && self.stages.iter().zip(&outer.stages).all(|(inner, outer)| inner.is_within(outer))
    }
}

impl StageSpace {
    fn first_stray(&self, s: usize, arch: &StageArch) -> Option<Stray> {
        let s = s + 1;
        stray(|| format!("stage {s} width"), &arch.width, &self.widths)
            .or_else(|| stray(|| format!("stage {s} depth"), &arch.blocks.len(), &self.depths))
            .or_else(|| {
                arch.blocks.iter().zip(1..).find_map(|(block, b)| {
                    let kernel_size = || format!("stage {s} block {b} kernel size");
                    stray(kernel_size, &block.kernel_size, &self.kernel_sizes).or_else(|| {
                        let expand_ratio = || format!("stage {s} block {b} expand ratio");
                        stray(expand_ratio, &block.expand_ratio, &self.expand_ratios)
                    })
                })
            })
    }

    fn is_within(&self, outer: &Self) -> bool {
        // With the outer stage's choices filled in, only the fixed properties can still differ.
        let fixed = Self {
            widths: outer.widths.clone(),
            depths: outer.depths.clone(),
            kernel_sizes: outer.kernel_sizes.clone(),
            expand_ratios: outer.expand_ratios.clone(),
            ..self.clone()
        };
        fixed == *outer
            && is_subset(&self.widths, &outer.widths)
            && is_subset(&self.depths, &outer.depths)
            && is_subset(&self.kernel_sizes, &outer.kernel_sizes)
            && is_subset(&self.expand_ratios, &outer.expand_ratios)
    }
}

/// A choice that the space does not offer.
struct Stray {
    choice: String,
    found: String,
    allowed: String,
}

fn stray<T: PartialEq + Display>(choice: impl Fn() -> String, found: &T, allowed: &[T]) -> Option<Stray> {
    // With so few choices, comparing all of them without a branch is faster than stopping at the match.
    let inside = allowed.iter().fold(false, |inside, choice| inside | (choice == found));
    (!inside).then(|| Stray { choice: choice(), found: found.to_string(), allowed: list(allowed) })
}

fn is_subset<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    a.iter().all(|x| b.contains(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_choices_are_named() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let cases = [
            ("r30-k3e3.k3e3-k3e3.k3e3-k3e3.k3e3", "resolution is 30"),
            ("r28-k3e3.k3e3-k3e3.k3e3", "number of stages is 2"),
            ("r28-k3e3-k3e3.k3e3-k3e3.k3e3", "stage 1 depth is 1, allowed: 2, 3, 4"),
            ("r28-k3e3.k3e3-k3e3.k9e3-k3e3.k3e3", "stage 2 block 2 kernel size is 9, allowed: 3, 5, 7"),
            ("r28-k3e3.k3e3-k3e3.k3e3-k3e5.k3e3", "stage 3 block 1 expand ratio is 5, allowed: 3, 4, 6"),
            ("r28-k3e3.k3e3-w0_8:k3e3.k3e3-k3e3.k3e3", "stage 2 width is 0.8, allowed: 1"),
        ];
        for (text, expected) in cases {
            let message = space.check(&text.parse().unwrap()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_narrower_space_is_within_but_not_the_reverse() {
        let outer = SearchSpace::small_mobilenet_v3(1, 10);
        let mut inner = outer.clone();
        inner.stages.iter_mut().for_each(|stage| stage.depths = vec![4]);
        assert!(inner.is_within(&outer));
        assert!(!outer.is_within(&inner));
        inner.stages[0].channels += 8;
        assert!(!inner.is_within(&outer));
    }
}
