//! Traps that compilers seldom make, by hand.

use ebrec::exits::Refusal;
use ebrec::exits::TailCall;

use super::built::Built;

/// One function with unwind information.
fn function(name: &str, body: &str) -> String {
    format!(
        ".text\n.globl {name}\n.type {name}, @function\n{name}:\n.cfi_startproc\n{body}\n.cfi_endproc\n.size {name}, . - {name}\n"
    )
}

fn refusal(body: &str) -> Refusal {
    let built = Built::assembly(&function("f", body));
    built.boundaries("f").expect_err(body)
}

fn own(labels: &[&str]) -> Vec<(String, bool)> {
    labels.iter().map(|label| ((*label).to_owned(), false)).collect()
}

#[test]
fn returns_with_prefixes_and_with_numbers_are_exits() {
    let built = Built::assembly(&function(
        "f",
        "test %edi, %edi\n je 1f\n js 2f\n one: ret\n 1: two: rep ret\n 2: three: ret $16",
    ));
    assert_eq!(built.exits("f"), own(&["one", "two", "three"]));
    assert_eq!(built.label(built.boundaries("f").unwrap().entry.offset), "f+2", "the jump is emulated");
}

#[test]
fn the_entry_moves_to_the_first_emulated_instruction() {
    let moved = |body: &str| {
        let built = Built::assembly(&function("f", body));
        let entry = built.boundaries("f").unwrap().entry;
        (built.label(entry.offset), entry.stack_delta)
    };
    let here = |label: &str, delta: u32| (label.to_owned(), delta);
    assert_eq!(moved("endbr64\n place: push %rbx\n pop %rbx\n ret"), here("place", 0));
    let frame = "sub $24, %rsp\n .cfi_adjust_cfa_offset 24\n mov %fs:40, %rax\n";
    let end = "add $24, %rsp\n .cfi_adjust_cfa_offset -24\n ret";
    assert_eq!(moved(&format!("{frame} place: call f\n {end}")), here("place", 24));
    assert_eq!(moved(&format!("{frame} xor %edi, %edi\n call f\n {end}")), here("f", 0), "an argument is overwritten");
    assert_eq!(
        moved(&format!("{frame} 1: nop\n test %eax, %eax\n jne 1b\n {end}")),
        here("f", 0),
        "a jump lands there"
    );
    assert_eq!(
        moved(&format!("{frame} nopl 0(%rax,%rax,1)\n place: call f\n {end}")),
        here("place", 24),
        "not on the nop of five"
    );
    assert_eq!(
        moved("sub $24, %rsp\n call f\n add $24, %rsp\n nop\n ret").0,
        "f",
        "an unwind table that knows nothing of the frame would give a wrong return address"
    );
}

#[test]
fn a_lone_return_is_refused() {
    assert_eq!(refusal("ret"), Refusal::EntryIsExit);
    assert_eq!(refusal("rep ret"), Refusal::EntryIsExit);
    let built = Built::assembly(&function("f", "endbr64\n one: ret"));
    assert_eq!(built.exits("f"), own(&["one"]));
}

#[test]
fn a_function_that_never_returns_is_refused() {
    assert_eq!(refusal("push %rbx\n .cfi_adjust_cfa_offset 8\n call f\n ud2"), Refusal::NoExit);
    assert_eq!(refusal("push %rbx\n .cfi_adjust_cfa_offset 8\n call f"), Refusal::NoExit);
    assert_eq!(refusal("xor %eax, %eax\n 1: jmp 1b"), Refusal::NoExit);
}

#[test]
fn jumps_back_to_the_entry_are_refused() {
    assert_eq!(refusal("dec %edi\n jne f\n ret"), Refusal::JumpsToEntry);
}

#[test]
fn code_that_contradicts_itself_is_refused() {
    let contradicts = |body: &str, what: &str| {
        let why = refusal(body);
        assert!(matches!(&why, Refusal::Contradiction { .. }) && why.to_string().contains(what), "{body}: {why}");
    };
    contradicts("push %rbx\n .cfi_adjust_cfa_offset 8\n ret", "while its unwind table says that its frame is there");
    contradicts("test %edi, %edi\n je 1f + 1\n 1: mov $5, %eax\n ret", "middle of an instruction");
    contradicts("ret\n mov $5, %eax", "runs on");
    contradicts(
        "je 1f\n push %rbx\n .cfi_adjust_cfa_offset 8\n 1: pop %rbx\n .cfi_adjust_cfa_offset -8\n ret",
        "another one",
    );
    contradicts("test %edi, %edi\n je 1f\n ret\n 1: lretq", "do not return by");
}

#[test]
fn bytes_that_are_no_instruction_are_refused() {
    assert!(matches!(refusal("test %edi, %edi\n je 1f\n .byte 0x06\n 1: ret"), Refusal::Undecodable { .. }));
    assert!(matches!(refusal("ret\n .byte 0x48"), Refusal::Undecodable { .. }), "cut off");
}

