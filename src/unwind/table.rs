//! A file's unwind tables as rows: from which byte of the file on which rule holds.

use std::collections::HashMap;
use std::iter::Peekable;

use super::rule::Cfa;
use super::rule::FramePointer;
use super::rule::Rule;
use gimli::BaseAddresses;
use gimli::CfaRule;
use gimli::CieOrFde;
use gimli::CommonInformationEntry;
use gimli::DebugFrame;
use gimli::EhFrame;
use gimli::EndianSlice;
use gimli::FrameDescriptionEntry;
use gimli::LittleEndian;
use gimli::Operation;
use gimli::Register;
use gimli::RegisterRule;
use gimli::UnwindContext;
use gimli::UnwindExpression;
use gimli::UnwindOffset;
use gimli::UnwindSection;
use gimli::UnwindTableRow;
use gimli::X86_64;

/// Rows of a file: librustc_driver has a million.
const MAX_ROWS: usize = 3 << 20;
/// Functions of a file: librustc_driver has a hundred thousand.
const MAX_FUNCTIONS: usize = 1 << 20;
/// Distinct rules of one file; cc1plus has some thousand.
const MAX_RULES: usize = 8 << 10;
/// Operations of an expression that are looked at.
const MAX_OPERATIONS: usize = 12;

type Bytes<'data> = EndianSlice<'data, LittleEndian>;

/// From a byte of the file on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The byte's place in the file.
    pub offset: u32,
    /// What holds there, up to the next row: the number of a rule.
    pub rule: u16,
}

/// What is known of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnwindTable {
    /// Where code is in the file: first byte, and the one behind the last.
    pub code: Vec<(u64, u64)>,
    /// The rules; the first is [`Rule::UNKNOWN`].
    pub rules: Vec<Rule>,
    /// In the order of their places.
    pub rows: Vec<Row>,
}

/// What of a file the tables are read from.
#[derive(Debug, Default)]
pub struct Image<'data> {
    /// The parts that are mapped executable.
    pub segments: Vec<Segment>,
    /// The section `.eh_frame`, or nothing.
    pub eh_frame: &'data [u8],
    /// Its address, and those of `.text` and `.got`, which entries may count from.
    pub eh_frame_address: u64,
    /// See above.
    pub text_address: Option<u64>,
    /// See above.
    pub got_address: Option<u64>,
    /// The section `.debug_frame`, or nothing.
    pub debug_frame: &'data [u8],
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its address, as the file numbers them.
    pub address: u64,
    /// Its place in the file.
    pub offset: u64,
    /// Its bytes.
    pub size: u64,
}

impl UnwindTable {
    /// Reads the tables of code for x86_64; what can't be read of them is left out. `own` are rows that the file has in a table of its
    /// own: first address, the one behind the last, and the rule, in the order of the addresses.
    pub fn read(image: &Image<'_>, own: &mut dyn Iterator<Item = (u64, u64, Rule)>) -> UnwindTable {
        let mut own = own.peekable();
        let mut reading = Reading::new(&image.segments);
        let mut bases = BaseAddresses::default().set_eh_frame(image.eh_frame_address);
        if let Some(text) = image.text_address {
            bases = bases.set_text(text);
        }
        if let Some(got) = image.got_address {
            bases = bases.set_got(got);
        }
        let mut table = EhFrame::new(image.eh_frame, LittleEndian);
        table.set_address_size(8);
        reading.append(&table, &bases, &mut own);
        reading.add_own(&mut own, u32::MAX);
        reading.add(reading.covered, 0);
        // Code that is built without exceptions may have its tables among the debug information only.
        if !image.debug_frame.is_empty() {
            let mut more = Reading::new(&image.segments);
            let mut table = DebugFrame::new(image.debug_frame, LittleEndian);
            table.set_address_size(8);
            let none: &mut dyn Iterator<Item = _> = &mut std::iter::empty();
            more.append(&table, &BaseAddresses::default(), &mut none.peekable());
            more.add(more.covered, 0);
            reading.fill(&more);
        }
        let end = |segment: &Segment| segment.offset.saturating_add(segment.size);
        let code = image.segments.iter().map(|segment| (segment.offset, end(segment))).collect();
        UnwindTable { code, rules: reading.rules, rows: reading.rows }
    }
}

