//! Batch norm in training on GPUs: one kernel each way where the numbers of a channel are few enough for a cube, else two.
//! Then the first computes sums of parts of every channel, and the second adds them up and computes the result. Forward
//! reads the input twice and writes once, backward reads input and gradient twice each and writes once.

use super::{Activation, NormBackend, general};
use crate::kernels::composed::{in_format, widened};
use crate::kernels::cube::{Division, empty, empty_like, is_ours, joined, place};
use burn::backend::cubecl::dtype_to_elem_type;
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::{DType, TensorMetadata};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, ir::ElemType, prelude::*};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

/// Formats and shapes of output, mean and variance, which fusion asks for before it runs the op.
pub(super) fn output_specs(
    input: &TensorSpec,
    gamma: &TensorSpec,
    _beta: &TensorSpec,
    _epsilon: &f64,
    _activation: &Activation,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let format = if matches!(input.dtype, DType::F16 | DType::BF16) { DType::F32 } else { input.dtype };
    let statistic = TensorSpec::new(gamma.shape.clone(), format);
    (input.clone(), statistic.clone(), statistic)
}

impl NormBackend for CubeBackend {
    fn norm_train(
        input: CubeTensor,
        gamma: CubeTensor,
        beta: CubeTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        if !is_ours(&input) {
            return general::norm_train::<Self>(input, gamma, beta, epsilon, activation);
        }
        let division = Division::of(&input, usize::MAX);
        let Division { each, parts, .. } = division;
        let (channels, format) = (input.shape()[1], dtype_to_elem_type(input.dtype));
        // By channel, whatever the order of the input: matrix products and means over pixels would copy it otherwise.
        let output = empty(&input, input.shape(), input.dtype);
        let [mean, variance] = [(); 2].map(|()| empty(&input, [channels], DType::F32));
        let client = input.client.clone();
        let (x, y) = (joined(input), joined(output.clone()));
        let plan = Plan::of(&division, activation, [&x, &y]);
        let [gamma, beta] = [gamma, beta].map(vector);
        if parts == 1 {
            batch_norm::launch(
                &client,
                division.cubes(),
                division.cube(),
                x.into_tensor_arg(),
                gamma.into_tensor_arg(),
                beta.into_tensor_arg(),
                y.into_tensor_arg(),
                mean.clone().into_tensor_arg(),
                variance.clone().into_tensor_arg(),
                epsilon as f32,
                plan,
                format,
            );
            return (output, mean, variance);
        }
        let moments = empty(&x, [2, parts, channels], DType::F32);
        batch_norm_moments::launch(
            &client,
            division.cubes(),
            division.cube(),
            x.clone().into_tensor_arg(),
            moments.clone().into_tensor_arg(),
            each as u32,
            plan,
            format,
        );
        batch_norm_output::launch(
            &client,
            division.cubes(),
            division.cube(),
            x.into_tensor_arg(),
            moments.into_tensor_arg(),
            gamma.into_tensor_arg(),
            beta.into_tensor_arg(),
            y.into_tensor_arg(),
            mean.clone().into_tensor_arg(),
            variance.clone().into_tensor_arg(),
            each as u32,
            epsilon as f32,
            plan,
            format,
        );
        (output, mean, variance)
    }

