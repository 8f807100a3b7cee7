//! Following a function from its first instruction to all that its calls can end in.

use std::collections::BTreeSet;

use super::Exit;

use super::MAX_CODE;
use super::MAX_EXITS;
use super::MAX_FUNCTIONS;
use super::MAX_PARTS;
use super::body::Body;
use super::frames::Frame;
use super::growth;
use super::instruction::Entries;
use super::instruction::Flow;
use super::instruction::Instruction;
use super::instruction::JumpTable;
use super::program::Program;
use super::refusal::Refusal;
use super::refusal::TailCall;

/// Entries of a table of jump targets that are read, at most.
const MAX_ENTRIES: u64 = 4096;

/// What a function's calls run through, in itself and in the functions that they end in.
pub(super) struct Walk<'program, 'data> {
    program: &'program Program<'data>,
    /// The first is the function itself.
    bodies: Vec<Body>,
    exits: BTreeSet<Exit>,
    /// Where jumps lead within the first body.
    targets: BTreeSet<u64>,
    /// Whether all places where jumps can lead are known.
    knows_targets: bool,
    /// The jumps back to the entry after a goroutine's stack has grown.
    growths: Vec<u64>,
    code: u64,
    /// The functions that were followed by tail calls.
    followed: Vec<u64>,
}

impl<'program, 'data> Walk<'program, 'data> {
    /// Follows the function between two addresses.
    pub(super) fn run(program: &'program Program<'data>, start: u64, end: u64) -> Result<Self, Refusal> {
        let mut walk = Walk {
            program,
            bodies: Vec::new(),
            exits: BTreeSet::new(),
            targets: BTreeSet::new(),
            knows_targets: true,
            growths: Vec::new(),
            code: 0,
            followed: Vec::new(),
        };
        walk.add(start, end)?;
        if program.go_function(start).is_some()
            && let Some(body) = walk.bodies.first()
        {
            walk.growths = growth::growths(program, body);
        }
        let mut index = 0;
        while let Some(body) = walk.bodies.get(index) {
            let flows = body.flows().to_vec();
            for instruction in flows {
                walk.step(index, &instruction)?;
            }
            index += 1;
        }
        if walk.exits.is_empty() {
            return Err(Refusal::NoExit);
        }
        Ok(walk)
    }

    pub(super) fn body(&self) -> Option<&Body> {
        self.bodies.first()
    }

    pub(super) fn exits(&self) -> &BTreeSet<Exit> {
        &self.exits
    }

    /// Where jumps lead within the function itself, if all of them are known.
    pub(super) fn targets(&self) -> Option<&BTreeSet<u64>> {
        self.knows_targets.then_some(&self.targets)
    }

    /// The jumps back to a Go function's entry after its goroutine's stack has grown.
    pub(super) fn growths(&self) -> &[u64] {
        &self.growths
    }

    fn start(&self) -> u64 {
        self.bodies.first().map_or(0, |body| body.start)
    }

    fn add(&mut self, start: u64, end: u64) -> Result<(), Refusal> {
        if self.bodies.len() >= MAX_PARTS {
            return Err(Refusal::TooManyParts);
        }
        self.code = self.code.saturating_add(end.saturating_sub(start));
        if self.code > MAX_CODE {
            return Err(Refusal::TooLarge { size: self.code });
        }
        self.bodies.push(Body::read(self.program, start, end)?);
        Ok(())
    }

    /// What one instruction of the body `index` means for the function's ends.
    fn step(&mut self, index: usize, instruction: &Instruction) -> Result<(), Refusal> {
        let address = instruction.address;
        let Some(body) = self.bodies.get(index) else { return Ok(()) };
        let frame = body.frame(address);
        match instruction.flow {
            Flow::Next | Flow::Call(_) | Flow::Stop => Ok(()),
            Flow::Return => self.exit(index, instruction, frame),
            Flow::AuthenticatedReturn => Err(Refusal::AuthenticatedReturn),
            Flow::Leave => Err(Refusal::Contradiction {
                address,
                what: "it leaves by an instruction that functions do not return by",
            }),
            Flow::Branch(target) | Flow::Jump(target) => self.jump(address, frame, target),
            Flow::Switch { table, is_certain } => self.switch(index, frame, table, is_certain),
            Flow::Pointer(pointer) => self.through_pointer(address, frame, pointer),
        }
    }

    /// Whether the function's frame is gone, as at its first instruction and at its return.
    fn is_gone(&self, frame: Option<Frame>) -> bool {
        let machine = self.program.machine();
        frame == Some(Frame::Register { register: machine.stack_pointer(), distance: machine.pushed_by_call() })
    }

    fn exit(&mut self, index: usize, instruction: &Instruction, frame: Option<Frame>) -> Result<(), Refusal> {
        let address = instruction.address;
        let is_described = self.bodies.get(index).is_some_and(Body::has_frames);
        if is_described && !self.is_gone(frame) {
            return Err(Refusal::Contradiction {
                address,
                what: "it returns while its unwind table says that its frame is there",
            });
        }
        if !instruction.is_probeable {
            return Err(Refusal::Unprobeable { address });
        }
        let offset = self.program.offset(address).ok_or(Refusal::Unreadable)?;
        self.exits.insert(Exit { offset, is_shared: index > 0 });
        if self.exits.len() <= MAX_EXITS {
            return Ok(());
        }
        Err(match self.followed.first() {
            Some(target) => self.tail_call(TailCall::TooMany, *target),
            None => Refusal::TooManyExits,
        })
    }

    fn tail_call(&self, how: TailCall, target: u64) -> Refusal {
        Refusal::TailCall { how, target: self.program.name(target) }
    }

