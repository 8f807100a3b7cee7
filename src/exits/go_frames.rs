//! What Go's table says of the frames of its functions, as unwinding needs it.

use super::go::GoFunction;
use super::switch;
use super::switch::Switch;

/// Functions that nobody called, by name: before Go 1.17 the table does not say so.
const TOPS: [&str; 3] = ["runtime.goexit", "runtime.mstart", "runtime.rt0_go"];
/// The C library's end of a signal handler, as Go has it itself: `runtime.sigreturn`, later `runtime.sigreturn__sigaction`.
const SIGNAL_RETURN: &str = "runtime.sigreturn";
/// It has all registers of the interrupted code below it.
const SIGNAL_HANDLER: &str = "runtime.sigtramp";
/// The goroutine is parked, and the thread looks for another one: that is where the stack of its scheduler begins.
const PARKS: &str = "runtime.mcall";
/// The function before it has no room on its stack: this one never returns to it, but has it begin again.
const GROWS: &str = "runtime.morestack";
/// A function of C's is called on the thread's stack.
const CALLS_C: &str = "runtime.asmcgocall";

/// The frames of a function: from one address to another, in the order of the addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoFrames {
    /// The rows.
    pub rows: Vec<(u64, u64, GoFrame)>,
}

/// How a frame of Go is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoFrame {
    /// Nobody called the function.
    Top,
    /// It is so many bytes above the stack pointer. `keeps`: the caller's frame pointer is in the word below the return address.
    Stack {
        /// The bytes.
        distance: i64,
        /// See above.
        keeps: bool,
    },
    /// The frame pointer is that of this function, whose stack pointer is another stack's.
    FramePointer,
    /// All registers are on the stack.
    Signal,
    /// It is on the stack of the goroutine that the thread runs, so many bytes above where that one left it; `current` is where the
    /// thread's structure has the goroutine.
    Goroutine {
        /// See above.
        current: i32,
        /// The bytes.
        distance: i32,
    },
    /// It is not known.
    Unknown,
}

impl GoFrames {
    /// The frames of a function whose frame is so far from the stack pointer; `current` is what [`Switch::current`] is of the function
    /// that has it.
    pub(super) fn of(
        function: &GoFunction<'_>,
        distances: Vec<(u64, u64, i64)>,
        current: Option<i32>,
        switch: impl FnOnce() -> Option<Switch>,
    ) -> GoFrames {
        let name = function.name.strip_suffix(".abi0").unwrap_or(function.name);
        let whole = |frame| GoFrames { rows: vec![(function.start, function.end, frame)] };
        if name.starts_with(SIGNAL_RETURN) {
            return whole(GoFrame::Signal);
        }
        if (function.is_top || TOPS.contains(&name))
            && ![SIGNAL_HANDLER, switch::SYSTEM, GROWS, PARKS, CALLS_C].contains(&name)
        {
            return whole(GoFrame::Top);
        }
        let stack = |distance| GoFrame::Stack { distance, keeps: !function.is_assembly && distance > 8 };
        let switches = [switch::SYSTEM, GROWS, CALLS_C].contains(&name);
        let row = |(start, end, distance)| match name {
            PARKS if distance > 8 => (start, end, GoFrame::Top),
            SIGNAL_HANDLER => (start, end, stack(distance)),
            _ if function.writes_stack_pointer && !switches && distance > 8 => (start, end, GoFrame::FramePointer),
            _ => (start, end, stack(distance)),
        };
        let rows: Vec<_> = distances.into_iter().map(row).collect();
        let Some(Switch { start, end, .. }) = switches.then(switch).flatten() else { return GoFrames { rows } };
        // The others have left the address of the instruction behind their call there; this one has the address itself there no more.
        let distance = if name == GROWS { 0 } else { 8 };
        let away = current.map_or(GoFrame::Unknown, |current| GoFrame::Goroutine { current, distance });
        let before = rows.iter().filter(|row| row.0 < start).map(|row| (row.0, row.1.min(start), row.2));
        let behind = rows.iter().filter(|row| row.1 > end).map(|row| (row.0.max(end), row.1, row.2));
        GoFrames { rows: before.chain([(start, end, away)]).chain(behind).collect() }
    }
}
