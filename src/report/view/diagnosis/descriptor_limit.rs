//! `descriptor-limit`: a process has as many open files as it may have, or the machine has. Precondition: calls that failed with EMFILE
//! or ENFILE (metric `syscall.errors`).

use anyhow::Result;

use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::calls;

pub(super) static RULE: Rule = Rule {
    name: "descriptor-limit",
    resource: "open files",
    view: "syscalls",
    outdoes: &["retry-loop", "herd", "cpu-use"],
    find,
};

/// A single one may be a probe of the limit.
const LEAST: u64 = 2;
/// In what is called `connections`.
const ACCEPTS: [&str; 2] = ["accept", "accept4"];

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (who, of_process) in scene.calls()? {
        let Some(failures) =
            calls::failures(scene.span_ns(), of_process, |_, errno| matches!(errno, "EMFILE" | "ENFILE"))
        else {
            continue;
        };
        if failures.count < LEAST {
            continue;
        }
        let has = |errno: &str| of_process.values().any(|calls| calls.failed.contains_key(errno));
        let whose = if has("EMFILE") {
            "it has as many open files as it may have (RLIMIT_NOFILE)"
        } else {
            "the machine has as many open files as it may have (fs.file-max)"
        };
        let refuses = ACCEPTS.iter().any(|name| {
            of_process
                .get(*name)
                .is_some_and(|calls| calls.failed.keys().any(|errno| matches!(&**errno, "EMFILE" | "ENFILE")))
        });
        let waiting = if refuses { ". Connections that it can't accept wait" } else { "" };
        let text = format!("{} ran out of descriptors: {whose}. {}{waiting}.", scene.call(who), failures.words);
        findings.push(Finding {
            weight: failures.affected * failures.part,
            text,
            victim: scene.owner(who),
            percent: 100.0 * failures.part,
            count: failures.count,
            ..Finding::default()
        });
    }
    Ok(findings)
}
