//! Reading a recording: rows, processes, and what aggregates, stacks and ledgers add up to.

pub(crate) mod aggregate;
pub(crate) mod aside;
pub(crate) mod cost;
pub(crate) mod counters;
pub(crate) mod files;
pub(crate) mod folding;
pub(crate) mod health;
pub(crate) mod input;
pub(crate) mod label;
pub(crate) mod ledger;
pub(crate) mod limit;
pub(crate) mod metrics;
pub(crate) mod processes;
pub(crate) mod profile;
pub(crate) mod rows;
pub(crate) mod samples;
pub(crate) mod series;
pub(crate) mod slow;
pub(crate) mod span;
pub(crate) mod waits;
pub(crate) mod window;
