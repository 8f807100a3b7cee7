use super::DIRECTORY;
use super::Member;
use super::Shape;
use super::Types;
use super::bit_field;
use super::join;
use super::joined::parts;
use crate::bpf::skip::skip;
use std::path::Path;

fn kernel() -> Option<Types> {
    if !Path::new(DIRECTORY).join("vmlinux").exists() {
        skip("events::types", "this kernel has no BTF");
        return None;
    }
    Some(Types::read(None).unwrap())
}

#[test]
fn members_are_found_through_structs_and_unions_without_a_name() {
    let Some(types) = kernel() else { return };
    let sock = types.composite("sock", true).unwrap();
    let common = types.member(sock, "__sk_common").unwrap();
    let Shape::Composite(common) = common.shape else { panic!("{common:?}") };
    // The addresses come first, then the hash, then the ports, since Linux 3.14.
    let port = types.member(common, "skc_dport").unwrap();
    let shape = Shape::Int { size: 2, signed: false, big_endian: true };
    assert_eq!(port, Member { offset: 12, shape, bits: None });
    assert_eq!(types.member(common, "skc_daddr").map(|member| member.offset), Some(0));
    assert!(types.member(common, "skc_dpart").is_none());
    assert!(types.members(common).iter().any(|name| name == "skc_dport"));
}

#[test]
fn bit_fields_are_told_by_the_integer_that_holds_them() {
    let Some(types) = kernel() else { return };
    let task = types.composite("task_struct", true).unwrap();
    let member = types.member(task, "in_execve").unwrap();
    assert_eq!(member.bits.map(|(_, width)| width), Some(1), "{member:?}");
    let shape = Shape::Int { size: 4, signed: false, big_endian: false };
    let field = |bit, width| bit_field(100, bit, width, 4, shape.clone());
    assert_eq!((field(35, 2).offset, field(35, 2).bits), (104, Some((3, 2))));
    assert_eq!((field(30, 4).offset, field(30, 4).bits), (103, Some((6, 4))));
}

#[test]
fn functions_have_parameters_and_what_they_give() {
    let Some(types) = kernel() else { return };
    let read = types.function("vfs_read").unwrap();
    let names: Vec<&str> = read.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["file", "buf", "count", "pos"]);
    assert_eq!(read.parameters[0].type_name, "struct file *");
    assert_eq!(
        read.returns.map(|returns| returns.shape),
        Some(Shape::Int { size: 8, signed: true, big_endian: false })
    );
    assert!(types.function("vfs_reed").is_none());
}

#[test]
fn raw_trace_points_have_what_the_kernel_passes() {
    let Some(types) = kernel() else { return };
    let switch = types.raw_point("sched_switch").unwrap();
    let names: Vec<&str> = switch.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names.get(..3), Some(&["preempt", "prev", "next"][..]));
    assert!(types.raw_points().iter().any(|name| name == "sched_switch"));
    assert!(types.raw_point("sched_swatch").is_none());
}

#[test]
fn constants_of_enumerations_have_their_numbers() {
    let Some(types) = kernel() else { return };
    assert_eq!(types.constant("TCP_ESTABLISHED"), Some(1));
    assert_eq!(types.constant("TCP_NONSENSE"), None);
}

#[test]
fn the_types_of_a_module_go_on_where_those_of_the_kernel_end() {
    // A module with one more name for type 1: a typedef of a name that is the first of its own texts.
    let path = Path::new(DIRECTORY).join("vmlinux");
    let Ok(base) = std::fs::read(&path) else { return skip("events::types", "this kernel has no BTF") };
    let texts = parts(&base).unwrap().1.len() as u32;
    let mut module = vec![0x9f, 0xeb, 1, 0];
    let typedef = [texts, 8 << 24, 1];
    for number in [24, 0, 12, 12, 9] {
        module.extend(u32::to_le_bytes(number));
    }
    typedef.iter().for_each(|number| module.extend(number.to_le_bytes()));
    module.extend(b"my_type_\0");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), join(&base, &module).unwrap()).unwrap();
    let types = Types { btf: libbpf_rs::btf::Btf::from_path(file.path()).unwrap(), functions: Default::default() };
    assert_eq!(types.typedef("my_type_"), Some(types.shape(1)));
    assert!(types.composite("sock", true).is_some());
    assert_eq!(join(&base, b"nothing"), None);
}
