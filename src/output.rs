//! Where output goes: files that are written whole or not at all, standard output, pipes and devices. Nothing but a regular file is
//! ever replaced.

pub mod sink;
pub mod stdout;
pub mod whole_file;
