//! What a C file was compiled to, and how it comes into the program.

/// A compiled object and what it is called in messages.
#[derive(Debug, Clone, Copy)]
pub struct BpfObject {
    /// The probe's name.
    pub name: &'static str,
    /// The ELF file.
    pub object: &'static [u8],
    /// Cells of its aggregates in one interval: metrics × keys × the 20 or so buckets that a distribution spans. There is
    /// room for two of each and more on many CPUs, all made at the start, twice, and each takes 96 bytes.
    pub cells: u32,
}

/// Brings in what `bpf/<name>.bpf.c` was compiled to: its C types as the module `types`, the whole as the constant `OBJECT`.
///
/// `unsafe plain` are the structs that are [`Plain`](crate::bpf::Plain), for which the caller gives the reason.
macro_rules! object {
    // SAFETY: the caller says why its structs are plain.
    (name: $name:literal, cells: $cells:literal, unsafe plain: $($plain:ident),+ $(,)?) => {
        #[allow(
            missing_docs,
            dead_code,
            unreachable_pub,
            non_camel_case_types,
            clippy::all,
            clippy::undocumented_unsafe_blocks,
            clippy::unwrap_used,
            clippy::expect_used
        )]
        mod skeleton {
            include!(concat!(env!("OUT_DIR"), "/", $name, ".skel.rs"));
        }
        pub(super) use skeleton::types;

        // SAFETY: as the caller says.
        $(unsafe impl $crate::bpf::Plain for types::$plain {})+

        pub(super) const OBJECT: $crate::bpf::object::BpfObject = $crate::bpf::object::BpfObject {
            name: $name,
            object: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bpf.o")),
            cells: $cells,
        };
    };
}
pub(crate) use object;
