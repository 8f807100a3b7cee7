//! From an event to the constants of its object: what the kernel's side computes at a hit.

use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use super::hooks;
use super::types;
use crate::probe::Mode;
use crate::probe::event::Binary;
use crate::probe::event::Capture;
use crate::probe::event::CustomEvent;
use crate::probe::event::Space;
use crate::probe::event::Step;
use crate::probe::event::TextKind;
use crate::probe::event::Unary;
use crate::probe::event::Value;
use crate::probe::event::WANTED_BYTES;
use crate::probe::event::WANTED_CHUNK;
use crate::probe::event::Who;
use crate::probe::hook::Hook;

/// Arguments that the kernel's side has room for, as bpf/events/knobs.h says.
const ARGUMENTS: u8 = 12;
/// Arguments that are kept of a call until it returns.
const KEPT_ARGUMENTS: u8 = 6;
/// Arguments in registers of a call: x86_64 has the fewest.
const REGISTER_ARGUMENTS: u8 = if cfg!(target_arch = "x86_64") { 6 } else { 8 };

/// Room that is enough for most texts, and for every address, as bpf/events/knobs.h says.
const SHORT_TEXT: u16 = 128;

/// What an event's object has to be told beside its code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The number in its records.
    pub(super) event: u8,
    /// Its place among the event's, where the attachment does not tell.
    pub(super) place: u64,
    /// Likewise at a function's exit.
    pub(super) exit_place: u64,
    /// Parameters of the function that it is attached to by its type.
    pub(super) parameters: u8,
    /// The attachment tells which of the places a hit is at.
    pub(super) cookies: bool,
    /// The programs may sleep.
    pub(super) may_sleep: bool,
}

/// Whether hits are rows.
pub(super) fn has_rows(event: &CustomEvent, mode: Mode) -> bool {
    let asks = !event.captures.is_empty() || event.kernel_stack || event.user_stack || event.every_hit;
    match mode {
        Mode::Hist => false,
        Mode::Slow => asks,
        Mode::Raw => true,
    }
}

/// The numbers that an event captures, in the order of their columns.
pub(super) fn numbers(event: &CustomEvent) -> impl Iterator<Item = (&Capture, &[Step])> {
    event.captures.iter().filter_map(|capture| match &capture.value {
        Value::Number(steps) => Some((capture, &**steps)),
        Value::Text { .. } => None,
    })
}

/// The texts that an event captures, in the order of their columns.
pub(super) fn texts(event: &CustomEvent) -> impl Iterator<Item = (&Capture, &[Step], TextKind)> {
    event.captures.iter().filter_map(|capture| match &capture.value {
        Value::Text { address, kind } => Some((capture, &**address, *kind)),
        Value::Number(_) => None,
    })
}

/// The constants of an event's object.
///
/// # Errors
/// When the event computes more than the kernel's side has room for.
pub(super) fn knobs(event: &CustomEvent, mode: Mode, place: Place) -> Result<types::event_knobs> {
    let mut made = Assembler::default();
    let mut knobs = types::event_knobs {
        event: place.event,
        rows: u8::from(has_rows(event, mode)),
        kernel_stack: u8::from(event.kernel_stack),
        user_stack: u8::from(event.user_stack),
        is_latency: u8::from(event.hook.is_latency()),
        cookies: u8::from(place.cookies),
        may_sleep: u8::from(place.may_sleep),
        awaits_return: u8::from(hooks::awaits_return(event)),
        parameters: place.parameters,
        paired: u8::from(event.hook.pairs_exits()),
        place: place.place,
        exit_place: place.exit_place,
        ..types::event_knobs::default()
    };
    made.code(&mut knobs, types::event_code_use::CODE_FILTER, 0, &event.filter)?;
    if let Some(hist) = &event.hist {
        knobs.has_hist = 1;
        made.code(&mut knobs, types::event_code_use::CODE_HIST, 0, &hist.steps)?;
    }
    match event.by.as_ref().map(|by| &by.value) {
        None => knobs.by = types::event_by::BY_NOTHING.0 as u8,
        Some(Value::Number(steps)) => {
            knobs.by = types::event_by::BY_NUMBER.0 as u8;
            made.code(&mut knobs, types::event_code_use::CODE_BY, 0, steps)?;
        }
        Some(Value::Text { address, kind }) => {
            knobs.by = types::event_by::BY_TEXT.0 as u8;
            knobs.by_text = text(*kind);
            made.code(&mut knobs, types::event_code_use::CODE_BY, 0, address)?;
        }
    }
    for (index, (_, steps)) in numbers(event).enumerate() {
        knobs.numbers += 1;
        made.code(&mut knobs, types::event_code_use::CODE_NUMBER, index, steps)?;
    }
    for (index, (capture, steps, kind)) in texts(event).enumerate() {
        knobs.texts += 1;
        let Some(slot) = knobs.text.get_mut(index) else { bail!("there is no room for the text '{}'", capture.name) };
        *slot = text(kind);
        made.code(&mut knobs, types::event_code_use::CODE_TEXT, index, steps)?;
    }
    (knobs.text_bytes, knobs.text_longer) = room(event);
    ensure!(made.wanted.len() <= WANTED_BYTES, "the texts that it compares with have more than {WANTED_BYTES} bytes");
    for (word, bytes) in knobs.wanted.iter_mut().zip(made.wanted.chunks_exact(8)) {
        *word = bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    }
    let most = match event.hook {
        Hook::KernelLatency { .. } | Hook::UserLatency { .. } => KEPT_ARGUMENTS,
        Hook::Kprobe { .. } | Hook::Uprobe { .. } | Hook::Uretprobe { .. } => REGISTER_ARGUMENTS,
        _ => ARGUMENTS,
    };
    ensure!(
        made.arguments <= most,
        "it uses argument {}, but only {most} can be read",
        made.arguments.saturating_sub(1)
    );
    knobs.argument_count = made.arguments;
    Ok(knobs)
}

