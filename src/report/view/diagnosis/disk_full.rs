//! `disk-full`: a process can't write since a file system is full, or since its user's quota is. Precondition: calls on files that failed
//! with ENOSPC or EDQUOT (metric `syscall.errors`).

use anyhow::Result;

use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::calls;

pub(super) static RULE: Rule =
    Rule { name: "disk-full", resource: "full disk", view: "syscalls", outdoes: &["retry-loop", "cpu-use"], find };

/// A single one may be a program that asks whether there is room.
const LEAST: u64 = 2;
/// Calls that report other limits with the same errors: watches, keys, memory of the kernel.
const NO_FILES: [&str; 6] = ["inotify_add_watch", "epoll_ctl", "add_key", "bpf", "perf_event_open", "fanotify_mark"];

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (who, of_process) in scene.calls()? {
        let wanted = |name: &str, errno: &str| matches!(errno, "ENOSPC" | "EDQUOT") && !NO_FILES.contains(&name);
        let Some(failures) =
            calls::failures(scene.span_ns(), of_process, wanted).filter(|failures| failures.count >= LEAST)
        else {
            continue;
        };
        let full = if failures.words.contains("ENOSPC") {
            "a file system is full ('df' and 'df -i' show which)"
        } else {
            "a quota is used up ('quota' shows which)"
        };
        findings.push(Finding {
            weight: failures.affected * failures.part,
            text: format!("{} can't write: {full}. {}.", scene.call(who), failures.words),
            victim: scene.owner(who),
            percent: 100.0 * failures.part,
            count: failures.count,
            ..Finding::default()
        });
    }
    Ok(findings)
}