    fn norm_train_backward(
        input: CubeTensor,
        gamma: CubeTensor,
        beta: CubeTensor,
        mean: CubeTensor,
        variance: CubeTensor,
        output_gradient: CubeTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        if !is_ours(&input) || input.dtype != output_gradient.dtype {
            let (g, e, a) = (output_gradient, epsilon, activation);
            return general::norm_train_backward::<Self>(input, gamma, beta, mean, variance, g, e, a);
        }
        let division = Division::of(&input, usize::MAX);
        let Division { each, parts, .. } = division;
        let (channels, format) = (input.shape()[1], dtype_to_elem_type(input.dtype));
        let formats = [gamma.dtype, beta.dtype];
        // In the order of the input, in which the convolution before this computes.
        let of_input = empty_like(&input);
        let [of_gamma, of_beta] = [(); 2].map(|()| empty(&input, [channels], DType::F32));
        let client = input.client.clone();
        let [x, gradient, result] = [input, output_gradient, of_input.clone()].map(joined);
        let plan = Plan::of(&division, activation, [&x, &gradient, &result]);
        let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(vector);
        let gradients = |of_input| {
            let [of_gamma, of_beta] = [(of_gamma.clone(), formats[0]), (of_beta.clone(), formats[1])]
                .map(|(gradient, format)| in_format::<Self>(gradient, format));
            (of_input, of_gamma, of_beta)
        };
        if parts == 1 {
            batch_norm_gradient::launch(
                &client,
                division.cubes(),
                division.cube(),
                x.into_tensor_arg(),
                gradient.into_tensor_arg(),
                gamma.into_tensor_arg(),
                beta.into_tensor_arg(),
                mean.into_tensor_arg(),
                variance.into_tensor_arg(),
                result.into_tensor_arg(),
                of_gamma.clone().into_tensor_arg(),
                of_beta.clone().into_tensor_arg(),
                epsilon as f32,
                plan,
                format,
            );
            return gradients(of_input);
        }
        let sums = empty(&x, [2, parts, channels], DType::F32);
        batch_norm_gradient_sums::launch(
            &client,
            division.cubes(),
            division.cube(),
            x.clone().into_tensor_arg(),
            gradient.clone().into_tensor_arg(),
            gamma.clone().into_tensor_arg(),
            beta.clone().into_tensor_arg(),
            mean.clone().into_tensor_arg(),
            variance.clone().into_tensor_arg(),
            sums.clone().into_tensor_arg(),
            each as u32,
            epsilon as f32,
            plan,
            format,
        );
        batch_norm_input_gradient::launch(
            &client,
            division.cubes(),
            division.cube(),
            x.into_tensor_arg(),
            gradient.into_tensor_arg(),
            gamma.into_tensor_arg(),
            beta.into_tensor_arg(),
            mean.into_tensor_arg(),
            variance.into_tensor_arg(),
            sums.into_tensor_arg(),
            result.into_tensor_arg(),
            of_gamma.clone().into_tensor_arg(),
            of_beta.clone().into_tensor_arg(),
            each as u32,
            epsilon as f32,
            plan,
            format,
        );
        gradients(of_input)
    }
}

/// What is compiled into a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Plan {
    activation: Activation,
    lanes: usize,
    units: usize,
    /// Whether some images have gaps between their rows, see [`place`].
    in_rows: bool,
}

impl Plan {
    fn of<const N: usize>(division: &Division, activation: Activation, images: [&CubeTensor; N]) -> Self {
        let Division { lanes, units, .. } = *division;
        Self { activation, lanes, units, in_rows: images.iter().any(|tensor| tensor.shape()[2] > 1) }
    }
}

/// `[channels]` as kernels read it.
fn vector(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(widened::<CubeBackend>(tensor))
}

/// A channel in one cube: output, mean and variance.
#[cube(launch)]
fn batch_norm<F: Float>(
    x: &Tensor<F>,
    gamma: &Tensor<f32>,
    beta: &Tensor<f32>,
    y: &mut Tensor<F>,
    mean: &mut Tensor<f32>,
    variance: &mut Tensor<f32>,
    epsilon: f32,
    #[comptime] plan: Plan,
    #[define(F)] _format: ElemType,
) {
    let channel = ABSOLUTE_POS_X as usize;
    let numbers = x.shape(0) * x.shape(2) * x.shape(3);
    let (centre, squares) = part_moments(x, channel, 0usize, numbers, plan);
    if channel < x.shape(1) {
        let spread = squares / f32::cast_from(numbers);
        if UNIT_POS_Y == 0 {
            mean[channel] = centre;
            variance[channel] = spread;
        }
        let scale = gamma[channel] / (spread + epsilon).sqrt();
        write_output(x, y, channel, 0usize, numbers, centre, scale, beta[channel], plan);
    }
}

/// Mean, and sum of squared differences from it, of a part of a channel: `[2, parts, channels]`.
#[cube(launch)]
fn batch_norm_moments<F: Float>(
    x: &Tensor<F>,
    moments: &mut Tensor<f32>,
    each: u32,
    #[comptime] plan: Plan,
    #[define(F)] _format: ElemType,
) {
    let channel = ABSOLUTE_POS_X as usize;
    let start = CUBE_POS_Y as usize * each as usize;
    let end = (start + each as usize).min(x.shape(0) * x.shape(2) * x.shape(3));
    let (mean, squares) = part_moments(x, channel, start, end, plan);
    if UNIT_POS_Y == 0 && channel < x.shape(1) {
        let part = CUBE_POS_Y as usize * x.shape(1) + channel;
        let second = moments.stride(0) + part;
        moments[part] = mean;
        moments[second] = squares;
    }
}

