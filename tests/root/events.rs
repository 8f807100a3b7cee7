//! Custom events against a program that knows what its functions are called with, how often, and for how long.

mod frames;
mod go;
mod peers;
mod target;
mod values;

use std::collections::BTreeMap;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::skip;
use target::Target;
use target::counts;
use target::is_whole;
use target::kernel_functions;
use target::total;

#[test]
#[ignore = "root: attaches probes"]
fn arguments_of_a_function_are_what_it_was_called_with() {
    let target = Target::build();
    let event = "uprobe:FILE:called(number=arg0,negative=arg1,name=str(arg2),hist(arg0))";
    let (taken, _) = target.recorded(event, "calls 200");
    is_whole(&taken);
    assert_eq!(total(&taken), 200);
    let rows = taken.rows("event", &["arg_0", "arg_1", "str_0", "comm"]);
    assert_eq!(rows.count(), 200);
    for (number, row) in (0i64..).zip(rows.iter()) {
        assert_eq!((row.int("arg_0"), row.int("arg_1")), (number, -number));
        assert_eq!((row.text("str_0"), row.text("comm")), (Some(&*format!("name {number}")), Some("target")));
    }
    let values = taken.histogram("events.value", &[], |_| true);
    assert_eq!((values.count(), taken.metric("events.value", &[]).sum("sum")), (200, 199 * 100));
    let [event] = &taken.recording.meta().events[..] else { panic!("{:?}", taken.recording.meta().events) };
    let captures: Vec<_> = event.captures.iter().map(|one| (&*one.column, &*one.name)).collect();
    assert_eq!(captures, [("arg_0", "number"), ("arg_1", "negative"), ("str_0", "name")]);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_filter_counts_what_passes_it() {
    let target = Target::build();
    let (taken, _) = target.recorded("uprobe:FILE:called/arg0>=150&&(long)arg1!=-160/", "calls 200");
    is_whole(&taken);
    assert_eq!((total(&taken), taken.recording.rows("event")), (49, 0), "counted, and no rows");
}

#[test]
#[ignore = "root: attaches probes"]
fn what_a_function_returns_is_captured_and_negative_values_are_in_no_histogram() {
    let target = Target::build();
    let (taken, _) = target.recorded("uretprobe:FILE:called(retval,hist(100-retval))", "calls 100");
    is_whole(&taken);
    let returned: Vec<i64> = taken.rows("event", &["arg_0"]).iter().map(|row| row.int("arg_0")).collect();
    assert_eq!(returned, (0..100).map(|number| 3 * number).collect::<Vec<_>>());
    let negative: Vec<i64> = (0..100).map(|number| 100 - 3 * number).filter(|value| *value < 0).collect();
    let below = taken.metric("events.negative", &[]);
    let expected = (negative.len() as i64, -negative.iter().sum::<i64>());
    assert_eq!((below.sum("count"), below.sum("sum")), expected);
    assert_eq!(taken.histogram("events.value", &[], |_| true).count() as usize, 100 - negative.len());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_static_probe_gives_its_arguments() {
    if !tells_places() {
        return skip("a_static_probe_gives_its_arguments", "before Linux 5.15 not in position-independent programs");
    }
    let target = Target::build();
    let (taken, _) = target.recorded("usdt:FILE:ebrec:fired(arg0,str(arg1),arg2,arg3)", "usdt 50");
    is_whole(&taken);
    let rows = taken.rows("event", &["arg_0", "arg_1", "arg_2", "str_0"]);
    assert_eq!((rows.count(), total(&taken)), (50, 50));
    for (number, row) in (0i64..).zip(rows.iter()) {
        assert_eq!((row.int("arg_0"), row.int("arg_1"), row.int("arg_2")), (number, -number, 77));
        assert_eq!(row.text("str_0"), Some(&*format!("text {number}")));
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_static_probe_gives_a_variable_that_its_note_names_and_leaves_the_others_alone() {
    let target = Target::build();
    // All probes of the program at once, one of which has an argument that can't be read.
    let (taken, _) = target.recorded("usdt:FILE:ebrec:*d", "usdt 40");
    is_whole(&taken);
    let counts = counts(&taken, "events_function");
    assert_eq!((counts["fired"], counts["named"]), (40, 40), "{counts:?}");
    let by_name = cfg!(target_arch = "x86_64");
    let event = if by_name { "usdt:FILE:ebrec:named(arg1,arg0)" } else { "usdt:FILE:ebrec:named(arg0)" };
    let (taken, _) = target.recorded(event, "usdt 40");
    is_whole(&taken);
    let rows = taken.rows("event", &["arg_0", "arg_1"]);
    assert_eq!(rows.count(), 40);
    for (number, row) in (0i64..).zip(rows.iter()) {
        assert_eq!(row.int("arg_0"), 10 * (number % 4));
        assert!(!by_name || row.int("arg_1") == -number, "{number}: {row:?}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn probing_a_leaf_function_leaves_its_results_right() {
    let test = "probing_a_leaf_function_leaves_its_results_right";
    if !cfg!(target_arch = "x86_64") {
        return skip(test, "only x86_64 has a red zone");
    }
    let target = Target::build();
    let nop = target.nop_of("leaf");
    for event in ["usdt:FILE:ebrec:red".to_owned(), format!("uprobe:FILE:leaf+{nop}")] {
        let event = event.replace("FILE", target.path().to_str().unwrap());
        let recorder = Recorder::new("-p events -e").word(&event);
        let words = [target.path().to_str().unwrap().to_owned(), "red".to_owned(), "10000".to_owned()];
        let file = recorder.file();
        let (output, dir) = recorder.run(&words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            // Attached, so all hits were seen and the program counted right.
            assert!(output.stdout.starts_with(b"0\n"), "{output:?}");
            assert_eq!(total(&Taken::open(&file, dir)), 10_000, "{said}");
        } else {
            assert!(said.contains("replaces a probed nop of five bytes by a call"), "{said}");
            assert!(output.stdout.is_empty(), "refused before the command began: {output:?}");
        }
    }
    // With others that are harmless, it is left out and named.
    let (taken, printed) = target.recorded("usdt:FILE:ebrec:*", "red 1000");
    assert_eq!(printed[0], 0);
    let seen = counts(&taken, "events_function").get("red").copied().unwrap_or(0);
    assert!(seen == 1000 || taken.stderr.contains("warning: left out red at 0x"), "{seen}: {}", taken.stderr);
}

#[test]
#[ignore = "root: attaches probes"]
fn long_texts_are_kept_counted_apart_and_marked_where_they_are_cut() {
    let target = Target::build();
    let length = 1500;
    let arguments = format!("texts 30 {length}");
    // The program's texts differ in their last character alone, of which there are three.
    let whole = |last: i64| format!("{}{}", "x".repeat(length - 1), (b'a' + last as u8) as char);
    let (taken, _) = target.recorded("uprobe:FILE:told(str(arg0, 2000),str(arg0),str(arg0, 8))", &arguments);
    is_whole(&taken);
    let rows = taken.rows("event", &["str_0", "str_1", "str_2"]);
    assert_eq!(rows.count(), 30);
    for (number, row) in (0i64..).zip(rows.iter()) {
        assert_eq!(row.text("str_0"), Some(&*whole(number % 3)));
        assert_eq!(row.text("str_1"), Some(&*format!("{}…", "x".repeat(1024))), "the length that is kept unasked");
        assert_eq!(row.text("str_2"), Some("xxxxxxxx…"));
    }
    let (taken, _) = target.recorded("uprobe:FILE:told(by(str(arg0, 2000)))", &arguments);
    is_whole(&taken);
    let counts = counts(&taken, "events_by");
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [10, 10, 10], "{counts:?}");
    assert!(counts.keys().all(|key| key.contains("x…#")), "{counts:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn bytes_are_kept_as_they_are() {
    let target = Target::build();
    let (taken, _) = target.recorded("uprobe:FILE:told(bytes(arg0, 4),by(bytes(arg0, 3)))", "texts 6 3");
    is_whole(&taken);
    let texts: Vec<String> =
        taken.rows("event", &["str_0"]).iter().map(|row| row.text("str_0").unwrap().to_owned()).collect();
    assert_eq!(texts, ["78786100", "78786200", "78786300", "78786100", "78786200", "78786300"]);
    let expected = [("787861", 2), ("787862", 2), ("787863", 2)].map(|(key, count)| (key.to_owned(), count));
    assert_eq!(counts(&taken, "events_by"), BTreeMap::from(expected));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_filter_compares_with_a_text_of_any_length() {
    let target = Target::build();
    for length in [5, 31, 32, 33, 64, 100, 500] {
        let text = format!("{}b", "x".repeat(length - 1));
        let (taken, _) =
            target.recorded(&format!("uprobe:FILE:told/str(arg0) == \"{text}\"/"), &format!("texts 30 {length}"));
        is_whole(&taken);
        assert_eq!(total(&taken), 10, "{length}");
        // The beginning of it is another text, and so is what begins with it.
        let (taken, _) =
            target.recorded(&format!("uprobe:FILE:told/str(arg0) == \"{text}\"/"), &format!("texts 30 {}", length + 1));
        assert_eq!((total(&taken), taken.lost()), (0, BTreeMap::new()), "{length}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_text_whose_page_is_not_in_memory_is_fetched() {
    let test = "a_text_whose_page_is_not_in_memory_is_fetched";
    if !since((6, 2)) {
        return skip(test, "before Linux 6.2 programs of uprobes can't fetch memory and say where they don't");
    }
    let target = Target::build();
    let (taken, _) = target.recorded("uprobe:FILE:told(str(arg0),by(str(arg0)))/str(arg0) != \"x\"/", "absent 40");
    is_whole(&taken);
    let rows = taken.rows("event", &["str_0"]);
    assert_eq!((rows.count(), total(&taken)), (40, 40));
    assert!(rows.iter().all(|row| row.text("str_0") == Some("across two pages")), "{rows:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_path_that_is_not_in_memory_is_read_when_the_system_call_returns() {
    let target = Target::build();
    let path = "/no/such/file/of/ebrec";
    let event =
        format!("tracepoint:syscalls:sys_enter_openat(str(filename),by(str(filename)))/str(filename) == \"{path}\"/");
    let running = Recorder::new("-p events --comm target -e").word(&event).start();
    target.run("open 40");
    let taken = running.finish();
    is_whole(&taken);
    let rows = taken.rows("event", &["str_0"]);
    assert_eq!((rows.count(), counts(&taken, "events_by")), (40, BTreeMap::from([(path.to_owned(), 40)])));
    assert!(rows.iter().all(|row| row.text("str_0") == Some(path)), "{rows:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn events_that_differ_in_their_places_alone_keep_their_names() {
    let target = Target::build();
    let file = target.path();
    let mut recorder = Recorder::new("-p events");
    for event in ["one=uprobe:FILE:first", "uprobe:FILE:second", "some=uprobe:FILE:mai*", "none=uprobe:FILE:slept"] {
        recorder = recorder.word("-e").word(&event.replace("FILE", file.to_str().unwrap()));
    }
    let running = recorder.start();
    target.run("tail 30");
    let taken = running.finish();
    is_whole(&taken);
    let second = format!("uprobe:{}:second", file.display());
    let expected = [("one".to_owned(), 30), (second, 30), ("some".to_owned(), 1)];
    assert_eq!(counts(&taken, "name"), BTreeMap::from(expected));
    // Where attachments have cookies, by one link.
    assert!(!tells_places() || taken.stderr.contains("first and 3 more"), "{}", taken.stderr);
}

#[test]
#[ignore = "root: attaches probes"]
fn several_events_at_one_place_are_told_apart() {
    let target = Target::build();
    let file = target.path();
    let event = |text: &str| text.replace("FILE", file.to_str().unwrap());
    let (first, second) = (event("uprobe:FILE:call/arg0 < 3/"), event("uprobe:FILE:call/arg0 >= 6/"));
    let all = event("all=uprobe:FILE:call(arg0)");
    let running = Recorder::new("-p events -e").word(&first).word("-e").word(&second).word("-e").word(&all).start();
    target.run("threads 1 10");
    let taken = running.finish();
    is_whole(&taken);
    let expected = [("all".to_owned(), 10), (first, 3), (second, 4)];
    assert_eq!(counts(&taken, "name"), BTreeMap::from(expected));
    assert_eq!(taken.rows("event", &["name"]).named("name", "all").count(), 10);
    let names: Vec<_> = taken.recording.meta().events.iter().map(|event| event.name.clone()).collect();
    assert_eq!(names[2], "all");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_place_is_found_by_its_address_and_by_its_offset_in_a_function() {
    let target = Target::build();
    let address = target.address_of("call");
    let (taken, _) = target.recorded("uprobe:FILE:call+0(arg0)", "threads 1 14");
    is_whole(&taken);
    assert_eq!(total(&taken), 14);
    assert!(taken.rows("event", &["arg_0"]).iter().zip(0..).all(|(row, number)| row.int("arg_0") == number));
    target.strip();
    let (taken, _) = target.recorded(&format!("uprobe:FILE:{address:#x}"), "threads 2 7");
    is_whole(&taken);
    assert_eq!(total(&taken), 14);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_pattern_takes_many_functions_and_tells_which() {
    let target = Target::build();
    let (taken, _) = target.recorded("uprobe:FILE:*", "tail 30");
    is_whole(&taken);
    let counts = counts(&taken, "events_function");
    if !tells_places() {
        assert!(counts.keys().all(String::is_empty) && total(&taken) >= 61, "{counts:?}");
        return skip("a_pattern_takes_many_functions_and_tells_which", "before Linux 5.15 an attachment has no cookie");
    }
    assert_eq!((counts["first"], counts["second"], counts["main"]), (30, 30, 1), "{counts:?}");
    assert!(!counts.contains_key("recursed") && !counts.contains_key(""), "{counts:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn calls_in_threads_are_counted_exactly() {
    let target = Target::build();
    let (taken, _) = target.recorded("latency:FILE:call", "threads 8 2000");
    is_whole(&taken);
    assert_eq!(total(&taken), 16000);
    assert_eq!(taken.histogram("events.latency", &[], |_| true).count(), 16000);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_call_takes_what_its_program_measured() {
    let target = Target::build();
    let (taken, printed) = target.recorded("latency:FILE:slept(arg0,retval)", "sleep 5 20");
    is_whole(&taken);
    let rows = taken.rows("event", &["dur_ns", "arg_0", "arg_1"]);
    assert_eq!(rows.count(), 20);
    for (row, measured) in rows.iter().zip(&printed) {
        assert_eq!((row.int("arg_0"), row.int("arg_1")), (5, 5));
        // The program's own measurement has two traps more, and whatever interrupts it there.
        let took = row.int("dur_ns");
        assert!((5_000_000..=*measured).contains(&took), "{took} of {measured}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn recursion_is_a_call_each_however_deep() {
    let target = Target::build();
    let (taken, _) = target.recorded("latency:FILE:recursed(depth=arg0,retval)", "recurse 20 10");
    is_whole(&taken);
    let rows = taken.rows("event", &["dur_ns", "arg_0", "arg_1"]);
    assert_eq!((rows.count(), total(&taken)), (210, 210));
    assert!(rows.iter().all(|row| row.int("arg_0") == row.int("arg_1")));
    // From the innermost out, each longer than what it calls.
    let calls: Vec<(i64, i64)> = rows.iter().map(|row| (row.int("arg_0"), row.int("dur_ns"))).collect();
    for one in calls.chunks(21) {
        assert!(one.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0 && pair[0].1 < pair[1].1), "{one:?}");
    }
    let (taken, _) = target.recorded("latency:FILE:recursed", "recurse 99 10");
    is_whole(&taken);
    assert_eq!(total(&taken), 1000);
    // By its trampoline the kernel follows 64 returns of a thread at most.
    let (taken, _) = target.recorded("latency:FILE:recursed(trampoline)", "recurse 99 10");
    assert_eq!((total(&taken), taken.lost_by("events")), (640, 360), "{:?}", taken.lost());
}

#[test]
#[ignore = "root: attaches probes"]
fn calls_that_a_longjmp_ends_are_lost_and_disturb_no_other() {
    let target = Target::build();
    let (taken, _) = target.recorded("latency:FILE:la*", "jump 50");
    is_whole(&taken);
    assert_eq!(total(&taken), 50);
    let (taken, _) = target.recorded("latency:FILE:l*", "jump 50");
    is_whole(&taken);
    assert_eq!(total(&taken), 50, "left() never returns, which its code tells, and is left out");
    let (taken, _) = target.recorded("latency:FILE:l*(trampoline)", "jump 50");
    assert_eq!(total(&taken), 50, "only landed() returns");
    // Three of left() each time. The outermost of the last one is where landed() is, as if it had jumped there, unless all are taken for one.
    let lost = if tells_places() { 149 } else { 150 };
    assert_eq!(taken.lost(), BTreeMap::from([("events: end not seen".to_owned(), lost)]));
}

#[test]
#[ignore = "root: attaches probes"]
fn fields_of_a_trace_point_are_what_a_process_did() {
    let target = Target::build();
    let event = "tracepoint:syscalls:sys_enter_clock_nanosleep(which_clock)/comm==\"target\"/";
    let (taken, _) = target.recorded(event, "sleep 1 25");
    is_whole(&taken);
    assert_eq!((total(&taken), taken.recording.rows("event")), (25, 25));
    assert!(taken.rows("event", &["arg_0"]).iter().all(|row| row.int("arg_0") == 0));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_raw_trace_point_is_counted_by_what_it_is_kept_by() {
    let target = Target::build();
    let running = Recorder::new("-p events -e rawtp:sched_process_exit(by(pid))/comm==\"target\"/").start();
    let pids: BTreeMap<String, i64> = (0..30).map(|_| (target.run("tail 1")[0].to_string(), 1)).collect();
    let taken = running.finish();
    is_whole(&taken);
    assert_eq!(counts(&taken, "events_by"), pids);
}

/// Whether the kernel says of a hit which attachment it is of: since 5.15.
fn tells_places() -> bool {
    since((5, 15))
}

/// Whether the kernel is of this version or newer.
fn since(version: (u32, u32)) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.trim().parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(version.0), Some(version.1))
}

#[test]
#[ignore = "root: attaches probes"]
fn functions_of_the_kernel_are_hit_as_often_as_they_are_called() {
    if !kernel_functions("functions_of_the_kernel_are_hit_as_often_as_they_are_called") {
        return;
    }
    let target = Target::build();
    for event in ["kprobe:__x64_sys_clock_nanosleep", "latency:hrtimer_nanosleep", "kprobe:hrtimer_nanosle*"] {
        let (taken, _) = target.recorded(&format!("{event}/comm==\"target\"/"), "sleep 1 40");
        is_whole(&taken);
        assert_eq!(total(&taken), 40, "{event}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn typed_functions_of_the_kernel_give_their_parameters() {
    let test = "typed_functions_of_the_kernel_give_their_parameters";
    if !kernel_functions(test) {
        return;
    }
    let target = Target::build();
    let (taken, _) = target.recorded("fexit:vfs_write(count,retval)/comm==\"target\"/", "sleep 1 5");
    is_whole(&taken);
    let rows = taken.rows("event", &["arg_0", "arg_1"]);
    assert!(rows.count() > 0);
    assert!(rows.iter().all(|row| row.int("arg_0") == row.int("arg_1")), "{rows:?}");
}
