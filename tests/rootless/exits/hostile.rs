//! Files that someone made to hurt.

use ebrec::exits::Program;
use ebrec::exits::boundaries;
use ebrec::exits::nop_site;
use object::Object;
use object::ObjectSection;
use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::test_runner::TestRunner;

use super::built::Built;

const SOURCE: &str = r#"
extern int imported(int);
static int __attribute__((noinline, noclone)) local(int a) { return imported(a) + 1; }
int tail(int a, int b) { imported(b); return local(a + b); }
int choose(int a, int b) {
	switch (a) {
	case 0: return imported(b);
	case 1: return b * b;
	case 2: return imported(b) + 2;
	case 3: return b / 3;
	case 4: return -b;
	}
	return 0;
}
"#;

fn built() -> Built {
    Built::new(&["gcc", "-O2", "-fPIC", "-shared", "-fcf-protection=none"], "c", SOURCE)
}

/// Asks for everything about a file; only its answers' soundness is checked.
fn ask(bytes: &[u8], addresses: &[(u64, u64)]) {
    let Ok(program) = Program::read(bytes) else { return };
    for (address, size) in addresses {
        for size in [Some(*size), None, Some(u64::MAX), Some(1)] {
            if let Ok(found) = boundaries(&program, *address, size) {
                assert!(!found.exits.is_empty() && found.exits.len() <= ebrec::exits::MAX_EXITS);
                assert!(found.exits.iter().all(|exit| exit.offset < bytes.len() as u64));
                assert!(found.exits.iter().all(|exit| exit.offset != found.entry.offset));
            }
        }
        let _ = nop_site(&program, *address);
    }
    assert!(program.go_functions().count() <= 1 << 20);
}

#[test]
fn files_with_wrong_bytes_are_refused_or_answered_but_never_panic() {
    let built = built();
    let addresses: Vec<_> = built.functions().map(|(_, address, size)| (address, size)).collect();
    let elf = object::File::parse(&*built.bytes).unwrap();
    // Most changes go where they matter: heads, unwind tables, code, symbols, relocations.
    let mut ranges: Vec<(u64, u64)> = elf.sections().filter_map(|section| section.file_range()).collect();
    ranges.push((0, 512));
    ranges.push((built.bytes.len() as u64 - 2048, 2048));
    ranges.retain(|(_, size)| *size > 0);
    let change = (any::<u16>(), any::<u32>(), any::<u8>());
    let changes = proptest::collection::vec(change, 1..12);
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() });
    let result = runner.run(&changes, |changes| {
        let mut bytes = built.bytes.clone();
        for (range, into, value) in changes {
            let (start, size) = ranges[usize::from(range) % ranges.len()];
            let at = usize::try_from(start + u64::from(into) % size).unwrap();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        ask(&bytes, &addresses);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn files_that_end_early_are_refused() {
    let built = built();
    let addresses: Vec<_> = built.functions().map(|(_, address, size)| (address, size)).collect();
    for size in (0..built.bytes.len()).step_by(97) {
        ask(&built.bytes[..size], &addresses);
    }
}
