//! What views build their tables of: rankings bounded in memory, cells, and series of a picture.

pub(crate) mod cells;
pub(crate) mod columns;
pub(crate) mod few;
pub(crate) mod heaviest;
pub(crate) mod ranking;
pub(crate) mod times;