/// A stretch of a file in which a rule holds: first byte, the one behind the last, the rule's number.
type Part = (u32, u32, u16);

/// A function of a file: first byte, the one behind the last, and where its entry is in the section.
type Function = (u32, u32, u32);

/// Rows of a file's own table.
type Own<'a> = Peekable<&'a mut dyn Iterator<Item = (u64, u64, Rule)>>;

/// Tables that are being read.
///
/// Functions are put in order before their rows are read, so that rows are joined as they are read: those of librustc_driver take
/// 9 MB, and took four times as much when they were sorted.
struct Reading<'a> {
    segments: &'a [Segment],
    rules: Vec<Rule>,
    numbers: HashMap<Rule, u16>,
    rows: Vec<Row>,
    /// Up to here rows say what holds.
    covered: u32,
}

impl<'a> Reading<'a> {
    fn new(segments: &'a [Segment]) -> Reading<'a> {
        let rules = vec![Rule::UNKNOWN, Rule::UNSUPPORTED];
        let numbers = HashMap::from([(Rule::UNKNOWN, 0), (Rule::UNSUPPORTED, 1)]);
        Reading { segments, rules, numbers, rows: Vec::new(), covered: 0 }
    }

    /// The number of a rule; one more than a file may have is not supported.
    fn number(&mut self, rule: Rule) -> u16 {
        if let Some(number) = self.numbers.get(&rule) {
            return *number;
        }
        if self.rules.len() >= MAX_RULES {
            return 1;
        }
        let number = self.rules.len() as u16;
        self.rules.push(rule);
        self.numbers.insert(rule, number);
        number
    }

    /// The place in the file of an address; that of a segment's end counts to it. Files of 4 GiB and more have none.
    fn offset(&self, address: u64) -> Option<u32> {
        let into = |segment: &Segment| address.checked_sub(segment.address).filter(|into| *into <= segment.size);
        let place = self.segments.iter().find_map(|segment| segment.offset.checked_add(into(segment)?));
        place.and_then(|place| u32::try_from(place).ok())
    }

    /// Adds the rows of all functions of a table; what can't be read of it is left out.
    fn append<'data, S: UnwindSection<Bytes<'data>>>(&mut self, section: &S, bases: &BaseAddresses, own: &mut Own<'_>) {
        let mut cies = Cies::default();
        let mut context = UnwindContext::new();
        let mut parts = Vec::new();
        for (begin, end, at) in self.functions(section, bases, &mut cies) {
            let fde = section.fde_from_offset(bases, S::Offset::from(at as usize), |section, bases, offset| {
                cies.get(section, bases, offset)
            });
            self.add_own(own, begin);
            parts.clear();
            let whole = fde.ok().and_then(|fde| self.read_function(section, bases, &fde, &mut context, &mut parts));
            if whole.is_none() {
                // What of it could be read is not all: a rule that ends too late is worse than none.
                parts.clear();
                parts.push((begin, end, 1));
            }
            if self.rows.len() + parts.len() >= MAX_ROWS {
                return;
            }
            for part in &parts {
                self.add_part(*part);
            }
        }
    }

    /// Adds the rows of the file's own table that begin before a place.
    fn add_own(&mut self, own: &mut Own<'_>, before: u32) {
        while let Some((start, end, rule)) = own.peek().copied() {
            let place = self.offset(start).zip(self.offset(end));
            if self.rows.len() >= MAX_ROWS || place.is_some_and(|(start, _)| start >= before) {
                return;
            }
            if let Some((start, end)) = place {
                let number = self.number(rule);
                self.add_part((start, end, number));
            }
            own.next();
        }
    }

    /// The functions of a table in the order of their places; of two that begin at one place, the longer first.
    fn functions<'data, S: UnwindSection<Bytes<'data>>>(
        &self,
        section: &S,
        bases: &BaseAddresses,
        cies: &mut Cies<'data>,
    ) -> Vec<Function> {
        let mut functions = Vec::new();
        let mut entries = section.entries(bases);
        while functions.len() < MAX_FUNCTIONS
            && let Ok(Some(entry)) = entries.next()
        {
            let CieOrFde::Fde(partial) = entry else { continue };
            let fde = partial.parse(|section, bases, offset| cies.get(section, bases, offset));
            // Linkers leave the entries of functions that they dropped at address zero.
            let Some(fde) = fde.ok().filter(|fde| fde.initial_address() != 0 && fde.len() > 0) else { continue };
            let places = self.offset(fde.initial_address()).zip(self.offset(fde.end_address()));
            functions.extend(places.zip(u32::try_from(fde.offset()).ok()).map(|((begin, end), at)| (begin, end, at)));
        }
        functions.sort_unstable_by_key(|(begin, end, at)| (*begin, std::cmp::Reverse(*end), *at));
        functions
    }

    fn read_function<'data, S: UnwindSection<Bytes<'data>>>(
        &mut self,
        section: &S,
        bases: &BaseAddresses,
        fde: &FrameDescriptionEntry<Bytes<'data>>,
        context: &mut UnwindContext<usize>,
        parts: &mut Vec<Part>,
    ) -> Option<()> {
        let mut table = fde.rows(section, bases, context).ok()?;
        while let Some(row) = table.next_row().ok()? {
            let rule = if fde.is_signal_trampoline() { Rule::SIGNAL } else { rule(section, row) };
            let (start, end) = (self.offset(row.start_address())?, self.offset(row.end_address())?);
            if parts.len() >= MAX_ROWS {
                return None;
            }
            parts.push((start, end, self.number(rule)));
        }
        Some(())
    }

    /// Adds a part, with an unknown one before it where it doesn't follow the last.
    fn add_part(&mut self, (start, end, rule): Part) {
        if start >= end {
            return;
        }
        // Functions that overlap contradict each other: the one that begins last counts, and behind it nothing is known of the other.
        while self.rows.last().is_some_and(|row| row.offset > start) {
            self.rows.pop();
        }
        if start > self.covered {
            self.add(self.covered, 0);
        }
        self.add(start, rule);
        self.covered = end;
    }

    /// Takes the rules of another table where this one has none.
    fn fill(&mut self, other: &Reading<'_>) {
        let begin = Row { offset: 0, rule: 0 };
        let rows: Vec<Row> = std::iter::once(begin).chain(std::mem::take(&mut self.rows)).collect();
        let ends = rows.iter().skip(1).map(|row| row.offset).chain([u32::MAX]);
        for (row, end) in rows.iter().zip(ends) {
            self.add(row.offset, row.rule);
            if row.rule != 0 || self.rows.len() >= MAX_ROWS {
                continue;
            }
            // The last one that begins before it holds in it, too.
            let first = other.rows.partition_point(|other| other.offset <= row.offset).saturating_sub(1);
            for within in other.rows.iter().skip(first).take_while(|within| within.offset < end) {
                let rule = other.rules.get(usize::from(within.rule)).copied().unwrap_or(Rule::UNKNOWN);
                let number = self.number(rule);
                self.add(within.offset.max(row.offset), number);
            }
        }
    }

    /// From here on this rule holds.
    fn add(&mut self, offset: u32, rule: u16) {
        match self.rows.last_mut() {
            Some(last) if last.rule == rule => {}
            Some(last) if last.offset == offset => last.rule = rule,
            _ => self.rows.push(Row { offset, rule }),
        }
    }
}

/// What the entries of a section have in common, by their places.
#[derive(Default)]
struct Cies<'data>(HashMap<usize, Option<CommonInformationEntry<Bytes<'data>>>>);

