//! An LSTM that chooses step by step, in `f64` with its gradient: small enough to need no tensors, and with the same
//! bits everywhere.

use super::distribution::softmax;
use rand::{Rng, RngExt};

/// Sizes of an LSTM (Hochreiter and Schmidhuber, 1997) with one layer: what it reads is its last choice, what it writes
/// are the probabilities of the next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lstm {
    hidden: usize,
    /// Number of choices at each step.
    sizes: Vec<usize>,
}

/// A pass over all steps.
pub(super) struct Rollout {
    pub(super) choices: Vec<usize>,
    /// Probabilities at each step.
    pub(super) probabilities: Vec<Vec<f64>>,
    steps: Vec<Step>,
}

/// What the gradient of a step needs.
struct Step {
    /// Row of the embedding that was read.
    row: usize,
    /// Input gate, forget gate, candidate and output gate, after their nonlinearities.
    gates: Vec<f64>,
    /// Hidden values before the step.
    before: Vec<f64>,
    /// Cell before and after the step.
    cells: [Vec<f64>; 2],
    /// Hidden values after the step.
    after: Vec<f64>,
}

/// Where the parameters lie in their vector.
struct Layout {
    /// `[4 * hidden, 2 * hidden]`: of the input, then of the hidden values.
    recurrent: usize,
    /// `[4 * hidden]`
    bias: usize,
    /// `[choices, hidden]`, the weights of the probabilities, steps one after another.
    heads: usize,
    /// `[choices]`
    head_bias: usize,
    length: usize,
}

impl Lstm {
    pub(super) fn new(hidden: usize, sizes: Vec<usize>) -> Self {
        Self { hidden, sizes }
    }