/// Output, mean and variance from the moments of the parts.
#[cube(launch)]
fn batch_norm_output<F: Float>(
    x: &Tensor<F>,
    moments: &Tensor<f32>,
    gamma: &Tensor<f32>,
    beta: &Tensor<f32>,
    y: &mut Tensor<F>,
    mean: &mut Tensor<f32>,
    variance: &mut Tensor<f32>,
    each: u32,
    epsilon: f32,
    #[comptime] plan: Plan,
    #[define(F)] _format: ElemType,
) {
    let (channel, each) = (ABSOLUTE_POS_X as usize, each as usize);
    if channel >= x.shape(1) {
        terminate!();
    }
    let numbers = x.shape(0) * x.shape(2) * x.shape(3);
    let mut centre = 0.0f32;
    for part in 0..moments.shape(1) {
        let count = each.min(numbers - part * each);
        centre += moments[part * x.shape(1) + channel] * f32::cast_from(count);
    }
    centre /= f32::cast_from(numbers);
    let mut squares = 0.0f32;
    for part in 0..moments.shape(1) {
        let count = each.min(numbers - part * each);
        let apart = moments[part * x.shape(1) + channel] - centre;
        squares += moments[moments.stride(0) + part * x.shape(1) + channel] + apart * apart * f32::cast_from(count);
    }
    let spread = squares / f32::cast_from(numbers);
    if ABSOLUTE_POS_Y == 0 {
        mean[channel] = centre;
        variance[channel] = spread;
    }
    let scale = gamma[channel] / (spread + epsilon).sqrt();
    let start = CUBE_POS_Y as usize * each;
    let end = (start + each).min(numbers);
    write_output(x, y, channel, start, end, centre, scale, beta[channel], plan);
}

/// Mean of the numbers of a channel from `start` to `end`, and sum of squared differences from it.
///
/// Every unit subtracts its first number from its others, and results are merged as Chan, Golub and LeVeque (1983) do, so
/// no sum of squares cancels.
#[cube]
fn part_moments<F: Float>(
    x: &Tensor<F>,
    channel: usize,
    start: usize,
    end: usize,
    #[comptime] plan: Plan,
) -> (f32, f32) {
    let (lane, unit) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let mut count = 0.0f32;
    let mut mean = 0.0f32;
    let mut squares = 0.0f32;
    let mut i = start + unit;
    if channel < x.shape(1) && i < end {
        let origin = f32::cast_from(x[place(x, channel, i, plan.in_rows)]);
        let mut sum = 0.0f32;
        while i < end {
            let difference = f32::cast_from(x[place(x, channel, i, plan.in_rows)]) - origin;
            sum += difference;
            squares += difference * difference;
            count += 1.0f32;
            i += plan.units;
        }
        mean = origin + sum / count;
        squares -= sum * sum / count;
    }
    let mut counts = Shared::<[f32]>::new_slice(comptime!(plan.lanes * plan.units));
    let mut means = Shared::<[f32]>::new_slice(comptime!(plan.lanes * plan.units));
    let mut all_squares = Shared::<[f32]>::new_slice(comptime!(plan.lanes * plan.units));
    let slot = unit * plan.lanes + lane;
    counts[slot] = count;
    means[slot] = mean;
    all_squares[slot] = squares;
    sync_cube();
    let mut half = plan.units.runtime() / 2;
    while half > 0 {
        if unit < half {
            let other = slot + half * plan.lanes;
            if counts[other] > 0.0f32 {
                let together = counts[slot] + counts[other];
                let share = counts[other] / together;
                let apart = means[other] - means[slot];
                let more = all_squares[other] + apart * apart * counts[slot] * share;
                means[slot] += apart * share;
                all_squares[slot] += more;
                counts[slot] = together;
            }
        }
        sync_cube();
        half /= 2;
    }
    (means[lane], all_squares[lane])
}

/// Normalises the numbers of a channel from `start` to `end`, shared out among the units of the cube.
#[cube]
fn write_output<F: Float>(
    x: &Tensor<F>,
    y: &mut Tensor<F>,
    channel: usize,
    start: usize,
    end: usize,
    centre: f32,
    scale: f32,
    shift: f32,
    #[comptime] plan: Plan,
) {
    let mut i = start + UNIT_POS_Y as usize;
    while i < end {
        let pre = (f32::cast_from(x[place(x, channel, i, plan.in_rows)]) - centre) * scale + shift;
        let to = place(&*y, channel, i, plan.in_rows);
        y[to] = F::cast_from(activated(pre, plan.activation));
        i += CUBE_DIM_Y as usize;
    }
}

