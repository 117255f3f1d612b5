//! The passes of batch norm over one channel of sixteen images side by side.

use super::laned::{LANES, Laned, pixel, pixels, pixels_mut, sum};
use crate::kernels::activation::Lanes;
use crate::kernels::lanes::with_vectors;
use pulp::{Arch, Simd, WithSimd};
use std::marker::PhantomData;

/// Batch norm of one channel by the statistics of the batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Norm {
    pub(super) mean: f32,
    pub(super) variance: f32,
    gamma: f32,
    inverse_deviation: f32,
    pub(super) scale: f32,
    pub(super) shift: f32,
}

impl Norm {
    /// Computes the norm from the values of a channel.
    pub(super) fn of(numbers: &[f32], laned: Laned, [gamma, beta]: [f32; 2], epsilon: f64) -> Self {
        // Values are shifted by one of them, so sums of squares do not cancel.
        let origin = numbers[0];
        let mut lanes = [[0.0; LANES]; 2];
        for group in 0..laned.groups() {
            let (numbers, mask) = (&numbers[laned.group(group)], laned.mask(group));
            Arch::new().dispatch(Moments { numbers, origin, mask: &mask, lanes: &mut lanes });
        }
        let [total, squares] = lanes.map(|lanes| f64::from(sum(&lanes)) / laned.count());
        let variance = (squares - total * total).max(0.0) as f32;
        let mean = (total + f64::from(origin)) as f32;
        let inverse_deviation = 1.0 / (f64::from(variance) + epsilon).sqrt();
        let scale = (f64::from(gamma) * inverse_deviation) as f32;
        let (inverse_deviation, shift) = (inverse_deviation as f32, beta - mean * scale);
        Self { mean, variance, gamma, inverse_deviation, scale, shift }
    }

    /// `activation(norm(numbers))`, times the lane's gate if there is one.
    pub(super) fn apply<A: Lanes>(&self, numbers: &[f32], gate: Option<&[f32; LANES]>, out: &mut [f32]) {
        let (norm, activation) = (self, PhantomData::<A>);
        let length = numbers.len();
        Arch::new().dispatch(Apply { norm, numbers, row: length, gate, out, pitch: length, activation });
    }

    /// `activation(norm(numbers))`; each row of `row` values goes to the start of `pitch` values in `out`.
    pub(super) fn apply_by_rows<A: Lanes>(&self, numbers: &[f32], row: usize, out: &mut [f32], pitch: usize) {
        let (norm, gate, activation) = (self, None, PhantomData::<A>);
        Arch::new().dispatch(Apply { norm, numbers, row, gate, out, pitch, activation });
    }

    /// Adds `activation(norm(numbers))`, times `weights` if given, to each lane.
    pub(super) fn add<A: Lanes>(&self, numbers: &[f32], weights: Option<&[f32]>, lanes: &mut [f32; LANES]) {
        let (norm, activation) = (self, PhantomData::<A>);
        Arch::new().dispatch(Sums { norm, numbers, weights, lanes, activation });
    }

    /// Turns the gradient after the activation into the gradient before it. Returns its sum and the sum of its product
    /// with the normalised values.
    pub(super) fn slopes<A: Lanes>(
        &self,
        numbers: &[f32],
        gradient: &mut [f32],
        laned: Laned,
        gates: Option<Gates>,
    ) -> [f64; 2] {
        let mut lanes = [[0.0; LANES]; 2];
        for group in 0..laned.groups() {
            let (numbers, gradient) = (&numbers[laned.group(group)], &mut gradient[laned.group(group)]);
            let gate = gates.map(|gates| gates.of(group));
            let activation = PhantomData::<A>;
            Arch::new().dispatch(Slopes { norm: self, numbers, gradient, gate, lanes: &mut lanes, activation });
        }
        lanes.map(|lanes| f64::from(sum(&lanes)))
    }

