//! Go programs: by their function table, stripped or not, with the entry behind the stack check.

use std::fs;
use std::path::Path;
use std::process::Command;

use ebrec::exits::Pairing;
use ebrec::exits::Program;
use ebrec::exits::Refusal;
use object::Object;
use object::ObjectSection;

use super::built::Built;
use super::built::run;
use super::objdump;
use crate::skip::skip;

const SOURCE: &str = r#"
package main

import "os"

//go:noinline
func leaf(a, b int) int { return a*b + 1 }

//go:noinline
func grow(n int) int {
	var room [256]byte
	if n == 0 {
		return len(os.Args)
	}
	room[n&255] = byte(n)
	return grow(n-1) + int(room[(n*7)&255])
}

//go:noinline
func big(n int) int {
	var room [100000]byte
	for i := range room {
		room[i] = byte(i * n)
	}
	return int(room[n])
}

//go:noinline
func choose(n int, f func(int) int) int {
	switch n {
	case 0:
		return f(1)
	case 1:
		return f(2) + n
	case 2:
		return f(3) * n
	case 3:
		return f(n)
	case 4:
		return 17
	case 5:
		return f(f(n))
	case 6:
		return f(9) - 1
	case 7:
		return n * n
	case 8:
		return f(8) ^ 8
	}
	return 0
}

//go:noinline
func recovering(f func(int) int) (n int) {
	defer func() {
		if r := recover(); r != nil {
			n = 1
		}
	}()
	return f(0)
}

func main() {
	n := len(os.Args)
	println(leaf(n, 3), grow(10), big(5), choose(n, grow), recovering(func(n int) int { panic("x") }))
}
"#;

/// Who links a program: Go itself, or the C compiler, as where it has C code, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linker {
    Go,
    C,
}

fn program(directory: &Path, mode: &str, linker: Linker) -> Built {
    let source = directory.join("main.go");
    let path = directory.join(format!("{mode}-{linker:?}"));
    let mut command = Command::new("go");
    command.args(["build", &format!("-buildmode={mode}")]);
    match linker {
        Linker::Go => {
            fs::write(&source, SOURCE).unwrap();
            command.env("CGO_ENABLED", "0");
        }
        Linker::C => {
            let c = "// static int none(void) { return 0; }\nimport \"C\"\nimport \"os\"";
            let text = SOURCE.replace("import \"os\"", c);
            fs::write(&source, text.replace("n := len(os.Args)\n", "n := len(os.Args) + int(C.none())\n")).unwrap();
            command.arg("-ldflags=-linkmode=external").env("CGO_ENABLED", "1");
        }
    }
    command.arg("-o").arg(&path).arg(&source);
    run(command.env("GOCACHE", directory.join("cache")).env("GOFLAGS", "").env("GO111MODULE", "off"));
    Built::open(&path)
}

/// Where the entry is, in bytes behind the function's first instruction.
fn moved(built: &Built, name: &str) -> u64 {
    built.boundaries(name).unwrap_or_else(|why| panic!("{name}: {why}")).entry.offset - built.offset(name)
}

#[test]
fn go_functions_are_found_behind_their_stack_checks_stripped_or_not() {
    if Command::new("go").arg("version").output().is_err() {
        return skip("go_functions_are_found_behind_their_stack_checks_stripped_or_not", "no Go compiler");
    }
    let directory = tempfile::tempdir().unwrap();
    for (mode, linker) in [("exe", Linker::Go), ("pie", Linker::Go), ("exe", Linker::C), ("pie", Linker::C)] {
        println!("{mode} {linker:?}");
        let built = program(directory.path(), mode, linker);
        let mnemonics = objdump::mnemonics(&built.path);
        for name in ["main.leaf", "main.grow", "main.big", "main.choose", "main.recovering", "main.main"] {
            let boundaries = built.boundaries(name).unwrap_or_else(|why| panic!("{mode} {name}: {why}"));
            assert_eq!(boundaries.pairing, Pairing::Goroutine, "{mode} {name}");
            let (address, size) = built.symbol(name);
            let own = mnemonics.range(address..address + size);
            let returns = own.clone().filter(|(_, text)| objdump::is_return(text)).count();
            assert_eq!(boundaries.exits.len(), returns, "{mode} {name}");
            // Whatever comes back to the first instruction must not come to the entry's place again.
            let checks =
                own.clone().filter(|(_, text)| text.starts_with("jbe ") || text.starts_with("jb ")).map(|(at, _)| *at);
            let last_check = checks.filter(|at| at - address < 32).max();
            let first = built.offset(name);
            match last_check {
                Some(check) => assert!(boundaries.entry.offset - first > check - address, "{mode} {name}"),
                None => assert_eq!(name, "main.leaf", "a stack check was not recognized by this test"),
            }
        }
        assert!(moved(&built, "main.big") >= 18, "two checks: of the frame's size and of the stack's end");
        same_without_symbols(&built);
    }
}

