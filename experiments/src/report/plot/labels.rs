//! Places the labels of marked points so they cover neither each other nor the marks.

use super::canvas::Anchor;
use std::ops::Range;

/// Half the height of a label with its margin, in pixels.
const HALF_HEIGHT: i32 = 17;
/// Distance of a label from its point, in pixels.
const GAP: i32 = 20;

/// Position of a label relative to its point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placement {
    pub(super) offset: (i32, i32),
    pub(super) anchor: Anchor,
}

/// A rectangle of pixels.
#[derive(Clone, Copy)]
struct Cover {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

impl Cover {
    fn of(point: (i32, i32), width: i32, placement: Placement) -> Self {
        let x = point.0 + placement.offset.0;
        let (left, right) = match placement.anchor {
            Anchor::Start => (x, x + width),
            Anchor::Middle => (x - width / 2, x + width / 2),
            Anchor::End => (x - width, x),
        };
        let y = point.1 + placement.offset.1;
        Self { left, right, top: y - HALF_HEIGHT, bottom: y + HALF_HEIGHT }
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn contains(&self, (x, y): (i32, i32), margin: i32) -> bool {
        (self.left - margin..=self.right + margin).contains(&x)
            && (self.top - margin..=self.bottom + margin).contains(&y)
    }

    fn inside(&self, across: &Range<i32>, down: &Range<i32>) -> bool {
        across.start <= self.left && self.right <= across.end && down.start <= self.top && self.bottom <= down.end
    }
}

/// One placement per mark (pixel position, width of its label). Greedy: each label takes the candidate that covers
/// least.
///
/// `pins` are other pixels that must not be covered, `dots` pixels that preferably are not; `across` and `down` are
/// the plotting area.
pub(super) fn place(
    marks: &[((i32, i32), i32)],
    pins: &[(i32, i32)],
    dots: &[(i32, i32)],
    across: &Range<i32>,
    down: &Range<i32>,
) -> Vec<Placement> {
    let mut taken: Vec<Cover> = Vec::new();
    marks
        .iter()
        .map(|&(point, width)| {
            let cost = |placement: &Placement| {
                let cover = Cover::of(point, width, *placement);
                let labels = taken.iter().filter(|other| cover.meets(other)).count();
                let important = marks.iter().map(|mark| &mark.0).chain(pins);
                let marked = important.filter(|other| cover.contains(**other, 10)).count();
                let lesser = dots.iter().filter(|other| cover.contains(**other, 4)).count();
                let outside = usize::from(!cover.inside(across, down));
                1000 * outside + 100 * labels + 100 * marked + lesser
            };
            let best = candidates().min_by_key(cost).expect("there are candidates");
            taken.push(Cover::of(point, width, best));
            best
        })
        .collect()
}

/// Placements around a point, in order of preference.
fn candidates() -> impl Iterator<Item = Placement> {
    let near = [
        (GAP, 0, Anchor::Start),
        (-GAP, 0, Anchor::End),
        (0, -2 * GAP, Anchor::Middle),
        (0, 2 * GAP, Anchor::Middle),
        (GAP, -GAP, Anchor::Start),
        (GAP, GAP, Anchor::Start),
        (-GAP, -GAP, Anchor::End),
        (-GAP, GAP, Anchor::End),
        (GAP, -2 * GAP, Anchor::Start),
        (GAP, 2 * GAP, Anchor::Start),
        (-GAP, -2 * GAP, Anchor::End),
        (-GAP, 2 * GAP, Anchor::End),
        (0, -4 * GAP, Anchor::Middle),
        (0, 4 * GAP, Anchor::Middle),
    ];
    near.into_iter().map(|(x, y, anchor)| Placement { offset: (x, y), anchor })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACROSS: Range<i32> = 0..1000;
    const DOWN: Range<i32> = 0..1000;

    fn covers(marks: &[((i32, i32), i32)], placements: &[Placement]) -> Vec<Cover> {
        marks.iter().zip(placements).map(|(&(point, width), &placement)| Cover::of(point, width, placement)).collect()
    }

    #[test]
    fn a_lone_label_stands_to_the_right() {
        let placements = place(&[((500, 500), 100)], &[], &[], &ACROSS, &DOWN);
        assert_eq!(placements, [Placement { offset: (GAP, 0), anchor: Anchor::Start }]);
    }

    #[test]
    fn labels_stay_inside() {
        let corners = [((5, 500), 100), ((995, 500), 100), ((500, 5), 100), ((500, 995), 100)];
        let placements = place(&corners, &[], &[], &ACROSS, &DOWN);
        assert!(covers(&corners, &placements).iter().all(|cover| cover.inside(&ACROSS, &DOWN)));
    }

    #[test]
    fn crowded_labels_do_not_meet() {
        let marks = [((500, 500), 120), ((520, 505), 120), ((480, 495), 120), ((510, 520), 120)];
        let covers = covers(&marks, &place(&marks, &[], &[], &ACROSS, &DOWN));
        for (i, cover) in covers.iter().enumerate() {
            assert!(covers[..i].iter().all(|other| !cover.meets(other)), "label {i}");
            assert!(marks.iter().all(|mark| !cover.contains(mark.0, 0)), "label {i}");
        }
    }

    #[test]
    fn lesser_points_are_avoided() {
        let others: Vec<_> = (0..10).map(|i| (530 + 8 * i, 500)).collect();
        let placements = place(&[((500, 500), 100)], &[], &others, &ACROSS, &DOWN);
        assert_eq!(placements[0].anchor, Anchor::End);
    }
}
