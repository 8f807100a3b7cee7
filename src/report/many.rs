//! Reports of many recordings: each is opened, read and closed by itself, on all cores, and what is said of it is merged.
//!
//! Only labels, and what the document shows, are held for all of them. Rankings keep their first rows, distributions and flame graphs add up
//! exactly, and a sentence that is true of many recordings is said once.

use std::path::Path;

use anyhow::Result;

use crate::failure::Failure;
use crate::recording::STDIN;
use crate::recording::glance;
use crate::render::Block;
use crate::render::Document;
use crate::render::LeftOut;
use crate::render::Table;
use crate::report::explain;
use crate::report::many::findings::Findings;
use crate::report::many::hosts::Hosts;
use crate::report::many::hosts::Tables;
use crate::report::many::merge::Merged;
use crate::report::plan::Format;
use crate::report::plan::HOST;
use crate::report::plan::ReportPlan;
use crate::report::read::files::Files;
use crate::report::read::files::Named;
use crate::report::read::health::Losses;
use crate::report::read::input;
use crate::report::read::input::Source;
use crate::report::read::label;
use crate::report::read::window;
use crate::report::view::FINDINGS;
use crate::report::view::IDLE;
use crate::report::view::SUMMARY;
use crate::report::view::View;
use crate::report::view::hosts_of;
use crate::steps::Steps;
use crate::units;

mod findings;
mod gather;
mod hosts;
mod lines;
mod merge;
mod outliers;

/// Rows of each table of the summary, and of the tables of hosts, for people.
const ROWS: usize = 10;
const HOST_ROWS: usize = 20;
const ISSUE_ROWS: usize = 6;
/// Sentences of findings.
const SENTENCES: usize = 8;
/// Recordings that a picture names.
const LABELS: usize = 3;
/// What the summary orders otherwise than a single recording does: its table, by a column.
const ORDERS: [(&str, &str); 2] = [("commands", "cpu_ns"), ("hosts", "cpu_pct")];
/// What processes are ordered by where a recording has it; single recordings without it are in the order of another metric.
const PROCESSES: (&str, &str) = ("processes", "sched.on_cpu.sum_ns");

/// A recording that was looked at, and what is needed to open it.
struct Known {
    named: Named,
    host: String,
    label: String,
    bytes: u64,
    start_ns: i64,
    length_ns: i64,
}

/// What is said of one recording.
struct Part {
    document: Document,
    lost: u64,
}

/// Explains recordings one by one.
///
/// # Errors
/// None of them can be read, or none has what is asked for.
pub(super) fn report(files: Files, view: &View, plan: &ReportPlan, steps: &Steps) -> Result<Document> {
    if files.list.iter().any(|named| named.path == Path::new(STDIN)) {
        let why = "standard input can be read only once, but --by host and more than eight recordings need two passes";
        return Err(Failure::usage(why).hint("write it to a file first").into());
    }
    steps.expect(2 * files.list.len());
    let mut left_out = files.left_out;
    let known = survey(files.list, plan, &mut left_out, steps)?;
    let own = part_plan(view, plan);
    let mut shape = Shape::of(view, plan);
    let (mut lost, mut refusal, mut refused) = (0u64, None, 0u64);
    let work = |at: usize| known.get(at).map(|known| explained(known, view, plan, &own));
    gather::each(
        known.len(),
        |at| known.get(at).map_or(0, |known| known.bytes),
        work,
        |at, part| {
            steps.step();
            let (Some(known), Some(part)) = (known.get(at), part) else { return Ok(()) };
            match part {
                Ok(part) => {
                    lost = lost.saturating_add(part.lost);
                    shape.add(known, part.document)?;
                }
                Err(error) if explain::is_refusal(&error) => {
                    refused += 1;
                    shape.merged.lines().add(&known.label, error.to_string(), false);
                    refusal.get_or_insert(error);
                }
                Err(error) => left_out.push(known.named.left_out(&error)),
            }
            Ok(())
        },
    )?;
    let read = shape.merged.recordings();
    if read == 0 {
        return Err(refusal.unwrap_or_else(|| input::none_opens(&left_out).into()));
    }
    shape.merged.lines().only_of_all(explain::NO_MATCH, read);
    let mut document = shape.document(&known, read, plan)?;
    if plan.format == Format::Svg {
        document.subtitle = provenance(&known, read, lost);
    }
    document.leave_out(left_out);
    Ok(document)
}

