//! Nops of five bytes in functions that keep values below their stack pointers.

use ebrec::exits::NopSite;

use super::built::Built;

/// A static probe's nop as compilers place it, with a label.
const LEAF: &str = r#"
#define SITE(name) asm volatile(".globl " name "\n" name ": .byte 0x0f, 0x1f, 0x44, 0, 0" ::: "memory")
extern void use(volatile long *);
long leaf(long a) {
	volatile long room[6];
	for (int i = 0; i < 6; i++) room[i] = a * i;
	SITE("in_leaf");
	return room[0] + room[5];
}
long caller(long a) {
	volatile long room[6];
	for (int i = 0; i < 6; i++) room[i] = a * i;
	SITE("in_caller");
	use(room);
	return room[0] + room[5];
}
long none(long a) {
	a *= 3;
	SITE("in_none");
	return a + 1;
}
long ends_at_a_jump(long a) {
	volatile long room[6];
	room[1] = a;
	do {
		SITE("before_target");
		asm volatile(".globl target\ntarget:");
		room[0] += room[1];
	} while (--a);
	return room[0];
}
"#;

fn site(options: &[&str], label: &str) -> (Built, NopSite) {
    let mut command = vec!["gcc", "-fPIC", "-shared"];
    command.extend(options);
    let built = Built::new(&command, "c", LEAF);
    let site = built.nop_site(label);
    (built, site)
}

#[test]
fn a_nop_in_a_leaf_that_uses_the_red_zone_is_harmful_and_the_next_instruction_is_not() {
    for options in [&["-O2"][..], &["-O1"], &["-O0"], &["-O2", "-fno-omit-frame-pointer"], &["-Os"]] {
        let (built, site) = site(options, "in_leaf");
        let (nop, _) = built.symbol("in_leaf");
        assert_eq!(site, NopSite::Harmful { instead: Some(nop + 5) }, "{options:?}");
    }
}

#[test]
fn a_nop_in_a_function_without_a_red_zone_is_harmless() {
    for options in [&["-O2"][..], &["-O1"], &["-O0"], &["-O2", "-fno-omit-frame-pointer"]] {
        assert_eq!(site(options, "in_caller").1, NopSite::Harmless, "{options:?}");
        let in_leaf = site(&[options, &["-mno-red-zone"]].concat(), "in_leaf").1;
        assert_eq!(in_leaf, NopSite::Harmless, "{options:?} without a red zone");
    }
    assert_eq!(site(&["-O2"], "in_none").1, NopSite::Harmless);
}

#[test]
fn other_instructions_are_not_replaced() {
    let (built, _) = site(&["-O2"], "in_leaf");
    assert_eq!(ebrec::exits::nop_site(&built.program(), built.symbol("leaf").0), Ok(NopSite::OtherInstruction));
    assert!(ebrec::exits::nop_site(&built.program(), 0xffff_ffff_ffff_fffc).is_err());
}

#[test]
fn the_next_instruction_is_not_taken_if_jumps_lead_there() {
    let source = ".text\n.globl f\n.type f, @function\nf:\n.cfi_startproc\n mov %rdi, -8(%rsp)\n test %edi, %edi\n je 1f\n.globl nop\nnop: .byte 0x0f, 0x1f, 0x44, 0, 0\n 1: mov -8(%rsp), %rax\n ret\n.cfi_endproc\n.size f, . - f\n";
    assert_eq!(Built::assembly(source).nop_site("nop"), NopSite::Harmful { instead: None });
    let twice = source.replace("1: mov", ".byte 0x0f, 0x1f, 0x44, 0, 0\n 1: mov");
    assert_eq!(
        Built::assembly(&twice).nop_site("nop"),
        NopSite::Harmful { instead: None },
        "another nop of five bytes"
    );
    for other in ["0x66, 0x0f, 0x1f, 0x40, 0", "0x48, 0x8d, 0x64, 0x24, 0", "0xe9, 0, 0, 0, 0"] {
        let other = source.replace("0x0f, 0x1f, 0x44, 0, 0", other);
        assert_eq!(Built::assembly(&other).nop_site("nop"), NopSite::Harmful { instead: None }, "{other}");
    }
    let switch = source.replace("je 1f", "jmp *%rax");
    assert_eq!(
        Built::assembly(&switch).nop_site("nop"),
        NopSite::Harmful { instead: None },
        "who knows where that leads"
    );
}