/// What the backward pass reads of a channel.
#[derive(CubeType)]
struct Channel {
    index: usize,
    centre: f32,
    inverse: f32,
    scale: f32,
    shift: f32,
}

#[cube]
impl Channel {
    fn read(
        index: usize,
        gamma: &Tensor<f32>,
        beta: &Tensor<f32>,
        mean: &Tensor<f32>,
        variance: &Tensor<f32>,
        epsilon: f32,
    ) -> Channel {
        // Lanes behind the last channel read that one.
        let at = index.min(gamma.shape(0) - 1);
        let inverse = 1.0f32 / (variance[at] + epsilon).sqrt();
        Channel { index, centre: mean[at], inverse, scale: gamma[at], shift: beta[at] }
    }
}

/// A channel in one cube: gradients of input, gamma and beta.
#[cube(launch)]
fn batch_norm_gradient<F: Float>(
    x: &Tensor<F>,
    gradient: &Tensor<F>,
    gamma: &Tensor<f32>,
    beta: &Tensor<f32>,
    mean: &Tensor<f32>,
    variance: &Tensor<f32>,
    of_input: &mut Tensor<F>,
    of_gamma: &mut Tensor<f32>,
    of_beta: &mut Tensor<f32>,
    epsilon: f32,
    #[comptime] plan: Plan,
    #[define(F)] _format: ElemType,
) {
    let channel = Channel::read(ABSOLUTE_POS_X as usize, gamma, beta, mean, variance, epsilon);
    let numbers = x.shape(0) * x.shape(2) * x.shape(3);
    let (plain, product) = part_sums(x, gradient, &channel, 0usize, numbers, plan);
    if channel.index < x.shape(1) {
        if UNIT_POS_Y == 0 {
            of_gamma[channel.index] = product;
            of_beta[channel.index] = plain;
        }
        write_gradient(x, gradient, of_input, &channel, 0usize, numbers, plain, product, plan);
    }
}

/// Sums of the gradient before the activation and of its product with the normalised input, of a part of a channel: `[2,
/// parts, channels]`.
#[cube(launch)]
fn batch_norm_gradient_sums<F: Float>(
    x: &Tensor<F>,
    gradient: &Tensor<F>,
    gamma: &Tensor<f32>,
    beta: &Tensor<f32>,
    mean: &Tensor<f32>,
    variance: &Tensor<f32>,
    sums: &mut Tensor<f32>,
    each: u32,
    epsilon: f32,
    #[comptime] plan: Plan,
    #[define(F)] _format: ElemType,
) {
    let channel = Channel::read(ABSOLUTE_POS_X as usize, gamma, beta, mean, variance, epsilon);
    let start = CUBE_POS_Y as usize * each as usize;
    let end = (start + each as usize).min(x.shape(0) * x.shape(2) * x.shape(3));
    let (plain, product) = part_sums(x, gradient, &channel, start, end, plan);
    if UNIT_POS_Y == 0 && channel.index < x.shape(1) {
        let part = CUBE_POS_Y as usize * x.shape(1) + channel.index;
        let second = sums.stride(0) + part;
        sums[part] = plain;
        sums[second] = product;
    }
}

/// Gradients of input, gamma and beta from the sums of the parts.
#[cube(launch)]
fn batch_norm_input_gradient<F: Float>(
    x: &Tensor<F>,
    gradient: &Tensor<F>,
    gamma: &Tensor<f32>,
    beta: &Tensor<f32>,
    mean: &Tensor<f32>,
    variance: &Tensor<f32>,
    sums: &Tensor<f32>,
    of_input: &mut Tensor<F>,
    of_gamma: &mut Tensor<f32>,
    of_beta: &mut Tensor<f32>,
    each: u32,
    epsilon: f32,
    #[comptime] plan: Plan,
    #[define(F)] _format: ElemType,
) {
    let channel = Channel::read(ABSOLUTE_POS_X as usize, gamma, beta, mean, variance, epsilon);
    if channel.index >= x.shape(1) {
        terminate!();
    }
    let mut plain = 0.0f32;
    let mut product = 0.0f32;
    for part in 0..sums.shape(1) {
        plain += sums[part * x.shape(1) + channel.index];
        product += sums[sums.stride(0) + part * x.shape(1) + channel.index];
    }
    if ABSOLUTE_POS_Y == 0 {
        of_gamma[channel.index] = product;
        of_beta[channel.index] = plain;
    }
    let start = CUBE_POS_Y as usize * each as usize;
    let end = (start + each as usize).min(x.shape(0) * x.shape(2) * x.shape(3));
    write_gradient(x, gradient, of_input, &channel, start, end, plain, product, plan);
}

