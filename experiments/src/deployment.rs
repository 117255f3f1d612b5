//! Deployment scenarios: many devices and budgets, all answered from tables measured once.

mod answer;
mod asked;
pub mod design_cost;
mod devices;
pub mod fine_tuned;
pub mod forecast;
pub mod model_card;
mod rows;
pub mod scenarios;
pub mod specialise;
#[cfg(test)]
mod tests;
mod uniform;

pub use answer::{Answers, Axis, Failed, Found, Rival, answer, answer_by};
pub use asked::Searcher;
pub use devices::Devices;
pub use rows::{AnswerRow, FrontRow};
