use super::Machine;
use super::Symbols;
use super::arguments;
use crate::probe::site::Located;
use crate::probe::site::SiteArgument;
use proptest::proptest;

/// One symbol that is known.
struct Known;

impl Symbols for Known {
    fn distance(&self, name: &str) -> Result<i64, String> {
        if name == "counter" || name == "a.0" { Ok(100) } else { Err(format!("'{name}' is not known")) }
    }
}

fn located(text: &str, machine: Machine) -> Vec<Located> {
    let read = arguments(text, machine, &Known).into_iter();
    read.map(|one| match one {
        SiteArgument::Located(located) => located,
        SiteArgument::Unreadable(why) => panic!("{why}"),
    })
    .collect()
}

fn unreadable(text: &str, machine: Machine) -> String {
    match arguments(text, machine, &Known).remove(0) {
        SiteArgument::Located(located) => panic!("{text}: {located:?}"),
        SiteArgument::Unreadable(why) => why,
    }
}

#[test]
fn operands_of_x86_64_are_read_as_the_assembler_wrote_them() {
    let none = Located::default();
    let (rdi, rbp, rax, rdx, rsp) = (Some(14), Some(4), Some(10), Some(12), Some(19));
    for (text, expected) in [
        ("-4@%edi", Located { base: rdi, size: 4, signed: true, ..none.clone() }),
        ("8@%rsp", Located { base: rsp, size: 8, ..none.clone() }),
        ("1@%r10b", Located { base: Some(7), size: 1, ..none.clone() }),
        ("2@%r9w", Located { base: Some(8), size: 2, ..none.clone() }),
        ("8@$-7", Located { number: -7, size: 8, ..none.clone() }),
        ("8@$0x10", Located { number: 16, size: 8, ..none.clone() }),
        ("-4@-20(%rbp)", Located { number: -20, base: rbp, in_memory: true, size: 4, signed: true, ..none.clone() }),
        ("8@(%rax)", Located { base: rax, in_memory: true, size: 8, ..none.clone() }),
        (
            "8@8(%rdx,%rax,4)",
            Located { number: 8, base: rdx, index: rax, shift: 2, in_memory: true, size: 8, ..none.clone() },
        ),
        ("8@(,%rax,8)", Located { index: rax, shift: 3, in_memory: true, size: 8, ..none.clone() }),
        (
            "-4@counter(%rip)",
            Located { number: 100, from_probe: true, in_memory: true, size: 4, signed: true, ..none.clone() },
        ),
        ("4@counter+4(%rip)", Located { number: 104, from_probe: true, in_memory: true, size: 4, ..none.clone() }),
        ("4@-8+a.0(%rip)", Located { number: 92, from_probe: true, in_memory: true, size: 4, ..none.clone() }),
        (
            "4@counter(,%rax,4)",
            Located { number: 100, index: rax, shift: 2, from_probe: true, in_memory: true, size: 4, ..none.clone() },
        ),
        ("8@$counter", Located { number: 100, from_probe: true, size: 8, ..none.clone() }),
        ("4@counter", Located { number: 100, from_probe: true, in_memory: true, size: 4, ..none.clone() }),
    ] {
        assert_eq!(located(text, Machine::X86_64), [expected], "{text}");
    }
}

#[test]
fn operands_of_aarch64_may_have_blanks() {
    let none = Located::default();
    let read = located("-8@x0 8@[sp, 16] 4@5 8@[x1, x2, lsl 3] -2@w3", Machine::Aarch64);
    let expected = [
        Located { base: Some(0), size: 8, signed: true, ..none.clone() },
        Located { number: 16, base: Some(31), in_memory: true, size: 8, ..none.clone() },
        Located { number: 5, size: 4, ..none.clone() },
        Located { base: Some(1), index: Some(2), shift: 3, in_memory: true, size: 8, ..none.clone() },
        Located { base: Some(3), size: 2, signed: true, ..none.clone() },
    ];
    assert_eq!(read, expected);
}

#[test]
fn what_can_t_be_read_says_why_and_leaves_the_others() {
    for (text, why) in [
        ("8f@%xmm0", "'8f@%xmm0': it is a floating-point number"),
        ("8@%xmm0", "'8@%xmm0': the kernel does not keep the register '%xmm0'"),
        ("1@%ah", "'1@%ah': the kernel does not keep the register '%ah'"),
        ("4@%fs:x@tpoff", "'4@%fs:x@tpoff': it is in a segment of its own, as thread-local variables are"),
        ("4@8(%rip)", "'4@8(%rip)': it is relative to another instruction"),
        ("4@other(%rip)", "'4@other(%rip)': 'other' is not known"),
        ("8@f@GOTPCREL(%rip)", "'8@f@GOTPCREL(%rip)': 'f@GOTPCREL' is found by way of a table"),
        ("16@%rax", "'16@%rax': it has 16 bytes"),
    ] {
        assert_eq!(unreadable(text, Machine::X86_64), why);
    }
    let both = arguments("4@other(%rip) -4@%eax", Machine::X86_64, &Known);
    assert!(matches!(both[..], [SiteArgument::Unreadable(_), SiteArgument::Located(_)]), "{both:?}");
    assert_eq!(unreadable("8@d0", Machine::Aarch64), "'8@d0': the kernel does not keep the register 'd0'");
    assert_eq!(
        unreadable("8@[x0, w1, sxtw 2]", Machine::Aarch64),
        "'8@[x0, w1, sxtw 2]': its index is half a register"
    );
    assert!(arguments("", Machine::X86_64, &Known).is_empty());
}

proptest! {
    #[test]
    fn any_text_is_read(text in "[-0-9@%$a-z(), \\[\\]+.]{0,60}") {
        arguments(&text, Machine::X86_64, &Known);
        arguments(&text, Machine::Aarch64, &Known);
    }
}
