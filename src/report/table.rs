//! What views build their tables of: rankings bounded in memory, cells, and series of a picture.

pub(super) mod cells;
pub(super) mod columns;
pub(super) mod few;
pub(super) mod heaviest;
pub(super) mod ranking;
pub(super) mod times;