/// A stripped program has the same functions at the same places, by name.
fn same_without_symbols(built: &Built) {
    let stripped = built.stripped();
    let program = Program::read(&*stripped.bytes).unwrap();
    let whole = built.program();
    let mut compared = 0;
    let mut accepted = 0;
    for function in program.go_functions() {
        let Some((_, address, size)) = built.functions().find(|(name, ..)| *name == function.name) else { continue };
        if address != function.address {
            continue; // An assembly function and its wrapper share a name.
        }
        assert!(function.size >= size && function.size - size < 64, "{}: {size} {}", function.name, function.size);
        let with = ebrec::exits::boundaries(&whole, address, Some(size));
        let without = ebrec::exits::boundaries(&program, function.address, Some(function.size));
        assert_eq!(with.as_ref().ok(), without.as_ref().ok(), "{}: {with:?} {without:?}", function.name);
        accepted += usize::from(with.is_ok());
        compared += 1;
    }
    assert!(compared > 1000 && accepted * 10 > compared * 8, "{accepted} of {compared}");
}

#[test]
fn assembly_without_a_goroutine_in_its_register_is_refused() {
    if Command::new("go").arg("version").output().is_err() {
        return skip("assembly_without_a_goroutine_in_its_register_is_refused", "no Go compiler");
    }
    let directory = tempfile::tempdir().unwrap();
    let built = program(directory.path(), "exe", Linker::Go);
    assert_eq!(built.boundaries("runtime.systemstack.abi0"), Err(Refusal::GoStackAbi));
    let stripped = built.stripped();
    assert_eq!(stripped.boundaries_without_size("runtime.systemstack.abi0"), Err(Refusal::GoStackAbi));
}

#[test]
fn a_table_that_does_not_say_where_the_code_begins_is_read_like_others() {
    if Command::new("go").arg("version").output().is_err() {
        return skip("a_table_that_does_not_say_where_the_code_begins_is_read_like_others", "no Go compiler");
    }
    let directory = tempfile::tempdir().unwrap();
    // Linked by C's linker, the section begins with code that isn't Go's.
    let built = program(directory.path(), "exe", Linker::C);
    let elf = object::File::parse(&*built.bytes).unwrap();
    let (table, _) = elf.section_by_name(".gopclntab").unwrap().file_range().unwrap();
    let at = usize::try_from(table).unwrap() + 24;
    // As Go 1.26 and later leave it.
    let mut bytes = built.bytes.clone();
    assert_ne!(bytes[at..at + 8], [0; 8]);
    bytes[at..at + 8].fill(0);
    let functions = |bytes: &[u8]| {
        let program = Program::read(bytes).unwrap();
        program.go_functions().map(|function| (function.name.to_owned(), function.address)).collect::<Vec<_>>()
    };
    let expected = functions(&built.bytes);
    assert!(expected.len() > 1000);
    assert_eq!(functions(&bytes), expected);
    // Without any hint nothing of Go's is taken, since its functions look like C's.
    let magic = at - 24;
    bytes[magic..magic + 4].fill(0);
    let (address, size) = built.symbol("main.leaf");
    let program = Program::read(&*bytes).unwrap();
    assert_eq!(ebrec::exits::boundaries(&program, address, Some(size)), Err(Refusal::UnknownToGo));
}
