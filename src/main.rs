//! The `ebrec` program.

fn main() {}
