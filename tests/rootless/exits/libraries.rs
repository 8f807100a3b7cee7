//! The system's libraries, whole, beside what binutils says of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use ebrec::exits::Program;
use ebrec::exits::Refusal;
use ebrec::exits::boundaries;

use super::built::Built;
use super::objdump;
use crate::skip::skip;

const DIRECTORY: &str = "/usr/lib/x86_64-linux-gnu";

/// What share of a library's functions has which fate, in percent: at least so many taken, at most so many refused for these reasons.
struct Expected {
    file: &'static str,
    taken: u32,
    tail_calls: u32,
    never_returning: u32,
    contradictory: u32,
    other: u32,
}

/// Debian 12's, with room for other versions and compilers; libc and libcrypto have assembly.
const TABLE: &[Expected] = &[
    Expected { file: "libssl.so.3", taken: 75, tail_calls: 25, never_returning: 1, contradictory: 0, other: 2 },
    Expected { file: "libc.so.6", taken: 80, tail_calls: 12, never_returning: 3, contradictory: 1, other: 6 },
    Expected { file: "libstdc++.so.6", taken: 55, tail_calls: 45, never_returning: 3, contradictory: 0, other: 2 },
    Expected { file: "libcrypto.so.3", taken: 55, tail_calls: 45, never_returning: 1, contradictory: 1, other: 2 },
    Expected {
        file: "libpython3.11.so.1.0",
        taken: 75,
        tail_calls: 25,
        never_returning: 3,
        contradictory: 0,
        other: 2,
    },
];

fn functions(built: &Built) -> BTreeMap<u64, (u64, &str)> {
    let functions = built.functions().filter(|(_, _, size)| *size > 0);
    let program = built.program();
    let code: BTreeMap<_, _> = functions.map(|(name, address, size)| (address, (size, name))).collect();
    code.into_iter().filter(|(address, _)| program.offset(*address).is_some()).collect()
}

#[test]
fn most_functions_of_the_systems_libraries_are_taken_and_their_exits_are_returns() {
    for expected in TABLE {
        let path = Path::new(DIRECTORY).join(expected.file);
        if !path.exists() {
            skip("most_functions_of_the_systems_libraries_are_taken_and_their_exits_are_returns", expected.file);
            continue;
        }
        sweep(expected, &Built::open(&path.canonicalize().unwrap()));
    }
}

fn sweep(expected: &Expected, built: &Built) {
    let program = built.program();
    let instructions = objdump::mnemonics(&built.path);
    let addresses: BTreeMap<u64, u64> =
        instructions.keys().filter_map(|address| Some((program.offset(*address)?, *address))).collect();
    let (mut taken, mut tail_calls, mut never, mut contradictory, mut other, mut all) = (0, 0, 0, 0, 0, 0);
    for (address, (size, name)) in functions(built) {
        if !instructions.contains_key(&address) {
            continue; // Data.
        }
        all += 1;
        match boundaries(&program, address, Some(size)) {
            Ok(found) => {
                taken += 1;
                for exit in &found.exits {
                    let text = addresses.get(&exit.offset).and_then(|address| instructions.get(address));
                    assert!(
                        text.is_some_and(|text| objdump::is_return(text)),
                        "{name}: {text:?} at {:#x}",
                        exit.offset
                    );
                }
                assert!(addresses.contains_key(&found.entry.offset), "{name}: its entry is inside an instruction");
                let own = instructions.range(address..address + size);
                let returns = own.filter(|(_, text)| objdump::is_return(text)).count();
                let exits = found.exits.iter().filter(|exit| !exit.is_shared).count();
                assert_eq!(exits, returns, "{name}");
            }
            Err(Refusal::TailCall { .. } | Refusal::Beyond { .. }) => tail_calls += 1,
            Err(Refusal::NoExit) => never += 1,
            Err(Refusal::Contradiction { .. } | Refusal::Undecodable { .. }) => contradictory += 1,
            Err(_) => other += 1,
        }
    }
    println!("{}: {taken} of {all} taken; {tail_calls} {never} {contradictory} {other}", expected.file);
    assert!(all > 100, "{}: only {all} functions", expected.file);
    let percent = |count: u32| (count * 100).div_ceil(all);
    assert!(taken * 100 / all >= expected.taken, "{}: {taken} of {all}", expected.file);
    for (what, count, most) in [
        ("tail calls", tail_calls, expected.tail_calls),
        ("never return", never, expected.never_returning),
        ("contradict", contradictory, expected.contradictory),
        ("others", other, expected.other),
    ] {
        assert!(percent(count) <= most || count == 0, "{}: {count} of {all} {what}", expected.file);
    }
}

#[test]
fn reads_and_writes_of_libssl_have_one_exit_and_no_tail_call() {
    let path = Path::new(DIRECTORY).join("libssl.so.3");
    if !path.exists() {
        return skip("reads_and_writes_of_libssl_have_one_exit_and_no_tail_call", "no libssl.so.3");
    }
    let built = Built::open(&path);
    for name in ["SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex"] {
        let exits = built.exits(name);
        assert!(matches!(&exits[..], [(label, false)] if label.starts_with(name)), "{exits:?}");
    }
}

#[test]
fn a_thousand_functions_take_less_than_a_second() {
    let path = Path::new(DIRECTORY).join("libc.so.6");
    if !path.exists() {
        return skip("a_thousand_functions_take_less_than_a_second", "no libc.so.6");
    }
    let built = Built::open(&path);
    let functions = functions(&built);
    // Of several rounds the fastest: other programs run at the same time.
    let round = || {
        let start = Instant::now();
        let program = Program::read(&*built.bytes).unwrap();
        let taken = functions
            .iter()
            .take(1000)
            .filter(|(address, (size, _))| boundaries(&program, **address, Some(*size)).is_ok());
        assert!(taken.count() > 500);
        start.elapsed()
    };
    let fastest = (0..5).map(|_| round()).min().unwrap();
    println!("1000 functions: {fastest:?}");
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
}