    /// Turns the gradient after the activation into the gradient of `numbers`. Returns the sums of
    /// [`slopes`](Self::slopes).
    pub(super) fn backward<A: Lanes>(&self, numbers: &[f32], gradient: &mut [f32], laned: Laned) -> [f64; 2] {
        let sums = self.slopes::<A>(numbers, gradient, laned, None);
        for group in 0..laned.groups() {
            let at = laned.group(group);
            self.input_gradient(&numbers[at.clone()], &mut gradient[at], laned, group, sums);
        }
        sums
    }

    /// Turns a group's gradient before the activation into the gradient of `numbers`; `sums` come from
    /// [`slopes`](Self::slopes).
    pub(super) fn input_gradient(
        &self,
        numbers: &[f32],
        gradient: &mut [f32],
        laned: Laned,
        group: usize,
        sums: [f64; 2],
    ) {
        let (means, mask) = (sums.map(|sum| (sum / laned.count()) as f32), laned.mask(group));
        Arch::new().dispatch(InputGradient { norm: self, means, mask: &mask, numbers, gradient });
    }
}

// Vectors must not pass through closures: closures do not inherit the enabled CPU features and are not inlined.

impl Norm {
    /// Scale and shift in all lanes.
    #[inline(always)]
    fn affine<S: Simd>(&self, simd: S) -> [S::f32s; 2] {
        [simd.splat_f32s(self.scale), simd.splat_f32s(self.shift)]
    }
}

/// The activation of the number after a norm with this scale and shift.
#[inline(always)]
fn value<S: Simd, A: Lanes>(simd: S, [scale, shift]: [S::f32s; 2], number: S::f32s) -> S::f32s {
    A::value(simd, simd.mul_add_e_f32s(number, scale, shift))
}

/// Gate and shift of the images of one channel, `[groups * LANES]` each.
#[derive(Clone, Copy)]
pub(super) struct Gates<'a> {
    pub(super) value: &'a [f32],
    pub(super) shift: &'a [f32],
}

impl<'a> Gates<'a> {
    /// Selects one channel from the gates of all channels.
    pub(super) fn of_channel(self, channel: usize, groups: usize) -> Self {
        let at = channel * groups * LANES..(channel + 1) * groups * LANES;
        Self { value: &self.value[at.clone()], shift: &self.shift[at] }
    }

    fn of(self, group: usize) -> [&'a [f32; LANES]; 2] {
        [self.value, self.shift].map(|lanes| &lanes.as_chunks::<LANES>().0[group])
    }
}

/// Sums of `numbers - origin` and of its square for a group of images, lane by lane.
struct Moments<'a> {
    numbers: &'a [f32],
    origin: f32,
    mask: &'a [f32; LANES],
    lanes: &'a mut [[f32; LANES]; 2],
}

impl WithSimd for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        with_vectors!(S, H => self.run::<S, H>(simd));
    }
}

impl Moments<'_> {
    #[inline(always)]
    fn run<S: Simd, const H: usize>(&mut self, simd: S) {
        let origin = simd.splat_f32s(self.origin);
        // Separate sums for neighbouring pixels, so that additions do not wait for each other.
        let mut sums = [[[simd.splat_f32s(0.0); H]; 2]; 4];
        let (fours, rest) = pixels::<S, H>(self.numbers).as_chunks::<4>();
        for four in fours {
            for (sums, pixel) in sums.iter_mut().zip(four) {
                add_powers(simd, sums, pixel, origin);
            }
        }
        for pixel in rest {
            add_powers(simd, &mut sums[0], pixel, origin);
        }
        let mask = pixel::<S, H>(self.mask);
        for (power, lanes) in self.lanes.iter_mut().enumerate() {
            for (half, lanes) in pixels_mut::<S, H>(lanes)[0].iter_mut().enumerate() {
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| sums[i][power][half]);
                let total = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
                *lanes = simd.mul_add_e_f32s(total, mask[half], *lanes);
            }
        }
    }
}