    fn choices(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// The embeddings come first: one row per choice, and one for the beginning.
    fn layout(&self) -> Layout {
        let hidden = self.hidden;
        let recurrent = (self.choices() + 1) * hidden;
        let bias = recurrent + 8 * hidden * hidden;
        let heads = bias + 4 * hidden;
        let head_bias = heads + self.choices() * hidden;
        Layout { recurrent, bias, heads, head_bias, length: head_bias + self.choices() }
    }

    /// Initial parameters: uniform between -0.1 and 0.1, the heads 0, so that every choice is equally probable.
    pub(super) fn init(&self, rng: &mut dyn Rng) -> Vec<f64> {
        let Layout { heads, length, .. } = self.layout();
        let mut parameters: Vec<f64> = (0..heads).map(|_| rng.random_range(-0.1..0.1)).collect();
        parameters.resize(length, 0.0);
        parameters
    }

    /// Runs all steps; `choose` gets the step and its probabilities.
    pub(super) fn run(&self, parameters: &[f64], mut choose: impl FnMut(usize, &[f64]) -> usize) -> Rollout {
        let (hidden, layout) = (self.hidden, self.layout());
        let mut rollout = Rollout { choices: Vec::new(), probabilities: Vec::new(), steps: Vec::new() };
        let (mut state, mut cell) = (vec![0.0; hidden], vec![0.0; hidden]);
        let (mut row, mut first) = (self.choices(), 0);
        for (t, &size) in self.sizes.iter().enumerate() {
            let input = &parameters[row * hidden..][..hidden];
            let gate = |g: usize| {
                let weights = &parameters[layout.recurrent + g * 2 * hidden..][..2 * hidden];
                let sum =
                    dot(&weights[..hidden], input) + dot(&weights[hidden..], &state) + parameters[layout.bias + g];
                if g / hidden == 2 { libm::tanh(sum) } else { sigmoid(sum) }
            };
            let gates: Vec<f64> = (0..4 * hidden).map(gate).collect();
            let of = |i: usize| gates[hidden + i] * cell[i] + gates[i] * gates[2 * hidden + i];
            let next: Vec<f64> = (0..hidden).map(of).collect();
            let after: Vec<f64> = (0..hidden).map(|i| gates[3 * hidden + i] * libm::tanh(next[i])).collect();
            let logit = |choice: usize| {
                let weights = &parameters[layout.heads + (first + choice) * hidden..][..hidden];
                dot(weights, &after) + parameters[layout.head_bias + first + choice]
            };
            let probabilities = softmax(&(0..size).map(logit).collect::<Vec<_>>());
            let choice = choose(t, &probabilities);
            rollout.choices.push(choice);
            rollout.probabilities.push(probabilities);
            let before = std::mem::replace(&mut state, after.clone());
            let cells = [std::mem::replace(&mut cell, next.clone()), next];
            rollout.steps.push(Step { row, gates, before, cells, after });
            row = first + choice;
            first += size;
        }
        rollout
    }

    /// Adds to `gradient` that of the parameters, given that of the logits of each step.
    pub(super) fn add_gradient(
        &self,
        parameters: &[f64],
        rollout: &Rollout,
        of_logits: &[Vec<f64>],
        gradient: &mut [f64],
    ) {
        let (hidden, layout) = (self.hidden, self.layout());
        let (mut of_state, mut of_cell) = (vec![0.0; hidden], vec![0.0; hidden]);
        let mut first = self.choices();
        for (t, step) in rollout.steps.iter().enumerate().rev() {
            first -= self.sizes[t];
            for (choice, &slope) in of_logits[t].iter().enumerate().filter(|(_, slope)| **slope != 0.0) {
                let weights = layout.heads + (first + choice) * hidden;
                add(&mut gradient[weights..][..hidden], slope, &step.after);
                add(&mut of_state, slope, &parameters[weights..][..hidden]);
                gradient[layout.head_bias + first + choice] += slope;
            }
            let mut of_gates = vec![0.0; 4 * hidden];
            for i in 0..hidden {
                let gate = |g: usize| step.gates[g * hidden + i];
                let squashed = libm::tanh(step.cells[1][i]);
                of_cell[i] += of_state[i] * gate(3) * (1.0 - squashed * squashed);
                let slopes =
                    [of_cell[i] * gate(2), of_cell[i] * step.cells[0][i], of_cell[i] * gate(0), of_state[i] * squashed];
                for (g, slope) in slopes.into_iter().enumerate() {
                    let inner = if g == 2 { 1.0 - gate(2) * gate(2) } else { gate(g) * (1.0 - gate(g)) };
                    of_gates[g * hidden + i] = slope * inner;
                }
                of_cell[i] *= gate(1);
            }
            of_state = vec![0.0; hidden];
            let mut of_input = vec![0.0; hidden];
            for (g, &slope) in of_gates.iter().enumerate() {
                let weights = layout.recurrent + g * 2 * hidden;
                add(&mut gradient[weights..][..hidden], slope, &parameters[step.row * hidden..][..hidden]);
                add(&mut gradient[weights + hidden..][..hidden], slope, &step.before);
                add(&mut of_input, slope, &parameters[weights..][..hidden]);
                add(&mut of_state, slope, &parameters[weights + hidden..][..hidden]);
                gradient[layout.bias + g] += slope;
            }
            add(&mut gradient[step.row * hidden..][..hidden], 1.0, &of_input);
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Adds `factor` times `from` to `to`.
fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let lstm = Lstm::new(3, vec![2, 3, 2]);
        let mut parameters = lstm.init(rng);
        parameters.iter_mut().for_each(|value| *value = rng.random_range(-0.8..0.8));
        let made = [1, 2, 0];
        // The log-probability of some choices, of which the second counts double.
        let weights = [1.0, 2.0, 1.0];
        let value = |parameters: &[f64]| {
            let rollout = lstm.run(parameters, |t, _| made[t]);
            (0..3).map(|t| weights[t] * libm::log(rollout.probabilities[t][made[t]])).sum::<f64>()
        };
        let rollout = lstm.run(&parameters, |t, _| made[t]);
        let of_logits: Vec<Vec<f64>> = (0..3)
            .map(|t| {
                let probabilities = rollout.probabilities[t].iter().enumerate();
                probabilities.map(|(i, p)| weights[t] * (f64::from(u8::from(i == made[t])) - p)).collect()
            })
            .collect();
        let mut gradient = vec![0.0; parameters.len()];
        lstm.add_gradient(&parameters, &rollout, &of_logits, &mut gradient);
        for i in 0..parameters.len() {
            let at = |step: f64| {
                let mut changed = parameters.clone();
                changed[i] += step;
                value(&changed)
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((difference - gradient[i]).abs() < 1e-7, "{i}: {difference} {}", gradient[i]);
        }
        assert!(gradient.iter().filter(|slope| **slope != 0.0).count() > gradient.len() / 2);
    }

    #[test]
    fn every_choice_is_equally_probable_at_first() {
        let lstm = Lstm::new(8, vec![2, 4]);
        let parameters = lstm.init(&mut ChaCha8Rng::seed_from_u64(2));
        let rollout = lstm.run(&parameters, |_, probabilities| probabilities.len() - 1);
        assert_eq!((rollout.choices, rollout.probabilities), (vec![1, 3], vec![vec![0.5; 2], vec![0.25; 4]]));
    }
}
