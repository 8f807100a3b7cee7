//! The file format: what is written is read back, or refused.

#[cfg(unix)]
mod displaced;
mod flips;
mod full;
mod hostile;
#[cfg(unix)]
mod kill;
mod properties;
mod rolling;
mod round_trip;
mod schema;
mod size;
