//! Searches that once-for-all networks are compared with: ProxylessNAS, FBNet, MnasNet and random search.
//!
//! Each designs one network for one target, and a training of that network follows. A [`SearchMethod`] only decides:
//! what runs, what its numbers mean, which network it ends with. Weights and images belong to a [`SearchTask`], of which
//! [`CandidateTask`] is the real one; [`find`] is the only loop, with checkpoints and exact resume.

mod adam;
mod candidate_task;
mod controller;
mod distribution;
mod fbnet;
mod find;
mod latency_loss;
mod lstm;
mod method;
mod mnas_net;
mod proxyless_nas;
mod task;
mod weight_rates;

pub use adam::AdamConfig;
pub use candidate_task::{CandidateTask, SearchGround, trained_alone};
pub use controller::{Controller, ControllerConfig};
pub use fbnet::FbNet;
pub use find::{Found, SearchRun, find};
pub use latency_loss::LatencyLoss;
pub use method::{SearchMethod, SearchRecord, SearchTarget};
pub use mnas_net::{MnasNet, Policy, Sample};
pub use proxyless_nas::ProxylessNas;
pub use task::{Judged, SearchTask};
pub use weight_rates::WeightRates;
