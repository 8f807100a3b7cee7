//! Folded stacks, one a line: the process and its frames from the outermost in, separated by semicolons, and nanoseconds.
//!
//! The format of Brendan Gregg's FlameGraph, which inferno, speedscope and async-profiler's tools read too.

use std::io::Write;

use anyhow::Context;
use anyhow::Result;

use crate::export::frames;
use crate::export::samples::Samples;
use crate::export::samples::Totals;
use crate::export::samples::UNREADABLE;
use crate::spill::Sorter;

/// What lines may take in memory while they are sorted.
const SORTED_BYTES: usize = 32 << 20;

/// Writes the stacks in the order of their text, each once.
pub(super) fn write(samples: &Samples, totals: &Totals, out: &mut dyn Write) -> Result<()> {
    let mut lines: Sorter<(String, u64)> = Sorter::new(SORTED_BYTES);
    totals.each(|total| {
        let mut line = part(&samples.owner(&total.stack).process);
        for (_, frame) in samples.frames(&total.stack).into_iter().rev() {
            line.push(';');
            line.push_str(&part(&frame.function.text));
        }
        let bytes = line.len() + 48;
        lines.push((line, total.ns), bytes);
        Ok(())
    })?;
    let mut current: Option<(String, u64)> = None;
    for line in lines.finish().context(UNREADABLE)?.iter().context(UNREADABLE)? {
        let (line, ns) = line.context(UNREADABLE)?;
        match &mut current {
            Some((text, sum)) if *text == line => *sum = sum.saturating_add(ns),
            _ => {
                if let Some((text, sum)) = current.replace((line, ns)) {
                    writeln!(out, "{text} {sum}")?;
                }
            }
        }
    }
    if let Some((text, sum)) = current {
        writeln!(out, "{text} {sum}")?;
    }
    Ok(())
}

/// A name that can't be taken for two.
fn part(text: &str) -> String {
    frames::name(text).replace(';', ":")
}
