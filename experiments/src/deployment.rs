//! Deployment scenarios: many devices and budgets, all answered from tables measured once.

mod answer;
pub mod design_cost;
mod devices;
mod file;
pub mod forecast;
mod front;
pub mod model_card;
mod rows;
pub mod scenarios;
pub mod specialise;
#[cfg(test)]
mod tests;
mod uniform;

pub use answer::{Answers, Failed, Found, Rival, answer};
pub use devices::Devices;
pub use file::{Deployment, DeploymentFile, DeviceTables};
pub use front::{Axis, Front, FrontPoint};
pub use rows::{AnswerRow, FrontRow};
pub use uniform::uniform_archs;