#[test]
fn instructions_that_the_kernel_refuses_are_not_probed() {
    assert!(matches!(refusal("lock incl (%rdi)\n ret"), Refusal::Unprobeable { .. }));
    assert!(matches!(refusal("nop\n .byte 0x2e\n ret"), Refusal::Unprobeable { .. }), "a return with a segment prefix");
}

#[test]
fn more_than_64_returns_are_refused() {
    let returns = |count: usize| function("f", &format!("nop\n {}", "test %edi, %edi\n ret\n".repeat(count)));
    assert_eq!(Built::assembly(&returns(64)).exits("f").len(), 64);
    assert_eq!(Built::assembly(&returns(65)).boundaries("f"), Err(Refusal::TooManyExits));
}

#[test]
fn a_body_of_a_mebibyte_is_refused() {
    let body = |size: usize| function("f", &format!("nop\n .skip {size}, 0x90\n ret"));
    assert_eq!(Built::assembly(&body((1 << 20) - 2)).exits("f").len(), 1);
    assert!(matches!(Built::assembly(&body(1 << 20)).boundaries("f"), Err(Refusal::TooLarge { .. })));
}

#[test]
fn a_jump_through_an_array_of_functions_is_no_switch() {
    let table = |entry: &str| {
        format!(
            "{}{}.section .data.rel.ro, \"aw\"\n table: .quad {entry}, {entry}\n",
            function("g", "nop\n ret"),
            function("f", "lea table(%rip), %rax\n jmp *(%rax,%rdi,8)\n case: ret")
        )
    };
    assert_eq!(Built::assembly(&table("case")).exits("f"), own(&["case"]));
    let tail = Refusal::TailCall { how: TailCall::Indirect, target: None };
    assert_eq!(Built::assembly(&table("g")).boundaries("f"), Err(tail));
}

#[test]
fn a_jump_marked_as_a_switch_stays_in_the_function() {
    let built = Built::assembly(&function("f", "nop\n notrack jmp *%rax\n case: ret"));
    assert_eq!(built.exits("f"), own(&["case"]));
    assert_eq!(refusal("jmp *%rax\n case: ret"), Refusal::TailCall { how: TailCall::Indirect, target: None });
}

#[test]
fn tail_calls_in_a_circle_end() {
    let circle = |names: &[&str]| {
        names
            .iter()
            .zip(names.iter().cycle().skip(1))
            .map(|(name, next)| {
                function(name, &format!("nop\n jne .L{next}\n ret"))
                    .replace(&format!("{name}:\n"), &format!("{name}:\n.L{name}:\n"))
            })
            .collect::<String>()
    };
    // Back at the first it looks like another call.
    assert_eq!(Built::assembly(&circle(&["f", "g"])).boundaries("f"), Err(Refusal::JumpsToEntry));
    let many: String = (0..20)
        .map(|n| {
            function(&format!("f{n}"), &format!("nop\n jne .Lf{}\n ret", n + 1))
                .replace(&format!("f{n}:\n"), &format!("f{n}:\n.Lf{n}:\n"))
        })
        .collect();
    let many = many + &function("f20", "nop\n ret").replace("f20:\n", "f20:\n.Lf20:\n");
    let built = Built::assembly(&many);
    assert!(matches!(built.boundaries("f0"), Err(Refusal::TailCall { how: TailCall::TooMany, .. })));
    assert_eq!(built.exits("f13").len(), 8, "eight functions are followed");
}

#[test]
fn without_an_unwind_table_code_that_jumps_out_is_refused() {
    let plain = |name: &str, body: &str| function(name, body).replace(".cfi_startproc", "").replace(".cfi_endproc", "");
    let both = plain("g", "nop\n ret") + &plain("f", "nop\n jne 1b + 1\n ret").replace("1b + 1", ".Lg");
    let both = both.replace("g:\n", "g:\n.Lg:\n");
    let built = Built::assembly(&both);
    assert_eq!(built.exits("g"), own(&["g+1"]));
    assert!(matches!(built.boundaries("f"), Err(Refusal::NoUnwindTable { .. })));
}

#[test]
fn a_jump_into_the_middle_of_a_part_without_a_frame_is_followed() {
    // As compilers make it where two jumps of a function without a frame lead into its split-off part.
    let part = ".cfi_startproc\n .Lpart: inc %eax\n .Lmiddle: inc %eax\n end: ret\n .cfi_endproc\n";
    let source = function("f", "test %edi, %edi\n jne .Lmiddle\n own: ret") + part;
    assert_eq!(Built::assembly(&source).exits("f"), [("own".to_owned(), false), ("end".to_owned(), true)]);
    let inside = source.replace("jne .Lmiddle", "jne .Lmiddle + 1");
    assert!(matches!(Built::assembly(&inside).boundaries("f"), Err(Refusal::Contradiction { .. })));
}
