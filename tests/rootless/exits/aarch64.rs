//! Code for aarch64, by the cross compiler.

use ebrec::exits::Refusal;
use ebrec::exits::TailCall;

use super::built::Built;
use super::built::has;
use crate::skip::skip;

const COMPILER: &str = "aarch64-linux-gnu-gcc";

const SOURCE: &str = r#"
extern int imported(int);
extern void use(char *);
static int __attribute__((noinline, noclone)) local(int a) { return imported(a) + 1; }
int straight(int a) { return imported(a) + imported(a + 1); }
int tail_direct(int a, int b) { imported(b); return local(a + b); }
int tail_imported(int a) { return imported(a * 3); }
int tail_pointer(int (*f)(int), int a) { return f(a + 1); }
void endless(void) { for (;;) imported(1); }
int choose(int a, int b) {
	char room[64];
	use(room);
	switch (a) {
	case 0: return imported(1) + b;
	case 1: return imported(2) * b;
	case 2: return imported(b) + imported(3);
	case 3: use(room); return room[3];
	case 4: return room[imported(4)];
	case 5: return imported(5) - b;
	}
	return 0;
}
int frameless(int a, int b) {
	switch (a) {
	case 0: return b + 1;
	case 1: return b * b;
	case 2: return b << a;
	case 3: return b / 3;
	case 4: return -b;
	case 5: return b ^ 5;
	case 6: return b - 100;
	}
	return 0;
}
"#;

fn library(options: &[&str]) -> Option<Built> {
    if !has(COMPILER) {
        skip("aarch64", "no aarch64-linux-gnu-gcc");
        return None;
    }
    let mut command = vec![COMPILER, "-O2", "-fPIC", "-shared", "-nostdlib"];
    command.extend(options);
    Some(Built::new(&command, "c", SOURCE))
}

/// The words between a function's beginning and end that are `ret`: the encoding has only this one.
fn returns(built: &Built, name: &str) -> Vec<u64> {
    let (_, size) = built.symbol(name);
    let start = usize::try_from(built.offset(name)).unwrap();
    let code = &built.bytes[start..start + usize::try_from(size).unwrap()];
    let words = code.chunks(4).enumerate().filter(|(_, word)| *word == [0xc0, 0x03, 0x5f, 0xd6]);
    words.map(|(index, _)| (start + index * 4) as u64).collect()
}

#[test]
fn the_exits_of_aarch64_functions_are_their_returns() {
    for options in [&[][..], &["-mbranch-protection=standard"], &["-fno-omit-frame-pointer"]] {
        let Some(built) = library(options) else { return };
        for name in ["straight", "choose", "frameless"] {
            let found = built.boundaries(name).unwrap_or_else(|why| panic!("{options:?} {name}: {why}"));
            let exits: Vec<_> = found.exits.iter().map(|exit| exit.offset).collect();
            assert_eq!(exits, returns(&built, name), "{options:?} {name}");
            assert_eq!((found.entry.offset, found.entry.stack_delta), (built.offset(name), 0));
        }
        let exits = built.exits("tail_direct");
        assert!(matches!(&exits[..], [(label, true)] if label.starts_with("local")), "{options:?}: {exits:?}");
    }
}

#[test]
fn aarch64_functions_that_leave_are_refused() {
    let Some(built) = library(&[]) else { return };
    let imported = Refusal::TailCall { how: TailCall::Imported, target: Some("imported".to_owned()) };
    assert_eq!(built.boundaries("tail_imported"), Err(imported));
    assert_eq!(built.boundaries("tail_pointer"), Err(Refusal::TailCall { how: TailCall::Indirect, target: None }));
    assert_eq!(built.boundaries("endless"), Err(Refusal::NoExit));
}

#[test]
fn returns_that_check_a_signature_are_refused() {
    let Some(built) = library(&["-march=armv8.3-a", "-mbranch-protection=pac-ret+leaf"]) else { return };
    assert_eq!(built.boundaries("straight"), Err(Refusal::AuthenticatedReturn));
}
