//! What compilers make: split functions, tail calls, switches, indirect functions.

use ebrec::exits::Pairing;
use ebrec::exits::Refusal;
use ebrec::exits::TailCall;

use super::built::Built;
use super::objdump;

const LIBRARY: &str = r#"
#define NOINLINE __attribute__((noinline, noclone))
extern int imported(int);
extern void __attribute__((cold)) failed(const char *);
extern void use(char *);

static NOINLINE int local(int a) { return imported(a) + 1; }
int tail_direct(int a, int b) { imported(b); return local(a + b); }
int tail_imported(int a) { return imported(a * 3); }
int tail_pointer(int (*f)(int), int a) { return f(a + 1); }
int straight(int a) { return imported(a) + imported(a + 1); }
int recursive(int a) { return a > 0 ? recursive(a - 1) * a + imported(a) : 1; }
void endless(void) { for (;;) imported(1); }

int split(int a) {
	char room[64];
	use(room);
	if (a < 0) {
		failed("negative");
		failed("more");
		return room[1];
	}
	return room[0];
}

int many(int a, int b) {
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

static int one(void) { return 1; }
static int two(void) { return 2; }
static int (*choose(void))(void) { return imported(0) ? one : two; }
int chosen(void) __attribute__((ifunc("choose")));
"#;

fn library(options: &[&str]) -> Built {
    let mut command = vec!["gcc", "-O2", "-fPIC", "-shared"];
    command.extend(options);
    Built::new(&command, "c", LIBRARY)
}

fn variants() -> Vec<(&'static str, Built)> {
    vec![
        ("plain", library(&[])),
        ("with landing pads", library(&["-fcf-protection=full"])),
        ("with frame pointers", library(&["-fno-omit-frame-pointer"])),
        ("with room for patches", library(&["-fpatchable-function-entry=5"])),
        ("without a procedure table", library(&["-fno-plt"])),
        ("by clang", Built::new(&["clang", "-O2", "-fPIC", "-shared", "-Wno-ignored-attributes"], "c", LIBRARY)),
    ]
}

/// Checks a function's exits against all returns that binutils finds between its beginning and its end.
fn returns_agree(built: &Built, name: &str) {
    let (address, size) = built.symbol(name);
    let program = built.program();
    let returns: Vec<_> = objdump::mnemonics(&built.path)
        .range(address..address + size)
        .filter(|(_, text)| objdump::is_return(text))
        .map(|(address, _)| program.offset(*address).unwrap())
        .collect();
    let boundaries = built.boundaries(name).unwrap_or_else(|why| panic!("{name}: {why}"));
    let own: Vec<_> = boundaries.exits.iter().filter(|exit| !exit.is_shared).map(|exit| exit.offset).collect();
    assert_eq!(own, returns, "{name}");
    assert_eq!(boundaries.pairing, Pairing::StackPointer);
}

#[test]
fn the_exits_of_a_function_are_its_returns() {
    for (variant, built) in variants() {
        println!("{variant}");
        for name in ["straight", "split", "recursive", "many", "frameless"] {
            returns_agree(&built, name);
        }
    }
}

#[test]
fn stripping_changes_nothing() {
    for (variant, built) in variants() {
        let stripped = built.stripped();
        for name in ["straight", "split", "many", "frameless", "tail_direct", "tail_imported", "endless"] {
            let whole = built.boundaries(name);
            let without = stripped.boundaries_without_size(name);
            assert_eq!(whole.is_ok(), without.is_ok(), "{variant} {name}: {without:?}");
            if whole.is_ok() {
                assert_eq!(whole, without, "{variant} {name}");
            }
        }
    }
}

#[test]
fn a_part_that_was_split_off_belongs_to_its_function() {
    let built = library(&[]);
    assert!(built.has_symbol("split.cold"), "gcc no longer splits this function");
    assert_eq!(built.boundaries("split"), built.stripped().boundaries_without_size("split"));
}

#[test]
fn a_tail_call_within_the_file_ends_where_its_target_returns() {
    for (variant, built) in variants() {
        let exits = built.exits("tail_direct");
        let Some((label, is_shared)) = exits.last().filter(|_| exits.len() == 1) else {
            panic!("{variant}: {exits:?}")
        };
        assert!(label.starts_with("local") && *is_shared, "{variant}: {exits:?}");
    }
}

#[test]
fn tail_calls_that_leave_the_file_are_refused_by_name() {
    for (variant, built) in variants() {
        let imported = Refusal::TailCall { how: TailCall::Imported, target: Some("imported".to_owned()) };
        assert_eq!(built.boundaries("tail_imported"), Err(imported.clone()), "{variant}");
        assert!(imported.to_string().contains("'imported'") && imported.hint().unwrap().contains("'imported'"));
        let pointer = Refusal::TailCall { how: TailCall::Indirect, target: None };
        assert_eq!(built.boundaries("tail_pointer"), Err(pointer), "{variant}");
    }
}

#[test]
fn functions_that_never_return_and_indirect_functions_are_refused() {
    let built = library(&[]);
    assert_eq!(built.boundaries("endless"), Err(Refusal::NoExit));
    assert_eq!(built.boundaries("chosen"), Err(Refusal::IndirectFunction));
}

#[test]
fn programs_are_read_like_libraries() {
    let main = "\nint imported(int a) { return a; }\nvoid failed(const char *w) { (void)w; }\nvoid use(char *p) { p[0] = 1; }\nint main(void) { return straight(1); }\n";
    let source = format!("{LIBRARY}{main}");
    for options in [&["-pie", "-fPIE"][..], &["-no-pie", "-fno-pie"], &["-static"], &["-static-pie", "-fPIE"]] {
        let mut command = vec!["gcc", "-O2", "-fno-inline", "-fno-ipa-icf", "-fno-ipa-ra"];
        command.extend(options);
        let built = Built::new(&command, "c", &source);
        for name in ["straight", "split", "many", "frameless"] {
            returns_agree(&built, name);
        }
        let exits = built.exits("tail_imported");
        assert!(matches!(&exits[..], [(label, true)] if label.starts_with("imported")), "{options:?}: {exits:?}");
    }
}

#[test]
fn c_plus_plus_with_exceptions_is_read() {
    let source = r#"
        #include <stdexcept>
        #include <string>
        extern "C" int work(int n) {
            std::string text(n, 'a');
            try {
                if (n > 3) throw std::runtime_error(text);
                return text.size();
            } catch (const std::runtime_error &error) {
                return error.what()[0];
            }
        }
    "#;
    for compiler in ["g++", "clang++"] {
        let built = Built::new(&[compiler, "-O2", "-fPIC", "-shared"], "cc", source);
        returns_agree(&built, "work");
        assert_eq!(built.boundaries("work"), built.stripped().boundaries_without_size("work"));
    }
}

#[test]
fn a_tail_call_through_a_constant_pointer_of_the_file_is_followed() {
    let source = r#"
        .text
        .globl f, g, h
        .type f, @function
        .type g, @function
        .type h, @function
        f: .cfi_startproc
        nop
        jmp *pointer(%rip)
        .cfi_endproc
        .size f, . - f
        g: .cfi_startproc
        nop
        end: ret
        .cfi_endproc
        .size g, . - g
        h: .cfi_startproc
        nop
        jmp *changing(%rip)
        .cfi_endproc
        .size h, . - h
        .section .data.rel.ro, "aw"
        pointer: .quad .Lg
        .data
        changing: .quad .Lg
    "#;
    let source = source.replace("g: .cfi", "g: .Lg: .cfi");
    let built = Built::new(&["cc", "-shared", "-nostdlib", "-Wl,-z,relro,-z,now"], "s", &source);
    assert_eq!(built.exits("f"), [("end".to_owned(), true)]);
    assert_eq!(built.boundaries("h"), Err(Refusal::TailCall { how: TailCall::Indirect, target: None }));
}
