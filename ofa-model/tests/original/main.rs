//! Parity with the PyTorch original: the same weights give the same numbers. `../golden/README.md` says how the golden
//! outputs were made.

mod calibration;
mod checkpoints;
mod configs;
mod formula;
mod golden;
mod logits;
mod noise;
mod sorting;
mod sums;
mod units;
mod weights;
