use super::Machine;
use super::Offer;
use crate::bpf::skip::skip;
use crate::events::parse;
use crate::host::Host;
use crate::host::tracefs::Tracefs;
use crate::probe::event::CustomEvent;
use crate::probe::event::Space;
use crate::probe::event::Step;
use crate::probe::event::TEXT_LIMIT;
use crate::probe::event::TextKind;
use crate::probe::event::Value;
use crate::probe::hook::Hook;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// `None`, which skips the test, where the kernel has no type information or hides its functions.
fn offer(text: &str) -> Option<Result<Offer, String>> {
    if !Path::new("/sys/kernel/btf/vmlinux").exists()
        || std::fs::read("/proc/kallsyms").is_ok_and(|text| text.is_empty())
    {
        skip("events::resolve", "this kernel shows neither types nor functions");
        return None;
    }
    Some(offered(text, &Host::this().tracefs))
}

fn offered(text: &str, tracefs: &Tracefs) -> Result<Offer, String> {
    let mut machine = Machine {
        tracefs,
        registers: 6,
        pids: &[],
        with_values: true,
        nops_are_replaced: true,
        functions: None,
        types: HashMap::new(),
    };
    parse(text).and_then(|spec| machine.offer(text, &spec)).map_err(|error| error.failure(text).to_string())
}

fn event(text: &str) -> Option<CustomEvent> {
    Some(offer(text)?.unwrap_or_else(|error| panic!("{error}")).event)
}

fn wrong(text: &str) -> Option<String> {
    Some(offer(text)?.map(|offer| panic!("{:?}", offer.event)).unwrap_err())
}

#[test]
fn kernel_functions_have_their_parameters_by_name() {
    let Some(found) =
        event("fentry:tcp_connect(port=sk->__sk_common.skc_dport, by(sk->__sk_common.skc_family), stack)")
    else {
        return;
    };
    assert_eq!(found.label, found.text, "the text is the name");
    let Hook::Fentry { functions, at_return: false } = &found.hook else { panic!("{:?}", found.hook) };
    assert_eq!(
        functions.iter().map(|one| (one.name.as_str(), one.parameters)).collect::<Vec<_>>(),
        [("tcp_connect", 1)]
    );
    assert_eq!(found.captures.iter().map(|capture| capture.name.as_str()).collect::<Vec<_>>(), ["port"]);
    assert!(found.by.is_some_and(|by| by.name == "skc_family") && found.kernel_stack && !found.user_stack);
    let Some(found) = event("latency:vfs_read(count, hist(count), raw)/duration > 1ms && retval < 0/") else { return };
    assert_eq!(found.hook, Hook::KernelLatency { functions: vec!["vfs_read".to_owned()] });
    assert!(found.every_hit && found.hist.is_some() && found.filter.contains(&Step::Duration));
}

#[test]
fn a_path_in_any_memory_is_kept_as_text() {
    let Some(found) = event("kprobe:do_sys_openat2(path=str(arg1))") else { return };
    let address = vec![Step::Argument(1)];
    let value = Value::Text { address, kind: TextKind::String { space: Space::ByAddress, limit: TEXT_LIMIT } };
    assert_eq!(
        found.captures.iter().map(|capture| (capture.name.as_str(), &capture.value)).collect::<Vec<_>>(),
        [("path", &value)]
    );
}

#[test]
fn a_glob_takes_many_functions_and_their_common_parameters() {
    let Some(found) = event("kprobe:vfs_*") else { return };
    let Hook::Kprobe { functions, .. } = found.hook else { panic!("{:?}", found.hook) };
    assert!(functions.len() > 10 && functions.iter().all(|name| name.starts_with("vfs_")));
    let Some(mixed) = wrong("kprobe:vfs_*(count)") else { return };
    assert!(mixed.contains("there is no value 'count' here"), "{mixed}");
    let Some(all) = wrong("kprobe:*") else { return };
    assert!(all.contains("kernel functions match '*', more than") || all.contains("functions match '*'"), "{all}");
}