fn text(kind: TextKind) -> types::event_text {
    let (kind, of, limit) = match kind {
        TextKind::String { space, limit } => (types::event_text_kind::TEXT_STRING, space, limit),
        TextKind::Bytes { space, limit } => (types::event_text_kind::TEXT_BYTES, space, limit),
        TextKind::SocketAddress(of) => (types::event_text_kind::TEXT_SOCKET_ADDRESS, of, 0),
        TextKind::Ipv4(of) => (types::event_text_kind::TEXT_IPV4, of, 0),
        TextKind::Ipv6(of) => (types::event_text_kind::TEXT_IPV6, of, 0),
    };
    types::event_text { kind: kind.0 as u8, space: space(of), limit }
}

/// The room for each text in a record: what most need, and what the longest needs.
fn room(event: &CustomEvent) -> (u16, u16) {
    // Of a string a byte beyond the limit is read, which tells whether it goes on, and its zero.
    let needs = texts(event).map(|(_, _, kind)| match kind {
        TextKind::String { limit, .. } => (SHORT_TEXT, limit.saturating_add(2)),
        TextKind::Bytes { limit, .. } => (limit, limit),
        _ => (SHORT_TEXT, SHORT_TEXT),
    });
    let words = |bytes: u16| bytes.max(SHORT_TEXT).checked_next_multiple_of(8).unwrap_or(SHORT_TEXT);
    needs.fold((SHORT_TEXT, SHORT_TEXT), |(first, longest), (often, most)| {
        (first.max(words(often)), longest.max(words(most)))
    })
}

fn space(space: Space) -> u8 {
    let space = match space {
        Space::Kernel => types::event_space::SPACE_KERNEL,
        Space::User => types::event_space::SPACE_USER,
        Space::ByAddress => types::event_space::SPACE_BY_ADDRESS,
    };
    space.0 as u8
}

/// Makes postfix code into steps that know where their operands are.
#[derive(Default)]
struct Assembler {
    /// The texts that are compared with, in chunks.
    wanted: Vec<u8>,
    /// The highest argument that is used, and one.
    arguments: u8,
}

impl Assembler {
    fn code(
        &mut self,
        knobs: &mut types::event_knobs,
        of: types::event_code_use,
        index: usize,
        steps: &[Step],
    ) -> Result<()> {
        let room = knobs.codes.get_mut(of.0 as usize + index);
        let Some(code) = room.filter(|_| index < crate::probe::event::MAX_NUMBERS) else {
            bail!("it captures too much");
        };
        ensure!(steps.len() <= code.steps.len(), "an expression of {} steps is too long", steps.len());
        let deepest = crate::probe::event::MAX_DEPTH;
        let mut depth = 0usize;
        for (to, step) in code.steps.iter_mut().zip(steps) {
            let (takes, made) = self.step(step);
            ensure!(depth >= takes, "an expression uses a missing value");
            depth = depth - takes + 1;
            ensure!(depth <= deepest, "an expression holds more than {deepest} values at once");
            *to = types::event_step { at: (depth - 1) as u8, ..made };
        }
        ensure!(depth <= 1, "an expression leaves {depth} values");
        code.count = steps.len() as u32;
        Ok(())
    }

