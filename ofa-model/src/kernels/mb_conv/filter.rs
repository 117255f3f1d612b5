//! Depthwise filters over planes of sixteen images. Which pixels meet which taps is worked out once for all channels.

use super::laned::{LANES, pixels, pixels_mut};
use crate::kernels::lanes::with_vectors;
use pulp::{Simd, WithSimd};

/// Sizes of a filter with odd kernel size, padded by half of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) kernel_size: usize,
    pub(super) stride: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Some pixels of a row and the taps summed for each: pixel `j` of a run is element `first + j * out_step` of the
/// output and sums `taps` at `source + j * step` of the padded input.
#[derive(Debug)]
struct Run {
    first: usize,
    count: usize,
    taps: Vec<Tap>,
}

#[derive(Clone, Copy, Debug)]
struct Tap {
    /// Offset in pixels into the padded input, for the first pixel of the run.
    source: usize,
    /// Index in the kernel.
    weight: usize,
}

/// A filter from a padded plane to a plane.
#[derive(Debug)]
pub(super) struct Plan {
    runs: Vec<Run>,
    /// Distance between consecutive pixels of a run in the input.
    step: usize,
    /// Distance between consecutive pixels of a run in the output.
    out_step: usize,
}

impl Shape {
    pub(super) fn out_height(&self) -> usize {
        self.height.div_ceil(self.stride)
    }

    pub(super) fn out_width(&self) -> usize {
        self.width.div_ceil(self.stride)
    }

    /// Columns of zeros on either side of a row.
    pub(super) fn border(&self) -> usize {
        self.kernel_size / 2
    }

    /// Pixels of a padded plane of the given size. There are no zero rows above and below: no tap meets them.
    fn padded(&self, height: usize, width: usize) -> usize {
        height * (width + 2 * self.border())
    }

    /// Number of elements in a padded group of inputs.
    pub(super) fn padded_input(&self) -> usize {
        self.padded(self.height, self.width) * LANES
    }

    /// Number of elements in a padded group of outputs.
    pub(super) fn padded_output(&self) -> usize {
        self.padded(self.out_height(), self.out_width()) * LANES
    }

    /// Plan of the convolution.
    pub(super) fn forward(&self) -> Plan {
        let (p, k) = (self.border(), self.kernel_size);
        let pitch = self.width + 2 * p;
        let runs = (0..self.out_height()).map(|y| {
            let rows = (0..k).filter(|row| (p..p + self.height).contains(&(y * self.stride + row)));
            let taps = rows.flat_map(|row| {
                let source = (y * self.stride + row - p) * pitch;
                (0..k).map(move |column| Tap { source: source + column, weight: row * k + column })
            });
            Run { first: y * self.out_width(), count: self.out_width(), taps: taps.collect() }
        });
        Plan { runs: runs.collect(), step: self.stride, out_step: 1 }
    }

    /// Plan from the output's gradient to the input's. A pixel sums over the taps that met it; at stride 2 these differ
    /// between even and odd rows and columns.
    pub(super) fn backward(&self) -> Plan {
        let (p, k, s) = (self.border(), self.kernel_size, self.stride);
        let pitch = self.out_width() + 2 * p;
        let mut runs = Vec::new();
        for y in 0..self.height {
            for first in 0..s.min(self.width) {
                let mut taps = Vec::new();
                for row in (0..k).filter(|row| (y + p) % s == row % s && y + p >= *row) {
                    let from = (y + p - row) / s;
                    for column in (0..k).filter(|column| (first + p) % s == column % s) {
                        // Left of the plane there are `p` columns of zeros.
                        let at = (first + p + p * s - column) / s;
                        if from < self.out_height() {
                            taps.push(Tap { source: from * pitch + at, weight: row * k + column });
                        }
                    }
                }
                runs.push(Run { first: y * self.width + first, count: (self.width - first).div_ceil(s), taps });
            }
        }
        Plan { runs, step: 1, out_step: s }
    }
}

/// `out = filter(source)` for a group of images of one channel.
pub(super) struct Filter<'a> {
    pub(super) plan: &'a Plan,
    /// A padded plane.
    pub(super) source: &'a [f32],
    pub(super) weights: &'a [f32],
    pub(super) out: &'a mut [f32],
}

/// Maximum number of pixels summed at once.
const MOST: usize = 8;

impl WithSimd for Filter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match self.plan.step {
            1 => with_vectors!(S, H => self.step_1::<S, H>(simd)),
            _ => with_vectors!(S, H => self.step_2::<S, H>(simd)),
        }
    }
}