impl<'data> Cies<'data> {
    fn get<S: UnwindSection<Bytes<'data>>>(
        &mut self,
        section: &S,
        bases: &BaseAddresses,
        offset: S::Offset,
    ) -> gimli::Result<CommonInformationEntry<Bytes<'data>>> {
        let entry = self.0.entry(UnwindOffset::into(offset));
        let cie = entry.or_insert_with(|| section.cie_from_offset(bases, offset).ok());
        cie.clone().ok_or(gimli::Error::NotCiePointer(0))
    }
}

fn rule<'data, S: UnwindSection<Bytes<'data>>>(section: &S, row: &UnwindTableRow<usize>) -> Rule {
    match row.register(X86_64::RA) {
        Some(RegisterRule::Undefined) => return Rule::OUTERMOST,
        Some(RegisterRule::Offset(-8)) => {}
        // vfork() keeps it there, since its child shares the stack.
        Some(RegisterRule::Register(Register(back @ 0..=15))) => {
            let CfaRule::RegisterAndOffset { register: X86_64::RSP, offset } = row.cfa() else {
                return Rule::UNSUPPORTED;
            };
            return match i32::try_from(*offset) {
                Ok(offset) => {
                    Rule { cfa: Cfa::ReturnInRegister(back as u8, offset), frame_pointer: FramePointer::Same }
                }
                Err(_) => Rule::UNSUPPORTED,
            };
        }
        _ => return Rule::UNSUPPORTED,
    }
    let operations = |expression: &UnwindExpression<usize>| operations(section, expression);
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => of_register(*register, *offset),
        CfaRule::Expression(expression) => operations(expression).and_then(|all| of_expression(&all)),
    };
    let frame_pointer = match row.register(X86_64::RBP) {
        None | Some(RegisterRule::SameValue) => Some(FramePointer::Same),
        Some(RegisterRule::Offset(offset)) => i32::try_from(offset).ok().map(FramePointer::AtCfa),
        Some(RegisterRule::Expression(expression)) => match operations(&expression).as_deref() {
            Some([Operation::RegisterOffset { register, offset, .. }]) if *register == X86_64::RBP => {
                i32::try_from(*offset).ok().map(FramePointer::AtFramePointer)
            }
            _ => None,
        },
        Some(_) => None,
    };
    match cfa {
        Some(cfa) => Rule { cfa, frame_pointer: frame_pointer.unwrap_or(FramePointer::Lost) },
        None => Rule::UNSUPPORTED,
    }
}

