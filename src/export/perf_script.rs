//! Samples as `perf script` prints them, for FlameGraph, flamescope, speedscope, inferno and other readers of its text.
//!
//! `COMM PID/TID [CPU] SECONDS: PERIOD EVENT:`, a line for each frame from the innermost out, and an empty line. The period is what
//! the sample stands for in nanoseconds, by which readers weigh it. Times are of CLOCK_MONOTONIC, as with `perf record -k mono`.

use std::io::Write;

use anyhow::Result;

use crate::export::Profile;
use crate::export::facts;
use crate::export::frames;
use crate::export::samples::Samples;
use crate::export::timed;
use crate::export::timed::InOrder;
use crate::report::read::input::Source;
use crate::report::read::profile::Frame;

/// Writes all samples.
pub(super) fn write(
    source: &Source,
    profile: Profile,
    samples: &Samples,
    timed: &InOrder,
    out: &mut dyn Write,
) -> Result<()> {
    for fact in facts::of(source)?.into_iter().chain(timed::note(source)) {
        writeln!(out, "# {fact}")?;
    }
    writeln!(out, "#")?;
    let event = match profile {
        Profile::Cpu => "cpu-clock",
        Profile::OffCpu => "off-cpu",
        Profile::Locks => "lock-wait",
    };
    let start = source.meta().window.start_mono_ns;
    timed.each(|sample| {
        let owner = samples.owner(&sample.stack);
        let pid = owner.pid.unwrap_or(0);
        write!(out, "{} {pid}/{} ", comm(&owner.process), owner.tid.unwrap_or(pid))?;
        if let Some(cpu) = sample.cpu {
            write!(out, "[{cpu:03}] ")?;
        }
        let at = start.saturating_add(sample.at).max(0);
        let (seconds, micros) = (at / 1_000_000_000, at % 1_000_000_000 / 1000);
        writeln!(out, "{seconds}.{micros:06}: {} {event}:", sample.ns)?;
        let frames = samples.frames(&sample.stack);
        if frames.is_empty() {
            // Readers drop a sample without any frame.
            writeln!(out, "\t{:16x} [unknown] ([unknown])", 0)?;
        }
        for (_, frame) in frames {
            line(frame, out)?;
        }
        writeln!(out)?;
        Ok(())
    })
}

fn line(frame: &Frame, out: &mut dyn Write) -> std::io::Result<()> {
    let (name, inlined) = frames::inlined(&frame.function.text);
    write!(out, "\t{:16x} {} ", frame.address.unwrap_or(0), frames::name(name))?;
    match &*frame.function.module {
        _ if inlined => writeln!(out, "(inlined)"),
        "" => writeln!(out, "([unknown])"),
        "[kernel]" => writeln!(out, "([kernel.kallsyms])"),
        // Readers split at the last space.
        module => writeln!(out, "({})", frames::name(module).replace(char::is_whitespace, "_")),
    }
}

/// A command's name that readers can tell from the numbers after it.
fn comm(name: &str) -> String {
    // They take a word of digits for the thread, and a line that begins with a space for a frame.
    let name = frames::name(name).trim().replace('#', "_");
    let is_number = |word: &str| word.chars().all(|letter| letter.is_ascii_digit() || letter == '/');
    let words = name.split_whitespace().map(|word| if is_number(word) { format!("_{word}") } else { word.to_owned() });
    let name = words.collect::<Vec<String>>().join(" ");
    if name.is_empty() { "?".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::comm;

    #[test]
    fn a_command_can_not_be_taken_for_the_numbers_after_it() {
        let names = ["bash", "Web Content", "12 34/5", " x", "# a", ""].map(comm);
        assert_eq!(names, ["bash", "Web Content", "_12 _34/5", "x", "_ a", "[unknown]"]);
    }
}