#[inline(always)]
fn add_powers<S: Simd, const H: usize>(
    simd: S,
    [sums, squares]: &mut [[S::f32s; H]; 2],
    pixel: &[S::f32s; H],
    origin: S::f32s,
) {
    for half in 0..H {
        let value = simd.sub_f32s(pixel[half], origin);
        sums[half] = simd.add_f32s(sums[half], value);
        squares[half] = simd.mul_add_e_f32s(value, value, squares[half]);
    }
}

/// `out = activation(norm(numbers)) * gate`
struct Apply<'a, A> {
    norm: &'a Norm,
    numbers: &'a [f32],
    /// Number of elements in a row.
    row: usize,
    gate: Option<&'a [f32; LANES]>,
    out: &'a mut [f32],
    /// Distance from one row to the next in the output.
    pitch: usize,
    activation: PhantomData<A>,
}

impl<A: Lanes> WithSimd for Apply<'_, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        with_vectors!(S, H => self.run::<S, H>(simd));
    }
}

impl<A: Lanes> Apply<'_, A> {
    #[inline(always)]
    fn run<S: Simd, const H: usize>(&mut self, simd: S) {
        for (numbers, out) in self.numbers.chunks_exact(self.row).zip(self.out.chunks_mut(self.pitch)) {
            Self::one_row::<S, H>(simd, self.norm, self.gate, numbers, out);
        }
    }

    #[inline(always)]
    fn one_row<S: Simd, const H: usize>(
        simd: S,
        norm: &Norm,
        gate: Option<&[f32; LANES]>,
        numbers: &[f32],
        out: &mut [f32],
    ) {
        let affine = norm.affine(simd);
        let both = pixels_mut::<S, H>(out).iter_mut().zip(pixels::<S, H>(numbers));
        let Some(gate) = gate else {
            for (out, number) in both {
                for half in 0..H {
                    out[half] = value::<S, A>(simd, affine, number[half]);
                }
            }
            return;
        };
        let gate = pixel::<S, H>(gate);
        for (out, number) in both {
            for half in 0..H {
                out[half] = simd.mul_f32s(value::<S, A>(simd, affine, number[half]), gate[half]);
            }
        }
    }
}

/// `lanes += sum over pixels of activation(norm(numbers)) * weights`
struct Sums<'a, A> {
    norm: &'a Norm,
    numbers: &'a [f32],
    weights: Option<&'a [f32]>,
    lanes: &'a mut [f32; LANES],
    activation: PhantomData<A>,
}

impl<A: Lanes> WithSimd for Sums<'_, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        with_vectors!(S, H => self.run::<S, H>(simd));
    }
}

impl<A: Lanes> Sums<'_, A> {
    #[inline(always)]
    fn run<S: Simd, const H: usize>(&mut self, simd: S) {
        let affine = self.norm.affine(simd);
        let numbers = pixels::<S, H>(self.numbers);
        let mut sums = [[simd.splat_f32s(0.0); H]; 2];
        match self.weights {
            None => {
                for (i, number) in numbers.iter().enumerate() {
                    for (sum, number) in sums[i % 2].iter_mut().zip(number) {
                        *sum = simd.add_f32s(*sum, value::<S, A>(simd, affine, *number));
                    }
                }
            }
            Some(weights) => {
                for (i, (number, weight)) in numbers.iter().zip(pixels::<S, H>(weights)).enumerate() {
                    for ((sum, number), weight) in sums[i % 2].iter_mut().zip(number).zip(weight) {
                        *sum = simd.mul_add_e_f32s(value::<S, A>(simd, affine, *number), *weight, *sum);
                    }
                }
            }
        }
        for (half, lanes) in pixels_mut::<S, H>(self.lanes)[0].iter_mut().enumerate() {
            *lanes = simd.add_f32s(*lanes, simd.add_f32s(sums[0][half], sums[1][half]));
        }
    }
}