#[test]
fn mistakes_point_at_what_is_wrong() {
    for (text, message) in [
        (
            "kprobe:vfs_raed",
            "the kernel has no function 'vfs_raed', or none is left since it was inlined wherever it is called, at character 8 of",
        ),
        ("kprobe:vfs_read(cuont)", "there is no value 'cuont' here, at character 17 of"),
        (
            "kprobe:vfs_read(arg7)",
            "there is no arg7 here: 'vfs_read' has 4 arguments, arg0 to arg3, at character 17 of",
        ),
        (
            "kprobe:vfs_read(retval)",
            "nothing is returned yet at the entry: 'kretprobe', or 'latency', at character 17 of",
        ),
        (
            "kretprobe:vfs_read(arg0)",
            "there is no arg0 here: they are gone when a function returns; 'fexit' and 'latency' keep them, at",
        ),
        ("rawtp:sched_swich", "there is no raw tracepoint named 'sched_swich', at character 7 of"),
        ("kprobe:vfs_read(hist(count), hist(count))", "an event can have only one 'hist(…)', at character 30 of"),
        ("kprobe:vfs_read(count, count)", "'count' is captured twice, at character 24 of"),
        ("kprobe:vfs_read(a=count, a=buf)", "a second value is named 'a', at character 26 of"),
        ("latency:vfs_read(1,2,3,4,5,6,7)", "an event captures at most 6 numbers, at character 30 of"),
        ("kprobe:vfs_read(duration)", "only 'latency' events have a duration, at character 17 of"),
    ] {
        let Some(said) = wrong(text) else { return };
        assert!(said.starts_with(message), "{text}: {said}");
    }
}

#[test]
fn raw_trace_points_have_typed_arguments() {
    let Some(found) = event("rawtp:sched_switch(next->pid, next->comm)") else { return };
    assert_eq!(found.hook, Hook::RawTracepoint { points: vec!["sched_switch".to_owned()] });
    assert!(matches!(found.captures.get(1).map(|capture| &capture.value), Some(Value::Text { .. })));
}

#[test]
fn trace_points_have_fields_and_those_of_system_calls_are_of_the_caller() {
    let place = tempfile::tempdir().unwrap();
    let format = |point: &str, fields: &str| {
        let directory = place.path().join("events").join(point);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("format"), fields).unwrap();
    };
    format(
        "block/block_rq_issue",
        "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\tfield:sector_t sector;\toffset:16;\tsize:8;\tsigned:0;\n\tfield:char rwbs[10];\toffset:34;\tsize:10;\tsigned:0;\n",
    );
    format(
        "syscalls/sys_enter_openat",
        "\tfield:int dfd;\toffset:16;\tsize:8;\tsigned:0;\n\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;\n",
    );
    let tracefs = Tracefs::Mounted(place.path().to_owned());
    let found = offered("tracepoint:block:block_rq_issue(sector, rwbs)/rwbs == \"W\"/", &tracefs).unwrap();
    assert_eq!(
        found.values,
        [("sector".to_owned(), "sector_t".to_owned()), ("rwbs".to_owned(), "char[10]".to_owned())]
    );
    assert!(
        matches!(found.event.captures.as_slice(), [one, two] if matches!(one.value, Value::Number(_)) && matches!(two.value, Value::Text { .. }))
    );
    let found = offered("tracepoint:syscalls:sys_enter_openat(str(filename), dfd)", &tracefs).unwrap();
    let load = |offset, size, signed| Step::Load { offset, size, signed, big_endian: false, space: Space::Kernel };
    let path = Value::Text {
        address: vec![Step::Record, load(24, 8, false)],
        kind: TextKind::String { space: Space::User, limit: TEXT_LIMIT },
    };
    assert_eq!(found.event.captures[0].value, path);
    assert_eq!(found.event.captures[1].value, Value::Number(vec![Step::Record, load(16, 4, true)]));
    let said = offered("tracepoint:block:block_rq_issue(arg0)", &tracefs).err().unwrap();
    assert!(said.starts_with("there is no arg0 here: a tracepoint has fields, these are sector, rwbs, at"), "{said}");
    let said = offered("tracepoint:block:block_rq_isue", &Tracefs::NotMounted).err().unwrap();
    assert!(said.starts_with("tracefs is not mounted"), "{said}");
}

const GO: &str = "\t.section .go.buildinfo,\"a\"\n\t.quad 1\n";
/// A function that returns, and one that does not.
#[cfg(target_arch = "x86_64")]
const RETURNS: &str = "\t.text\n\t.globl returns, never_returns\n\t.type returns,@function\n\t.type never_returns,@function\n\
    returns:\t.cfi_startproc\n\tpush %rbx\n\t.cfi_adjust_cfa_offset 8\n\tpop %rbx\n\t.cfi_adjust_cfa_offset -8\n\tret\n\
    \t.cfi_endproc\n\t.size returns,.-returns\n\
    never_returns:\t.cfi_startproc\n\tnop\n\tud2\n\t.cfi_endproc\n\t.size never_returns,.-never_returns\n";
