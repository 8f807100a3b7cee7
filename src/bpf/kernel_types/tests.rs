use std::collections::HashSet;
use std::path::Path;

use super::Types;
use super::format;
use crate::bpf::skip::skip;

/// Type information with these words for types and these names.
fn btf(types: &[u32], names: &[u8]) -> Vec<u8> {
    let mut btf = format::MAGIC.to_ne_bytes().to_vec();
    btf.extend([1, 0]);
    let bytes = types.len() as u32 * 4;
    for word in [format::HEADER as u32, 0, bytes, bytes, names.len() as u32] {
        btf.extend(word.to_ne_bytes());
    }
    btf.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
    btf.extend(names);
    btf
}

const NAMES: &[u8] = b"\0int\0task\0pid\0next\0other\0btf_trace_mark_victim\0";

/// 1: int, 2: struct other, 3: pointer to 4, 4: struct task { int pid; struct task *next; }
fn some() -> Vec<u8> {
    let of = |kind: u32, members: u32| kind << 24 | members;
    let int = [1, of(format::INT, 0), 4, 32];
    let other = [19, of(format::STRUCT, 1), 4, 10, 1, 0];
    let pointer = [0, of(format::PTR, 0), 4];
    let task = [5, of(format::STRUCT, 2), 16, 10, 1, 0, 14, 3, 64];
    btf(&[&int[..], &other, &pointer, &task].concat(), NAMES)
}

#[test]
fn a_cut_holds_what_was_named_and_what_is_inside_of_it() {
    let whole = some();
    let cut = Types::read(&whole).unwrap().cut(&HashSet::from([&b"task"[..]])).unwrap();
    let cut = Types::read(&cut).unwrap();
    // The pointer, the structure, the integer in it; not the other structure.
    assert_eq!(cut.starts.len(), 3);
    let task = cut.get(cut.starts[1]).unwrap();
    assert_eq!((cut.name(task.name).unwrap(), task.word, task.members()), (&b"task"[..], 16, 2));
    let member = |at: usize| super::word(cut.types, cut.starts[1] + 12 + at).unwrap();
    assert_eq!(cut.name(member(0)).unwrap(), b"pid");
    assert_eq!((member(4), member(16), member(20)), (3, 1, 64));
    assert!(!cut.names.windows(5).any(|name| name == b"other"));
}

#[test]
fn tracepoints_are_found_among_all_names() {
    assert_eq!(Types::read(&some()).unwrap().tracepoints(), HashSet::from(["mark_victim".to_owned()]));
}

#[test]
fn type_information_that_is_cut_short_or_unknown_is_refused() {
    let whole = some();
    for length in 0..whole.len() {
        assert!(Types::read(&whole[..length]).is_none(), "{length} bytes");
    }
    assert!(Types::read(&btf(&[0, 31 << 24, 0], b"\0")).is_none(), "a kind that nobody knows");
}

#[test]
fn this_kernels_types_are_cut_to_what_the_probes_name() {
    if !Path::new(super::VMLINUX).exists() {
        return skip("this_kernels_types_are_cut_to_what_the_probes_name", "this kernel has no BTF");
    }
    let path = super::cut().expect("this kernel's types can be cut");
    let (cut, whole) = (std::fs::metadata(path).unwrap().len(), std::fs::metadata(super::VMLINUX).unwrap().len());
    assert!(cut > 1000 && cut * 4 < whole, "{cut} of {whole} bytes");
}