impl Filter<'_> {
    #[inline(always)]
    fn step_1<S: Simd, const H: usize>(&mut self, simd: S) {
        self.run::<S, H, 1>(simd);
    }

    #[inline(always)]
    fn step_2<S: Simd, const H: usize>(&mut self, simd: S) {
        self.run::<S, H, 2>(simd);
    }

    #[inline(always)]
    fn run<S: Simd, const H: usize, const STEP: usize>(&mut self, simd: S) {
        let plan = self.plan;
        for run in &plan.runs {
            let parts = run.count.div_ceil(MOST);
            for part in 0..parts {
                let (from, to) = (run.count * part / parts, run.count * (part + 1) / parts);
                for half in 0..H {
                    match to - from {
                        1 => self.part::<S, H, STEP, 1>(simd, run, from, half),
                        2 => self.part::<S, H, STEP, 2>(simd, run, from, half),
                        3 => self.part::<S, H, STEP, 3>(simd, run, from, half),
                        4 => self.part::<S, H, STEP, 4>(simd, run, from, half),
                        5 => self.part::<S, H, STEP, 5>(simd, run, from, half),
                        6 => self.part::<S, H, STEP, 6>(simd, run, from, half),
                        7 => self.part::<S, H, STEP, 7>(simd, run, from, half),
                        _ => self.part::<S, H, STEP, MOST>(simd, run, from, half),
                    }
                }
            }
        }
    }

    /// Computes `N` pixels of a run, starting at `from`.
    #[inline(always)]
    fn part<S: Simd, const H: usize, const STEP: usize, const N: usize>(
        &mut self,
        simd: S,
        run: &Run,
        from: usize,
        half: usize,
    ) {
        let source = pixels::<S, H>(self.source);
        let mut sums = [simd.splat_f32s(0.0); N];
        for tap in &run.taps {
            let weight = simd.splat_f32s(self.weights[tap.weight]);
            let values = &source[tap.source + from * STEP..][..(N - 1) * STEP + 1];
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = simd.mul_add_e_f32s(values[j * STEP][half], weight, *sum);
            }
        }
        let (out, out_step) = (pixels_mut::<S, H>(self.out), self.plan.out_step);
        for (j, sum) in sums.into_iter().enumerate() {
            out[run.first + (from + j) * out_step][half] = sum;
        }
    }
}

/// `sums[tap][lane] += sum over pixels of gradient[pixel][lane] * source[pixel + tap][lane]` for a group of images.
pub(super) struct TapSums<'a> {
    /// Plan of the forward filter.
    pub(super) plan: &'a Plan,
    /// A padded plane.
    pub(super) source: &'a [f32],
    /// A padded plane of output gradients.
    pub(super) gradient: &'a [f32],
    pub(super) shape: Shape,
    pub(super) sums: &'a mut [f32],
}

impl WithSimd for TapSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        with_vectors!(S, H => self.run::<S, H>(simd));
    }
}

impl TapSums<'_> {
    #[inline(always)]
    fn run<S: Simd, const H: usize>(&mut self, simd: S) {
        let (border, width) = (self.shape.border(), self.shape.out_width());
        for (y, run) in self.plan.runs.iter().enumerate() {
            let gradient = y * (width + 2 * border) + border;
            // Taps in one row of the kernel: usually 3, 5 or 7 neighbours.
            for taps in run.taps.chunk_by(|a, b| a.source + 1 == b.source) {
                for half in 0..H {
                    match taps {
                        [_, _, _] => self.taps::<S, H, 3>(simd, taps, gradient, half),
                        [_, _, _, _, _] => self.taps::<S, H, 5>(simd, taps, gradient, half),
                        [_, _, _, _, _, _, _] => self.taps::<S, H, 7>(simd, taps, gradient, half),
                        _ => {
                            for tap in taps.chunks(1) {
                                self.taps::<S, H, 1>(simd, tap, gradient, half);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Adds `N` neighbouring taps over a row of outputs.
    #[inline(always)]
    fn taps<S: Simd, const H: usize, const N: usize>(&mut self, simd: S, taps: &[Tap], gradient: usize, half: usize) {
        let (step, width) = (self.plan.step, self.shape.out_width());
        let gradient = &pixels::<S, H>(self.gradient)[gradient..gradient + width];
        let source = &pixels::<S, H>(self.source)[taps[0].source..][..(width - 1) * step + N];
        let sums = &mut pixels_mut::<S, H>(self.sums)[taps[0].weight..][..N];
        let mut lanes: [S::f32s; N] = std::array::from_fn(|n| sums[n][half]);
        for (gradient, source) in gradient.iter().zip(source.windows(N).step_by(step)) {
            for (lanes, value) in lanes.iter_mut().zip(source) {
                *lanes = simd.mul_add_e_f32s(gradient[half], value[half], *lanes);
            }
        }
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            sum[half] = lanes;
        }
    }
}