const PROGRAM: &str = "
#include <stdio.h>
namespace shop { int price(int n) { return n + 1; } int price(long n) { return n + 2; } }
int main(int argc, char **argv) { (void)argv; printf(\"%d\\n\", shop::price(argc) + shop::price(1L)); }
";

/// A C++ program; `None`, which skips the test, where there is no compiler.
fn program(directory: &Path, with: &str) -> Option<String> {
    let (source, out) = (directory.join("shop.cpp"), directory.join("shop"));
    let text = format!("{PROGRAM}\n{}", if with.is_empty() { String::new() } else { format!("asm({with:?});") });
    std::fs::write(&source, text).unwrap();
    let compiled = Command::new("c++").args(["-O0", "-o"]).arg(&out).arg(&source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        skip("events::resolve", "no C++ compiler");
        return None;
    }
    out.to_str().map(str::to_owned)
}

#[test]
fn functions_of_cpp_are_found_with_and_without_parameters() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = program(directory.path(), "") else { return };
    let places = |function: &str| match offered(&format!("uprobe:{path}:{function}"), &Tracefs::NotMounted)
        .unwrap()
        .event
        .hook
    {
        Hook::Uprobe { places } => places.into_iter().map(|place| place.function).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(places("shop::price").len(), 2);
    assert_eq!(places("\"shop::price(int)\"(arg0)"), ["shop::price(int)"]);
    assert_eq!(places("shop::pr*").len(), 2);
    assert_eq!(places("main"), ["main"]);
    let said = offered(&format!("uprobe:{path}:shop::prize"), &Tracefs::NotMounted).err().unwrap();
    assert!(said.contains("has no function 'shop::prize'"), "{said}");
}

#[test]
fn go_programs_are_never_returned_from_by_trampoline() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = program(directory.path(), &format!("{GO}\t.text\n")) else { return };
    for sort in ["uretprobe", "latency"] {
        let said = offered(&format!("{sort}:{path}:main(trampoline)"), &Tracefs::NotMounted).err().unwrap();
        assert!(said.contains("is a Go program, and a return trampoline would crash it"), "{said}");
    }
    assert!(offered(&format!("uprobe:{path}:main"), &Tracefs::NotMounted).is_ok());
    let said = offered(&format!("uprobe:{path}:main(arg0)"), &Tracefs::NotMounted).err().unwrap();
    assert!(said.starts_with("there is no arg0 here: Go has its own calling convention"), "{said}");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn returns_are_taken_at_exits_unless_the_trampoline_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = program(directory.path(), RETURNS) else { return };
    let hook = |text: &str| offered(&text.replace("FILE", &path), &Tracefs::NotMounted).unwrap().event;
    for sort in ["uretprobe", "latency"] {
        let functions = |event: CustomEvent| event.hook.at_exits().map(<[_]>::len);
        assert_eq!(functions(hook(&format!("{sort}:FILE:returns"))), Some(1));
        assert_eq!(functions(hook(&format!("{sort}:FILE:returns(trampoline)"))), None);
        let some = hook(&format!("{sort}:FILE:*returns"));
        let left_out: Vec<&str> = some.left_out.iter().map(|one| &*one.name).collect();
        assert_eq!((left_out, some.hook.places()), (vec!["never_returns"], 1));
        let said = offered(&format!("{sort}:{path}:never_returns"), &Tracefs::NotMounted).err().unwrap();
        assert!(said.starts_with("can't take the returns of 'never_returns': it never returns"), "{said}");
    }
}

#[test]
fn static_probes_are_found_with_how_many_arguments_they_have() {
    if !Path::new("/usr/lib/x86_64-linux-gnu/libstdc++.so.6").exists() {
        return skip("static_probes_are_found_with_how_many_arguments_they_have", "no libstdc++ where Debian has it");
    }
    let found = offered("usdt:libstdc++:libstdcxx:throw(arg1)", &Tracefs::NotMounted).unwrap().event.hook;
    let Hook::Usdt { provider, names, .. } = found else { panic!("{found:?}") };
    assert_eq!((provider.as_str(), names.as_slice()), ("libstdcxx", &["throw".to_owned()][..]));
    let wrong = |text: &str| offered(text, &Tracefs::NotMounted).err().unwrap();
    assert!(
        wrong("usdt:libstdc++:libstdcxx:throw(arg2)").starts_with("there is no arg2 here: 'throw' has 2 arguments")
    );
    assert!(wrong("usdt:libstdc++:libstdcxx:thro").starts_with("there is no static probe of 'libstdcxx' named 'thro'"));
    assert!(wrong("usdt:libstdc++:lib:throw").starts_with("there is no provider of static probes named 'lib'"));
}