/// Sums over the numbers of a channel from `start` to `end`: of the gradient before the activation, and of its product
/// with the normalised input.
#[cube]
fn part_sums<F: Float>(
    x: &Tensor<F>,
    gradient: &Tensor<F>,
    channel: &Channel,
    start: usize,
    end: usize,
    #[comptime] plan: Plan,
) -> (f32, f32) {
    let (lane, unit) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let mut plain = 0.0f32;
    let mut product = 0.0f32;
    if channel.index < x.shape(1) {
        let mut i = start + unit;
        while i < end {
            let x = f32::cast_from(x[place(x, channel.index, i, plan.in_rows)]);
            let normalised = (x - channel.centre) * channel.inverse;
            let slope = slope(normalised * channel.scale + channel.shift, plan.activation);
            let g = f32::cast_from(gradient[place(gradient, channel.index, i, plan.in_rows)]) * slope;
            plain += g;
            product += g * normalised;
            i += plan.units;
        }
    }
    let mut plains = Shared::<[f32]>::new_slice(comptime!(plan.lanes * plan.units));
    let mut products = Shared::<[f32]>::new_slice(comptime!(plan.lanes * plan.units));
    let slot = unit * plan.lanes + lane;
    plains[slot] = plain;
    products[slot] = product;
    sync_cube();
    let mut half = plan.units.runtime() / 2;
    while half > 0 {
        if unit < half {
            let (plain, product) = (plains[slot + half * plan.lanes], products[slot + half * plan.lanes]);
            plains[slot] += plain;
            products[slot] += product;
        }
        sync_cube();
        half /= 2;
    }
    (plains[lane], products[lane])
}

/// Gradient of the input for the numbers of a channel from `start` to `end`, shared out among the units of the cube.
#[cube]
fn write_gradient<F: Float>(
    x: &Tensor<F>,
    gradient: &Tensor<F>,
    of_input: &mut Tensor<F>,
    channel: &Channel,
    start: usize,
    end: usize,
    plain: f32,
    product: f32,
    #[comptime] plan: Plan,
) {
    let numbers = f32::cast_from(x.shape(0) * x.shape(2) * x.shape(3));
    let (plain, product) = (plain / numbers, product / numbers);
    let mut i = start + UNIT_POS_Y as usize;
    while i < end {
        let x = f32::cast_from(x[place(x, channel.index, i, plan.in_rows)]);
        let normalised = (x - channel.centre) * channel.inverse;
        let slope = slope(normalised * channel.scale + channel.shift, plan.activation);
        let g = f32::cast_from(gradient[place(gradient, channel.index, i, plan.in_rows)]) * slope;
        let to = place(&*of_input, channel.index, i, plan.in_rows);
        of_input[to] = F::cast_from((g - plain - normalised * product) * channel.scale * channel.inverse);
        i += CUBE_DIM_Y as usize;
    }
}

#[cube]
fn activated(x: f32, #[comptime] activation: Activation) -> f32 {
    if comptime!(activation == Activation::Relu) {
        x.max(0.0f32)
    } else if comptime!(activation == Activation::Relu6) {
        x.clamp(0.0f32, 6.0f32)
    } else if comptime!(activation == Activation::HardSwish) {
        x * (x + 3.0f32).clamp(0.0f32, 6.0f32) / 6.0f32
    } else {
        x
    }
}

/// The slope of the activation; that of its left side where it has a kink.
#[cube]
fn slope(x: f32, #[comptime] activation: Activation) -> f32 {
    if comptime!(activation == Activation::Relu) {
        select(x > 0.0f32, 1.0f32, 0.0f32)
    } else if comptime!(activation == Activation::Relu6) {
        select(x > 0.0f32 && x < 6.0f32, 1.0f32, 0.0f32)
    } else if comptime!(activation == Activation::HardSwish) {
        let within = select(x < 3.0f32, x / 3.0f32 + 0.5f32, 1.0f32);
        select(x > -3.0f32, within, 0.0f32)
    } else {
        1.0f32.runtime()
    }
}