/// Looks at each recording: what it is called depends on all of them.
///
/// Those of one host come one after the other, hosts in the order of their first recordings.
fn survey(files: Vec<Named>, plan: &ReportPlan, left_out: &mut Vec<LeftOut>, steps: &Steps) -> Result<Vec<Known>> {
    let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let open = |at: usize| files.get(at).map(|named| (size(&named.path), facts(&named.path, plan)));
    let mut known: Vec<Known> = Vec::new();
    gather::each(
        files.len(),
        |_| 1,
        open,
        |at, opened| {
            steps.step();
            match (files.get(at), opened) {
                (Some(named), Some((bytes, Ok((host, start_ns, length_ns))))) => {
                    known.push(Known { named: named.clone(), label: String::new(), host, bytes, start_ns, length_ns });
                }
                (Some(named), Some((_, Err(error)))) => left_out.push(named.left_out(&error)),
                _ => {}
            }
            Ok(())
        },
    )?;
    if known.is_empty() {
        return Err(input::none_opens(left_out).into());
    }
    let named: Vec<(String, &Path)> = known.iter().map(|known| (known.host.clone(), &*known.named.path)).collect();
    let labels = label::labels(&named);
    let mut places = std::collections::HashMap::new();
    let place: Vec<usize> = known
        .iter()
        .map(|known| {
            let next = places.len();
            *places.entry(known.host.clone()).or_insert(next)
        })
        .collect();
    let mut known: Vec<(usize, Known)> =
        place.into_iter().zip(known.into_iter().zip(labels).map(|(known, label)| Known { label, ..known })).collect();
    known.sort_by_key(|(place, _)| *place);
    Ok(known.into_iter().map(|(_, known)| known).collect())
}

/// A recording's host, and start and length of its window.
fn facts(path: &Path, plan: &ReportPlan) -> Result<(String, i64, i64)> {
    if let Some(meta) = glance(path) {
        return Ok((label::host(&meta.host.hostname, path), meta.window.start_real_ns, meta.window.actual_ns));
    }
    let source = Source::open(path, &plan.filter)?;
    let window = &source.meta().window;
    Ok((source.label().to_owned(), window.start_real_ns, window.actual_ns))
}

/// What is asked of each recording. Where people get sentences of one recording, the tables of programs are merged instead.
fn part_plan(view: &View, plan: &ReportPlan) -> ReportPlan {
    let for_programs = [SUMMARY, FINDINGS, "slow", "hist"].contains(&view.name);
    let format = if for_programs { Format::Json } else { plan.format };
    let by = plan.by.iter().filter(|by| *by != HOST).cloned().collect();
    // The slowest few of each recording are enough for the slowest few of all.
    ReportPlan { format, by, files: Vec::new(), files_from: None, ..plan.clone() }
}

fn explained(known: &Known, view: &View, plan: &ReportPlan, own: &ReportPlan) -> Result<Part> {
    let source = Source::open(&known.named.path, &plan.filter)?.part(known.label.clone());
    let mut sources = [source];
    let hosts_only = view.name == SUMMARY && plan.by_host();
    let document = match hosts_only {
        true => explain::explain(&mut sources, &View { run: hosts_of, ..*view }, own)?,
        false => explain::explain(&mut sources, view, own)?,
    };
    let lost = match (plan.format, &sources) {
        (Format::Svg, [source]) => Losses::of(source)?.total(),
        _ => 0,
    };
    Ok(Part { document, lost })
}

