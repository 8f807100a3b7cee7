//! Reading a recording: rows, processes, and what aggregates, stacks and ledgers add up to.

pub(super) mod aggregate;
pub(super) mod aside;
pub(super) mod cost;
pub(super) mod health;
pub(super) mod input;
pub(super) mod ledger;
pub(super) mod limit;
pub(super) mod metrics;
pub(super) mod processes;
pub(super) mod profile;
pub(super) mod rows;
pub(super) mod series;
pub(super) mod span;
pub(super) mod window;
