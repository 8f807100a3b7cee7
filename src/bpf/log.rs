//! What libbpf prints, kept instead of printed, and what of it a person can use.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use libbpf_rs::PrintLevel;

/// More lines than a verifier log has are not kept.
const MAX_LINES: usize = 20_000;

thread_local! {
    /// Lines since the last `take`. libbpf prints on the thread that called it, so what probes that are loaded side by
    /// side say does not mix.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Whether what is kept is said on standard error too.
static ALOUD: AtomicBool = AtomicBool::new(false);

fn keep(_: PrintLevel, message: String) {
    if ALOUD.load(Ordering::Relaxed) {
        // Nobody is left to tell when standard error is gone.
        let _ = std::io::stderr().write_all(message.as_bytes());
    }
    LINES.with_borrow_mut(|kept| {
        let room = MAX_LINES.saturating_sub(kept.len());
        kept.extend(message.lines().take(room).map(|line| line.trim_end().to_owned()));
    });
}

/// Sends libbpf's warnings, with the verifier's log of what it refused, here instead of standard error, or to both. Has to
/// come before the first other call of libbpf.
pub fn route(aloud: bool) {
    ALOUD.store(aloud, Ordering::Relaxed);
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        libbpf_rs::set_print(Some((PrintLevel::Warn, keep)));
    });
}

/// What libbpf said on this thread since the last call.
pub fn take() -> Vec<String> {
    LINES.take()
}

/// One sentence on why an object could not be loaded, from what libbpf said and the error it returned.
pub fn reason(said: &[String], error: &libbpf_rs::Error) -> String {
    let missing = said.iter().find_map(|line| quoted_after(line, "failed to find kernel BTF type ID of "));
    if let Some(hook) = missing {
        let hook = hook.trim_start_matches("btf_trace_");
        return format!("this kernel has no tracepoint '{hook}'");
    }
    let error = plain(error);
    let Some(program) =
        said.iter().find(|line| line.contains("BPF program load failed")).and_then(|line| quoted_after(line, "prog "))
    else {
        let last = said.iter().rev().find(|line| line.contains("failed") || line.contains("map '"));
        return match last {
            Some(line) => format!("{error}: {}", line.trim_start_matches("libbpf: ")),
            None => error,
        };
    };
    match verdict(said) {
        Some(verdict) => format!("the verifier refused '{program}': {verdict}"),
        None => format!("the kernel refused '{program}' without saying why: {error}"),
    }
}

/// The verifier's own last words: the line before its statistics.
fn verdict(said: &[String]) -> Option<&str> {
    let begin = said.iter().position(|line| line.contains("BEGIN PROG LOAD LOG"))?;
    let end = said.iter().skip(begin).position(|line| line.contains("END PROG LOAD LOG"))? + begin;
    said.get(begin + 1..end)?.iter().map(|line| line.trim()).rfind(|line| {
        !line.is_empty()
            && !line.starts_with("processed ")
            && !line.starts_with("verification time")
            && !line.starts_with("stack depth")
    })
}

fn quoted_after<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = &line[line.find(prefix)? + prefix.len()..];
    rest.split('\'').nth(1).or_else(|| rest.split_whitespace().next())
}

/// What failed and the operating system's message, without the number.
fn plain(error: &libbpf_rs::Error) -> String {
    let text = format!("{error:#}");
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::reason;

    fn said(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_missing_tracepoint_is_named() {
        let said = said("libbpf: prog 'x': failed to find kernel BTF type ID of 'btf_trace_block_rq_issue': -3");
        let error = libbpf_rs::Error::from_raw_os_error(3);
        assert_eq!(reason(&said, &error), "this kernel has no tracepoint 'block_rq_issue'");
    }

    #[test]
    fn a_refused_program_is_reported_by_the_verifiers_last_words() {
        let said = said(
            "libbpf: prog 'sched_switch': BPF program load failed: Permission denied\n\
             libbpf: prog 'sched_switch': -- BEGIN PROG LOAD LOG --\n\
             0: R1=ctx() R10=fp0\n\
             R2 invalid mem access 'scalar'\n\
             processed 12 insns (limit 1000000) max_states_per_insn 0\n\
             -- END PROG LOAD LOG --\n",
        );
        let error = libbpf_rs::Error::from_raw_os_error(13);
        assert_eq!(reason(&said, &error), "the verifier refused 'sched_switch': R2 invalid mem access 'scalar'");
    }

    #[test]
    fn a_kernel_that_refuses_without_a_log_is_quoted() {
        let said = said("libbpf: prog 'f': BPF program load failed: Operation not permitted");
        let error = libbpf_rs::Error::from_raw_os_error(1);
        assert_eq!(reason(&said, &error), "the kernel refused 'f' without saying why: operation not permitted");
    }
}