/// `gradient = (gradient * gate + shift) * slope(norm(numbers))`, and sums of it and of its product with the normalised
/// values.
struct Slopes<'a, A> {
    norm: &'a Norm,
    numbers: &'a [f32],
    gradient: &'a mut [f32],
    gate: Option<[&'a [f32; LANES]; 2]>,
    lanes: &'a mut [[f32; LANES]; 2],
    activation: PhantomData<A>,
}

impl<A: Lanes> WithSimd for Slopes<'_, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        with_vectors!(S, H => self.run::<S, H>(simd));
    }
}

impl<A: Lanes> Slopes<'_, A> {
    #[inline(always)]
    fn run<S: Simd, const H: usize>(&mut self, simd: S) {
        let gate = self.gate.map(|[value, shift]| [pixel::<S, H>(value), pixel::<S, H>(shift)]);
        let norm = self.norm;
        let [scale, shift] = norm.affine(simd);
        let (mean, inverse) = (simd.splat_f32s(norm.mean), simd.splat_f32s(norm.inverse_deviation));
        let mut sums = [[[simd.splat_f32s(0.0); H]; 2]; 2];
        let both = pixels::<S, H>(self.numbers).iter().zip(pixels_mut::<S, H>(self.gradient));
        for (i, (number, gradient)) in both.enumerate() {
            let [total, along] = &mut sums[i % 2];
            for half in 0..H {
                let mut g = gradient[half];
                if let Some([gate, shift]) = gate {
                    g = simd.mul_add_e_f32s(g, gate[half], shift[half]);
                }
                let pre = simd.mul_add_e_f32s(number[half], scale, shift);
                g = simd.mul_f32s(g, A::slope(simd, pre));
                gradient[half] = g;
                let normalised = simd.mul_f32s(simd.sub_f32s(number[half], mean), inverse);
                total[half] = simd.add_f32s(total[half], g);
                along[half] = simd.mul_add_e_f32s(g, normalised, along[half]);
            }
        }
        for (which, lanes) in self.lanes.iter_mut().enumerate() {
            for (half, lanes) in pixels_mut::<S, H>(lanes)[0].iter_mut().enumerate() {
                let total = simd.add_f32s(sums[0][which][half], sums[1][which][half]);
                *lanes = simd.add_f32s(*lanes, total);
            }
        }
    }
}

/// `gradient = mask * gamma / deviation * (gradient - mean of gradients - normalised * mean of products)`
struct InputGradient<'a> {
    norm: &'a Norm,
    means: [f32; 2],
    mask: &'a [f32; LANES],
    numbers: &'a [f32],
    gradient: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        with_vectors!(S, H => self.run::<S, H>(simd));
    }
}

impl InputGradient<'_> {
    #[inline(always)]
    fn run<S: Simd, const H: usize>(&mut self, simd: S) {
        let (norm, means) = (self.norm, self.means);
        let (mean, inverse) = (simd.splat_f32s(norm.mean), simd.splat_f32s(norm.inverse_deviation));
        let (first, second) = (simd.splat_f32s(means[0]), simd.splat_f32s(means[1]));
        let factor = simd.splat_f32s(norm.gamma * norm.inverse_deviation);
        let mut factors = pixel::<S, H>(self.mask);
        for lanes in &mut factors {
            *lanes = simd.mul_f32s(*lanes, factor);
        }
        for (gradient, number) in pixels_mut::<S, H>(self.gradient).iter_mut().zip(pixels::<S, H>(self.numbers)) {
            for half in 0..H {
                let normalised = simd.mul_f32s(simd.sub_f32s(number[half], mean), inverse);
                let centred = simd.sub_f32s(gradient[half], first);
                let along = simd.mul_f32s(normalised, second);
                gradient[half] = simd.mul_f32s(factors[half], simd.sub_f32s(centred, along));
            }
        }
    }
}