    /// A jump to an address, in the function or out of it.
    fn jump(&mut self, address: u64, frame: Option<Frame>, target: u64) -> Result<(), Refusal> {
        if let Some((index, body)) = self.bodies.iter().enumerate().find(|(_, body)| body.contains(target)) {
            if !body.is_boundary(target) {
                return Err(Refusal::Contradiction { address, what: "it jumps into the middle of an instruction" });
            }
            if let (Some(here), Some(there)) = (frame, body.frame(target))
                && here != there
            {
                return Err(Refusal::Contradiction {
                    address,
                    what: "it jumps to a place where its frame is another one",
                });
            }
            if index == 0 {
                if target == self.start() && !self.growths.contains(&address) {
                    return Err(Refusal::JumpsToEntry);
                }
                self.targets.insert(target);
            }
            return Ok(());
        }
        if frame.is_none() {
            return Err(Refusal::NoUnwindTable { address });
        }
        if self.is_gone(frame) { self.follow(address, frame, target) } else { self.part(address, frame, target) }
    }

    /// A jump without a frame: code there returns in this function's stead. Mostly it is a tail call of another function; it may be a part
    /// of this one that needs no frame, which makes no difference.
    fn follow(&mut self, address: u64, frame: Option<Frame>, target: u64) -> Result<(), Refusal> {
        if let Some(pointer) = self.program.stub(target) {
            return match self.program.constant(pointer) {
                // Stubs that lead to stubs could go on for ever.
                Some(constant) if self.program.stub(constant).is_none() => self.jump(address, frame, constant),
                _ => Err(self.imported(Some(pointer))),
            };
        }
        let Some(end) = self.program.end(target) else {
            return match self.program.described(target) {
                Some(_) => self.part(address, frame, target),
                None => Err(self.tail_call(TailCall::Unknown, target)),
            };
        };
        self.followed.push(target);
        if self.followed.len() >= MAX_FUNCTIONS {
            return Err(self.tail_call(TailCall::TooMany, target));
        }
        self.add(target, end).map_err(|why| Refusal::Beyond { target: self.program.name(target), why: Box::new(why) })
    }

    /// A jump into code that begins before its target: the frame is the same there.
    fn part(&mut self, address: u64, frame: Option<Frame>, target: u64) -> Result<(), Refusal> {
        let what = "it leaves its code while its unwind table says that its frame is there";
        let contradiction = Refusal::Contradiction { address, what };
        let Some((start, end)) = self.program.described(target) else { return Err(contradiction) };
        let rows = self.program.rows(start, end);
        if rows.and_then(|rows| rows.at(target)) != frame || frame == Some(Frame::Expression) {
            return Err(contradiction);
        }
        self.add(start, end)?;
        self.jump(address, frame, target)
    }

    fn imported(&self, pointer: Option<u64>) -> Refusal {
        let target = pointer.and_then(|pointer| self.program.import(pointer)).map(str::to_owned);
        let how = if target.is_some() { TailCall::Imported } else { TailCall::Indirect };
        Refusal::TailCall { how, target }
    }

    /// A jump through a pointer: with the frame still there it can only stay in the function.
    fn through_pointer(&mut self, address: u64, frame: Option<Frame>, pointer: Option<u64>) -> Result<(), Refusal> {
        if frame.is_none() || self.is_gone(frame) {
            return match pointer.and_then(|pointer| self.program.constant(pointer)) {
                Some(target) if frame.is_some() => self.jump(address, frame, target),
                _ => Err(self.imported(pointer)),
            };
        }
        self.knows_targets = false;
        Ok(())
    }

    /// A jump by a table, unless it is a tail call through an array of functions.
    fn switch(
        &mut self,
        index: usize,
        frame: Option<Frame>,
        table: Option<JumpTable>,
        is_certain: bool,
    ) -> Result<(), Refusal> {
        let body = self.bodies.get(index);
        let targets = body.zip(table).map_or_else(BTreeSet::new, |(body, table)| entries(self.program, body, table));
        if targets.is_empty() {
            if !is_certain && (frame.is_none() || self.is_gone(frame)) {
                return Err(self.imported(None));
            }
            self.knows_targets = false;
        }
        if index == 0 {
            self.targets.extend(targets);
        }
        Ok(())
    }
}

/// The places in a body to which a table leads, as far as its entries lead there.
fn entries(program: &Program<'_>, body: &Body, table: JumpTable) -> BTreeSet<u64> {
    let mut targets = BTreeSet::new();
    for number in 0..MAX_ENTRIES {
        let target = match table.entries {
            Entries::Absolute => program.pointer(table.address.wrapping_add(number * 8)),
            Entries::Relative => program
                .distance(table.address.wrapping_add(number * 4))
                .map(|distance| table.address.wrapping_add_signed(distance.into())),
        };
        match target {
            Some(target) if body.is_boundary(target) => targets.insert(target),
            _ => break,
        };
    }
    targets
}

/// Where jumps lead within a body, if all of them are known.
pub(super) fn targets(program: &Program<'_>, body: &Body) -> Option<BTreeSet<u64>> {
    let mut targets = BTreeSet::new();
    for instruction in body.flows() {
        match instruction.flow {
            Flow::Branch(target) | Flow::Jump(target) => {
                targets.insert(target);
            }
            Flow::Switch { table: Some(table), .. } => {
                let entries = entries(program, body, table);
                if entries.is_empty() {
                    return None;
                }
                targets.extend(entries);
            }
            Flow::Switch { table: None, .. } | Flow::Pointer(_) => return None,
            _ => {}
        }
    }
    Some(targets)
}