    /// How many values the step takes, and what it is.
    fn step(&mut self, step: &Step) -> (usize, types::event_step) {
        type Op = types::event_op;
        let plain = |op: types::event_op| types::event_step { op: op.0 as u8, ..types::event_step::default() };
        match *step {
            Step::Number(number) => (0, types::event_step { number: number as u64, ..plain(Op::OP_NUMBER) }),
            Step::Argument(which) => {
                self.arguments = self.arguments.max(which.saturating_add(1));
                (0, types::event_step { which, ..plain(Op::OP_ARGUMENT) })
            }
            Step::Returned => (0, plain(Op::OP_RETURNED)),
            Step::Duration => (0, plain(Op::OP_DURATION)),
            Step::Record => (0, plain(Op::OP_RECORD)),
            Step::Who(who) => (
                0,
                plain(match who {
                    Who::Pid => Op::OP_PID,
                    Who::Tid => Op::OP_TID,
                    Who::Uid => Op::OP_UID,
                    Who::Cpu => Op::OP_CPU,
                    Who::Time => Op::OP_TIME,
                }),
            ),
            Step::Load { offset, size, signed, big_endian, space: of } => (
                1,
                types::event_step {
                    size,
                    space: space(of),
                    is_signed: u8::from(signed),
                    big_endian: u8::from(big_endian),
                    number: i64::from(offset) as u64,
                    ..plain(Op::OP_LOAD)
                },
            ),
            Step::Bits { shift, width, signed } => {
                (1, types::event_step { shift, size: width, is_signed: u8::from(signed), ..plain(Op::OP_BITS) })
            }
            Step::TextIs { space: of, ref wanted } => {
                let (which, size) = self.want(wanted);
                (1, types::event_step { which, size, space: space(of), ..plain(Op::OP_TEXT_IS) })
            }
            Step::CommIs(ref comm) => {
                let end = comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len());
                let (which, size) = self.want(comm.get(..end).unwrap_or_default());
                (0, types::event_step { which, size, ..plain(Op::OP_COMM_IS) })
            }
            Step::Unary(unary) => {
                let (op, size) = match unary {
                    Unary::Not => (Op::OP_NOT, 0),
                    Unary::Negate => (Op::OP_NEGATE, 0),
                    Unary::Invert => (Op::OP_INVERT, 0),
                    Unary::Swap16 => (Op::OP_SWAP, 2),
                    Unary::Swap32 => (Op::OP_SWAP, 4),
                    Unary::Swap64 => (Op::OP_SWAP, 8),
                };
                (1, types::event_step { size, ..plain(op) })
            }
            Step::Binary(binary) => (2, plain(binary_op(binary))),
        }
    }

    /// Where a text is among those that are compared with, in words, and how many chunks it has: the last one has a zero.
    fn want(&mut self, text: &[u8]) -> (u8, u8) {
        let mut chunks = text.to_vec();
        chunks.resize((text.len() / WANTED_CHUNK + 1) * WANTED_CHUNK, 0);
        let count = chunks.len() / WANTED_CHUNK;
        let known = self.wanted.windows(chunks.len()).step_by(WANTED_CHUNK).position(|known| known == chunks);
        let at = known.map_or(self.wanted.len(), |chunk| chunk * WANTED_CHUNK);
        if known.is_none() {
            self.wanted.extend(chunks);
        }
        (u8::try_from(at / 8).unwrap_or(u8::MAX), u8::try_from(count).unwrap_or(u8::MAX))
    }
}

fn binary_op(binary: Binary) -> types::event_op {
    type Op = types::event_op;
    match binary {
        Binary::Add => Op::OP_ADD,
        Binary::Subtract => Op::OP_SUBTRACT,
        Binary::Multiply => Op::OP_MULTIPLY,
        Binary::Divide => Op::OP_DIVIDE,
        Binary::Remainder => Op::OP_REMAINDER,
        Binary::And => Op::OP_AND,
        Binary::Or => Op::OP_OR,
        Binary::BitAnd => Op::OP_BIT_AND,
        Binary::BitOr => Op::OP_BIT_OR,
        Binary::BitXor => Op::OP_BIT_XOR,
        Binary::ShiftLeft => Op::OP_SHIFT_LEFT,
        Binary::ShiftRight => Op::OP_SHIFT_RIGHT,
        Binary::Equal => Op::OP_EQUAL,
        Binary::NotEqual => Op::OP_NOT_EQUAL,
        Binary::Less => Op::OP_LESS,
        Binary::LessOrEqual => Op::OP_LESS_OR_EQUAL,
        Binary::Greater => Op::OP_GREATER,
        Binary::GreaterOrEqual => Op::OP_GREATER_OR_EQUAL,
    }
}
