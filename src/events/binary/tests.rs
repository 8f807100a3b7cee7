use super::Binary;
use super::means;
use crate::bpf::skip::skip;
use crate::glob;
use std::path::Path;

#[inline(never)]
fn a_function_of_this_test() -> u8 {
    std::hint::black_box(1)
}

#[test]
fn our_own_functions_are_found_by_the_names_of_the_source() {
    a_function_of_this_test();
    let path = std::env::current_exe().unwrap();
    let binary = Binary::open(&path, Path::new("/")).unwrap();
    let name = "ebrec::events::binary::tests::a_function_of_this_test";
    let found = binary.functions(name).unwrap();
    assert_eq!(found.iter().map(|found| found.function.as_str()).collect::<Vec<_>>(), [name]);
    assert_eq!(binary.functions("*::a_function_of_this_test").unwrap(), found);
    // Where the code is, as the kernel has it mapped.
    let here = a_function_of_this_test as fn() -> u8 as usize as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let place = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let offset = number(rest.split(' ').nth(1)?)?;
        (number(start)?..number(end)?).contains(&here).then_some(here - number(start)? + offset)
    });
    assert_eq!(Some(found[0].offset), place);
    assert!(!binary.is_go());
    let refusal = binary.functions("ebrec::events::binary::tests::a_function_of_this_tast").unwrap_err();
    assert!(refusal.hint.unwrap().contains(name));
}

#[test]
fn a_library_has_functions_and_the_nearest_of_a_mistyped_one() {
    let libc = ["/lib/x86_64-linux-gnu/libc.so.6"].map(Path::new);
    let Some(path) = libc.into_iter().find(|path| path.exists()) else {
        return skip("a_library_has_functions_and_the_nearest_of_a_mistyped_one", "no libc where Debian has it");
    };
    let binary = Binary::open(path, Path::new("/")).unwrap();
    assert_eq!(binary.functions("getaddrinfo").unwrap().len(), 1);
    assert!(binary.functions("get*info").unwrap().len() > 1);
    // Which variant is taken depends on the processor.
    assert!(binary.functions("memcpy").unwrap_err().why.contains("is chosen when a program starts"));
    assert!(binary.functions("mem*").unwrap().iter().all(|found| found.function != "memcpy"));
    let refusal = binary.functions("getaddrinf").unwrap_err();
    assert!(refusal.hint.unwrap().contains("'getaddrinfo'"));
}

#[test]
fn what_is_no_program_is_refused_by_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let why = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        Binary::open(&path, Path::new("/")).err().unwrap().why
    };
    assert!(why("a", b"#!/bin/sh\n").ends_with("a script: name its interpreter"));
    assert!(why("b", b"\x7fELF").ends_with("is no ELF file"));
    assert!(Binary::open(directory.path(), Path::new("/")).err().unwrap().why.ends_with("not a regular file"));
}

#[test]
fn names_of_cpp_and_rust_match_with_and_without_parameters() {
    let matches = |pattern: &str, symbol: &str| {
        assert!(means(pattern, symbol).is_none() || symbol.contains(glob::core(pattern)), "{pattern} {symbol}");
        means(pattern, symbol)
    };
    assert_eq!(matches("foo::bar", "_ZN3foo3barEi").as_deref(), Some("foo::bar(int)"));
    assert_eq!(matches("foo::bar(int)", "_ZN3foo3barEi").as_deref(), Some("foo::bar(int)"));
    assert_eq!(matches("foo::*", "_ZN3foo3barEi").as_deref(), Some("foo::bar(int)"));
    assert_eq!(matches("_ZN3foo3barEi", "_ZN3foo3barEi").as_deref(), Some("foo::bar(int)"));
    assert_eq!(matches("foo::ba", "_ZN3foo3barEi"), None);
    let rust = "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE";
    assert_eq!(matches("core::fmt::Write::write_fmt", rust).as_deref(), Some("core::fmt::Write::write_fmt"));
    assert_eq!(matches("main", "main").as_deref(), Some("main"));
}
