//! Recordings that were never recorded: rows of every kind whose report is known.

pub mod build;
pub mod large;
pub mod recording;
pub mod service;
