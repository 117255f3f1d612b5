//! A run: how it starts, its directory, its images, its training, its records.

pub mod classes;
mod given_weights;
mod image_size;
pub mod images;
pub mod lock;
pub mod plan;
pub mod ranks;
pub mod records;
pub mod run_dir;
pub mod start;
pub mod supernet_file;
pub mod tensorboard;
pub mod training;
pub mod watched;
