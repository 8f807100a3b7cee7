//! Where functions return: programs are compiled for each trap, and `objdump` is the outside truth about instructions.

mod aarch64;
mod assembly;
mod built;
mod compiled;
mod go;
mod hostile;
mod libraries;
mod objdump;
mod red_zone;