fn of_register(register: Register, offset: i64) -> Option<Cfa> {
    let offset = i32::try_from(offset).ok()?;
    match register {
        X86_64::RSP => Some(Cfa::StackPointer(offset)),
        X86_64::RBP => Some(Cfa::FramePointer(offset)),
        Register(number @ 0..=15) => Some(Cfa::Register(number as u8, offset)),
        _ => None,
    }
}

/// The expressions that linkers and compilers write: import stubs, and functions that align their stack.
fn of_expression(operations: &[Operation<Bytes<'_>>]) -> Option<Cfa> {
    let number = |offset: i64| i32::try_from(offset).ok();
    let at = |register: Register, offset: i64, more: i64| match register {
        X86_64::RSP => Some(Cfa::AtStackPointer(number(offset)?, number(more)?)),
        X86_64::RBP => Some(Cfa::AtFramePointer(number(offset)?, number(more)?)),
        _ => None,
    };
    match operations {
        [Operation::RegisterOffset { register, offset, .. }] => of_register(*register, *offset),
        [Operation::RegisterOffset { register, offset, .. }, Operation::Deref { size: 8, .. }] => {
            at(*register, *offset, 0)
        }
        [
            Operation::RegisterOffset { register, offset, .. },
            Operation::Deref { size: 8, .. },
            Operation::PlusConstant { value },
        ] => at(*register, *offset, i64::try_from(*value).ok()?),
        // rsp + 8 + ((rip & 15) >= from) << 3
        [
            Operation::RegisterOffset { register: X86_64::RSP, offset: 8, .. },
            Operation::RegisterOffset { register: X86_64::RA, offset: 0, .. },
            Operation::UnsignedConstant { value: 15 },
            Operation::And,
            Operation::UnsignedConstant { value: from },
            Operation::Ge,
            Operation::UnsignedConstant { value: 3 },
            Operation::Shl,
            Operation::Plus,
        ] => Some(Cfa::Stub(i32::try_from(*from).ok()?)),
        _ => None,
    }
}

fn operations<'data, S: UnwindSection<Bytes<'data>>>(
    section: &S,
    expression: &UnwindExpression<usize>,
) -> Option<Vec<Operation<Bytes<'data>>>> {
    let encoding = gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 };
    let mut operations = expression.get(section).ok()?.operations(encoding);
    let mut all = Vec::new();
    while let Some(operation) = operations.next().ok()? {
        if all.len() == MAX_OPERATIONS {
            return None;
        }
        all.push(operation);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::process::Command;

    use object::Object;
    use object::ObjectSection;
    use object::ObjectSegment;

    use super::Image;
    use super::Reading;
    use super::Segment;
    use super::UnwindTable;
    use crate::unwind::rule::Cfa;
    use crate::unwind::rule::FramePointer;
    use crate::unwind::rule::Rule;

    const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

    #[test]
    fn of_functions_that_overlap_the_one_that_begins_last_counts() {
        let mut reading = Reading::new(&[]);
        for part in [(16, 24, 2), (24, 48, 3), (48, 64, 4), (32, 40, 5), (64, 64, 6), (64, 80, 5), (80, 96, 5)] {
            reading.add_part(part);
        }
        let rows: Vec<_> = reading.rows.iter().map(|row| (row.offset, row.rule)).collect();
        assert_eq!(rows, [(0, 0), (16, 2), (24, 3), (32, 5), (40, 0), (64, 5)]);
        assert_eq!(reading.covered, 96);
    }

    fn table(path: &str) -> UnwindTable {
        let bytes = std::fs::read(path).unwrap();
        let elf = object::File::parse(&*bytes).unwrap();
        let section = elf.section_by_name(".eh_frame").unwrap();
        let segment = |segment: object::Segment<'_, '_>| {
            let (offset, size) = segment.file_range();
            Segment { address: segment.address(), offset, size }
        };
        UnwindTable::read(
            &Image {
                segments: elf.segments().map(segment).collect(),
                eh_frame: section.data().unwrap(),
                eh_frame_address: section.address(),
                ..Image::default()
            },
            &mut std::iter::empty(),
        )
    }

    fn at(table: &UnwindTable, offset: u64) -> Rule {
        let behind = table.rows.partition_point(|row| u64::from(row.offset) <= offset);
        behind.checked_sub(1).map_or(Rule::UNKNOWN, |at| table.rules[usize::from(table.rows[at].rule)])
    }

    /// What readelf says of one place: how the CFA is computed, and where the frame pointer is.
    fn reads(rule: Rule, cfa: &str, frame_pointer: Option<&str>) -> bool {
        let offset = |register: &str| cfa.strip_prefix(register).and_then(|rest| rest.parse::<i32>().ok());
        let same = match rule.cfa {
            Cfa::StackPointer(distance) | Cfa::ReturnInRegister(_, distance) => offset("rsp") == Some(distance),
            Cfa::FramePointer(distance) => offset("rbp") == Some(distance),
            Cfa::Register(10, distance) => offset("r10") == Some(distance),
            Cfa::Register(..) | Cfa::Unsupported => cfa != "exp" && offset("rsp").is_none() && offset("rbp").is_none(),
            Cfa::Outermost | Cfa::Signal => return true,
            Cfa::AtStackPointer(..) | Cfa::AtFramePointer(..) | Cfa::Stub(..) => cfa == "exp",
            Cfa::Unknown | Cfa::Goroutine(..) | Cfa::OtherStack(..) => false,
        };
        let kept = match (rule.frame_pointer, frame_pointer) {
            (FramePointer::Same, None | Some("u" | "s")) => true,
            (FramePointer::AtCfa(distance), Some(text)) => {
                text.strip_prefix('c').and_then(|text| text.parse().ok()) == Some(distance)
            }
            (FramePointer::AtFramePointer(_) | FramePointer::Lost, Some(text)) => text.contains("exp"),
            _ => false,
        };
        same && (kept || rule.cfa == Cfa::Unsupported)
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_row_of_libc_says_what_readelf_says() {
        if !Path::new(LIBC).exists() {
            return;
        }
        let output = Command::new("readelf").args(["--debug-dump=frames-interp", "-W", LIBC]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let table = table(LIBC);
        let mut columns: Vec<&str> = Vec::new();
        let mut found: BTreeMap<u64, (&str, Option<&str>)> = BTreeMap::new();
        let mut is_fde = false;
        for line in text.lines() {
            // A register that is kept in another one has a second name, in brackets.
            let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with('(')).collect();
            match words.as_slice() {
                [_, _, _, kind @ ("FDE" | "CIE"), ..] => is_fde = *kind == "FDE",
                ["LOC", "CFA", rest @ ..] => columns = rest.to_vec(),
                [place, cfa, rest @ ..] if is_fde && place.len() == 16 => {
                    let Ok(address) = u64::from_str_radix(place, 16) else { continue };
                    let frame_pointer = columns.iter().position(|column| *column == "rbp");
                    found.insert(address, (cfa, frame_pointer.and_then(|at| rest.get(at)).copied()));
                }
                _ => {}
            }
        }
        // Addresses and places in the file are the same in libc's code.
        assert!(found.len() > 20_000, "{}", found.len());
        for (address, (cfa, frame_pointer)) in found {
            let rule = at(&table, address);
            assert!(reads(rule, cfa, frame_pointer), "{address:x}: {rule:?}, not {cfa} and {frame_pointer:?}");
        }
    }

    #[test]
    fn what_is_no_table_has_no_rows() {
        let segments = vec![Segment { address: 0, offset: 0, size: 100 }];
        let image = Image { segments, eh_frame: &[0xff; 50], ..Image::default() };
        let table = UnwindTable::read(&image, &mut std::iter::empty());
        assert!(table.rows.iter().all(|row| row.rule == 0));
    }

    #[test]
    fn rows_of_a_table_of_its_own_are_among_those_of_functions() {
        let segments = vec![Segment { address: 0x1000, offset: 0x200, size: 100 }];
        let rule = |offset| Rule { cfa: Cfa::StackPointer(offset), frame_pointer: FramePointer::Same };
        let own = [
            (0x1000, 0x1004, rule(8)),
            (0x1004, 0x1010, rule(24)),
            (0x9000, 0x9010, rule(8)),
            (0x1020, 0x1030, rule(8)),
        ];
        let table = UnwindTable::read(&Image { segments, ..Image::default() }, &mut own.into_iter());
        let rules: Vec<_> = [0x1ff, 0x200, 0x204, 0x210, 0x220, 0x22f, 0x230].map(|place| at(&table, place).cfa).into();
        let known = |offset| Cfa::StackPointer(offset);
        let expected = [Cfa::Unknown, known(8), known(24), Cfa::Unknown, known(8), known(8), Cfa::Unknown];
        assert_eq!(rules, expected);
    }
}
