//! The file format: what is written is read back, or refused.

mod flips;
#[cfg(unix)]
mod full;
mod hostile;
#[cfg(unix)]
mod kill;
mod properties;
mod rolling;
mod round_trip;
mod schema;
mod size;