/// The parts of the document while recordings are added.
struct Shape {
    merged: Merged,
    hosts: Option<Hosts>,
    findings: Option<Findings>,
    is_summary: bool,
    by_host: bool,
    for_programs: bool,
}

impl Shape {
    fn of(view: &View, plan: &ReportPlan) -> Shape {
        let (is_summary, by_host) = (view.name == SUMMARY, plan.by_host());
        let for_programs = plan.format.is_for_programs();
        let mut merged = Merged::new(plan);
        if !for_programs && is_summary {
            ORDERS.iter().for_each(|(table, column)| merged.order(table, column));
        }
        if view.name == PROCESSES.0 {
            merged.order(PROCESSES.0, PROCESSES.1);
        }
        let compares = is_summary || view.name == "hist";
        let rows = if plan.format == Format::Markdown { ISSUE_ROWS } else { HOST_ROWS };
        let hosts = compares.then(|| Hosts::new(for_programs, plan.events_shown(rows)));
        let findings = (!for_programs && (is_summary || view.name == FINDINGS)).then(Findings::default);
        Shape { merged, hosts, findings, is_summary, by_host, for_programs }
    }

    fn add(&mut self, known: &Known, mut document: Document) -> Result<()> {
        if let Some(hosts) = &mut self.hosts {
            hosts.add(&known.host, &document);
        }
        if let Some(findings) = &mut self.findings {
            findings.add(&known.label, &document);
        }
        // What each process waited for by design is of no interest beyond its host.
        document.blocks.retain(|block| !matches!(block, Block::Note(note) if note.starts_with(IDLE)));
        self.merged.add(&known.label, document)
    }

    fn document(self, known: &[Known], read: u64, plan: &ReportPlan) -> Result<Document> {
        let tables = self.hosts.map(Hosts::tables).transpose()?;
        let mut merged = self.merged.document()?;
        let Some(tables) = tables else {
            if let Some(findings) = self.findings {
                people_get(&mut merged, findings, &["findings"]);
            }
            return Ok(merged);
        };
        if !self.is_summary {
            if plan.metrics.is_empty() && !self.by_host {
                return Ok(merged);
            }
            merged.blocks.extend(
                [tables.outliers, tables.fleet].into_iter().filter(|table| !table.is_empty()).map(Block::Table),
            );
            return Ok(merged);
        }
        if self.for_programs {
            if self.by_host {
                merged.blocks.retain(|block| !matches!(block, Block::Table(_) | Block::Heading(_)));
                merged
                    .blocks
                    .extend([tables.hosts, tables.outliers, tables.fleet, tables.distributions].map(Block::Table));
            } else {
                merged.blocks.extend([tables.outliers, tables.fleet].map(Block::Table));
            }
            return Ok(merged);
        }
        let is_issue = plan.format == Format::Markdown;
        let title = if is_issue { of_hosts(read, tables.number) } else { String::new() };
        let mut document = Document::new(SUMMARY, title);
        document.push(Block::Pairs(opening(known, read, &tables)));
        let (mut pictures, mut parts) = (Vec::new(), Vec::new());
        for block in merged.blocks {
            match block {
                Block::Note(_) | Block::Warning(_) => document.push(block),
                Block::Histogram(_) => pictures.push(block),
                Block::Table(table) => parts.push(table),
                _ => {}
            }
        }
        if let Some(findings) = self.findings.filter(|_| !self.by_host) {
            document.heading("Findings");
            let sentences = findings.sentences(SENTENCES);
            match sentences.is_empty() {
                true => document.note("no recording has a finding"),
                false => document.push(Block::Pairs(sentences)),
            }
        }
        let has_outliers = !tables.outliers.is_empty();
        if has_outliers {
            document.push(tables.outliers);
        } else if tables.number >= outliers::LEAST_HOSTS {
            document.note("no host is an outlier (ebrec-report(1) states the rule)");
        }
        let rows = plan.events_shown(if is_issue { ISSUE_ROWS } else { ROWS });
        document.push(if is_issue { first_rows(&tables.hosts, rows) } else { tables.hosts });
        if !tables.fleet.is_empty() && !is_issue {
            document.push(tables.fleet);
        }
        // An issue has three tables.
        let slowest = ("slowest", "Slowest");
        for (name, title) in [("commands", "Processes that matter"), slowest]
            .into_iter()
            .filter(|part| !(is_issue && has_outliers && *part == slowest))
        {
            if let Some(table) = parts.iter().find(|table| table.name == name && !table.is_empty() && !self.by_host) {
                document.heading(title);
                document.push(first_rows(table, rows));
            }
        }
        if !matches!(plan.format, Format::Text | Format::Markdown) {
            document.blocks.extend(pictures);
        }
        Ok(document)
    }
}

/// Replaces tables by the sentences that people read.
fn people_get(document: &mut Document, findings: Findings, tables: &[&str]) {
    let is_named = |block: &Block| matches!(block, Block::Table(table) if tables.contains(&table.name.as_str()));
    let place = document.blocks.iter().position(is_named).unwrap_or(document.blocks.len());
    // The tables of programs have a heading of their own.
    let is_heading = |block: &Block| matches!(block, Block::Heading(text) if text == "Findings");
    document.blocks.retain(|block| !is_named(block) && !is_heading(block));
    let sentences = findings.sentences(SENTENCES);
    if !sentences.is_empty() {
        let at = place.min(document.blocks.len());
        document.blocks.splice(at..at, [Block::Heading("Findings".to_owned()), Block::Pairs(sentences)]);
    }
}

/// The tables of a report by host, without rows.
pub(super) fn tables_by_host() -> Result<Vec<Table>> {
    let Tables { hosts, outliers, fleet, distributions, .. } = Hosts::new(true, 0).tables()?;
    Ok(vec![hosts, outliers, fleet, distributions])
}

/// The first rows of a table.
fn first_rows(table: &Table, shown: usize) -> Table {
    let mut table = table.clone();
    let more = table.rows.len().saturating_sub(shown);
    table.rows.truncate(shown);
    table.omitted = table.omitted.saturating_add(more as u64);
    table
}

/// How many recordings of how many hosts, and when they are of.
fn opening(known: &[Known], read: u64, tables: &Tables) -> Vec<(String, String)> {
    let mut pairs = vec![("recordings".to_owned(), of_hosts(read, tables.number))];
    let starts = known.iter().map(|known| known.start_ns);
    let ends = known.iter().map(|known| known.start_ns.saturating_add(known.length_ns));
    if let (Some(first), Some(last)) = (starts.min(), ends.max()) {
        let length = known.iter().fold(0i64, |sum, known| sum.saturating_add(known.length_ns));
        let (first, last) = (window::moment(first), window::moment(last));
        pairs.push(("windows".to_owned(), format!("{} in all, from {first} to {last}", units::duration(length))));
    }
    pairs.push((
        "events".to_owned(),
        format!("{} seen, {} lost", units::count(tables.events), units::count(tables.lost)),
    ));
    pairs
}

/// `1,000 recordings of 1 host`.
fn of_hosts(recordings: u64, hosts: usize) -> String {
    let some = |number: u64, what: &str| match number {
        1 => format!("1 {what}"),
        number => format!("{} {what}s", units::count(number)),
    };
    format!("{} of {}", some(recordings, "recording"), some(hosts as u64, "host"))
}

/// What a picture says of where it comes from.
fn provenance(known: &[Known], read: u64, lost: u64) -> String {
    let labels: Vec<&str> = known.iter().take(LABELS).map(|known| known.label.as_str()).collect();
    let more = if known.len() > LABELS { ", …" } else { "" };
    let lost = if lost > 0 { format!("{} events lost", units::count(lost)) } else { "no event lost".to_owned() };
    format!("{} recordings: {}{more}; {lost}", units::count(read), labels.join(", "))
}
