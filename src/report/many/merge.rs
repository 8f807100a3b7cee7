//! Documents of one recording each, merged into one of all.

use std::collections::HashMap;

use anyhow::Context;
use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Bars;
use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::FlamePlot;
use crate::render::FlameStack;
use crate::render::Heatmap;
use crate::render::HistogramPlot;
use crate::render::Table;
use crate::render::Timeline;
use crate::render::Value;
use crate::report::many::lines::Lines;
use crate::report::plan::ReportPlan;
use crate::report::table::ranking::Pile;
use crate::report::table::ranking::magnitude;

/// Rows of a tree, and of a table that a single recording shows whole, for people.
const ROWS: usize = 20;
const TREE_ROWS: usize = 40;
/// Distributions of one picture that stay apart, for programs and for people.
const SERIES: usize = 100;
const APART: usize = 6;
/// Lines of a picture over time, pictures of one sort, and bars of one picture.
const OVER_TIME: usize = 20;
const PICTURES: usize = 8;
const BARS: usize = 40;
/// Different stacks of a flame graph; more are one.
const STACKS: usize = 100_000;
const OTHER_STACKS: &str = "[other stacks]";
/// Notes and warnings, for programs and for people.
const LINES: usize = 200;
const LINES_FOR_PEOPLE: usize = 12;

/// What documents of the same view come to.
pub(super) struct Merged {
    for_people: bool,
    plan: ReportPlan,
    name: String,
    title: String,
    /// In reading order.
    slots: Vec<Slot>,
    /// Columns that tables are ordered by in place of their own order.
    orders: Vec<(&'static str, &'static str)>,
    lines: Lines,
    recordings: u64,
    /// Parts of pictures that are not shown.
    undrawn: u64,
}

/// A part of the document.
enum Slot {
    Heading(String),
    Table(Box<Rows>),
    Histogram(HistogramPlot),
    Timeline(Timeline),
    Heatmap(Heatmap),
    Bars(Bars),
    Flame(FlamePlot, HashMap<String, u64>),
}

/// The rows of tables of one name.
struct Rows {
    name: String,
    title: String,
    pile: Pile,
    /// The place of each column by its name.
    places: HashMap<String, usize>,
    /// The place of the column that the rows are ordered by, where it is not the table's own order.
    by: Option<&'static str>,
    depths: Option<Vec<u16>>,
    shown: usize,
}

impl Merged {
    /// Starts without any; the plan says for whom the document is, and how many rows of a ranking it shows.
    pub(super) fn new(plan: &ReportPlan) -> Merged {
        Merged {
            for_people: !plan.format.is_for_programs(),
            plan: plan.clone(),
            name: plan.view.clone(),
            title: String::new(),
            slots: Vec::new(),
            orders: Vec::new(),
            lines: Lines::default(),
            recordings: 0,
            undrawn: 0,
        }
    }

    /// Orders the rows of a table by a column, the largest first, where a recording has it, whatever order they have within one.
    pub(super) fn order(&mut self, table: &'static str, column: &'static str) {
        self.orders.push((table, column));
    }

    /// Adds what is said of one recording.
    ///
    /// # Errors
    /// Rows can't be read back from a temporary file.
    pub(super) fn add(&mut self, label: &str, document: Document) -> Result<()> {
        self.recordings += 1;
        if self.title.is_empty() {
            self.title = document.title;
        }
        // Where the next part goes that no recording had before.
        let mut at = 0;
        for block in document.blocks {
            match block {
                Block::Note(text) => self.lines.add(label, text, false),
                Block::Warning(text) => self.lines.add(label, text, true),
                // Facts are of one recording, and its page of one timeline.
                Block::Pairs(_) | Block::OverTime(_) => {}
                Block::Heading(text) => {
                    at = self.slot(at, |slot| slot.is_heading(&text), || Slot::Heading(text.clone())) + 1
                }
                Block::Table(table) => at = self.table(at, label, table)? + 1,
                Block::Histogram(plot) => at = self.histogram(at, plot) + 1,
                Block::Timeline(plot) => at = self.timeline(at, label, plot) + 1,
                Block::Heatmap(plot) => at = self.heatmap(at, label, plot) + 1,
                Block::Bars(plot) => at = self.bars(at, label, plot) + 1,
                Block::Flame(plot) => at = self.flame(at, plot) + 1,
            }
        }
        Ok(())
    }

    /// The place of the slot that `is_it` knows, or of a new one.
    fn slot(&mut self, at: usize, is_it: impl Fn(&Slot) -> bool, new: impl FnOnce() -> Slot) -> usize {
        if let Some(known) = self.slots.iter().position(is_it) {
            return known;
        }
        let at = at.min(self.slots.len());
        self.slots.insert(at, new());
        at
    }

    fn table(&mut self, at: usize, label: &str, table: Table) -> Result<usize> {
        let name = table.name.clone();
        let by = self.orders.iter().find(|(of, _)| *of == name).map(|(_, column)| *column);
        let (for_people, plan) = (self.for_people, &self.plan);
        let shown = match (table.part_of, table.depths.is_some()) {
            (_, true) if for_people => plan.rows_shown(TREE_ROWS),
            (None | Some(usize::MAX), _) if for_people => plan.rows_shown(ROWS),
            (_, true) => usize::MAX,
            (most, false) => most.unwrap_or(usize::MAX),
        };
        let new = || Slot::Table(Box::new(Rows::new(&table, by, shown)));
        let at = self.slot(at, |slot| matches!(slot, Slot::Table(rows) if rows.name == name), new);
        if let Some(Slot::Table(rows)) = self.slots.get_mut(at) {
            rows.add(label, table).context("can't read rows back from a temporary file")?;
        }
        Ok(at)
    }

    fn histogram(&mut self, at: usize, plot: HistogramPlot) -> usize {
        let (name, most) = (plot.name.clone(), SERIES);
        let new = || Slot::Histogram(HistogramPlot { series: Vec::new(), ..plot.clone() });
        let at = self.slot(at, |slot| matches!(slot, Slot::Histogram(own) if own.name == name), new);
        if let Some(Slot::Histogram(own)) = self.slots.get_mut(at) {
            plot.series.into_iter().for_each(|(name, histogram)| add_series(&mut own.series, name, &histogram, most));
        }
        at
    }

    fn timeline(&mut self, at: usize, label: &str, plot: Timeline) -> usize {
        let new = || Slot::Timeline(Timeline { series: Vec::new(), ..plot.clone() });
        let at = self.slot(at, |slot| matches!(slot, Slot::Timeline(own) if own.name == plot.name), new);
        if let Some(Slot::Timeline(own)) = self.slots.get_mut(at) {
            for (name, points) in plot.series {
                match own.series.len() < OVER_TIME {
                    true => own.series.push((named(label, &name), points)),
                    false => self.undrawn += 1,
                }
            }
        }
        at
    }

    fn heatmap(&mut self, at: usize, label: &str, plot: Heatmap) -> usize {
        if self.slots.iter().filter(|slot| matches!(slot, Slot::Heatmap(_))).count() >= PICTURES {
            self.undrawn += 1;
            return at;
        }
        let (name, title) = (named(label, &plot.name), named(label, &plot.title));
        self.slot(at, |_| false, || Slot::Heatmap(Heatmap { name, title, ..plot }))
    }

    fn bars(&mut self, at: usize, label: &str, plot: Bars) -> usize {
        let new = || Slot::Bars(Bars { rows: Vec::new(), ..plot.clone() });
        let same = |slot: &Slot| matches!(slot, Slot::Bars(own) if own.name == plot.name && own.parts == plot.parts);
        let at = self.slot(at, same, new);
        if let Some(Slot::Bars(own)) = self.slots.get_mut(at) {
            for (name, values) in plot.rows {
                match own.rows.len() < BARS {
                    true => own.rows.push((named(label, &name), values)),
                    false => self.undrawn += 1,
                }
            }
        }
        at
    }

    fn flame(&mut self, at: usize, plot: FlamePlot) -> usize {
        let new = || Slot::Flame(FlamePlot { stacks: Vec::new(), ..plot.clone() }, HashMap::new());
        let at = self.slot(at, |slot| matches!(slot, Slot::Flame(own, _) if own.name == plot.name), new);
        if let Some(Slot::Flame(_, stacks)) = self.slots.get_mut(at) {
            for stack in plot.stacks {
                let room = stacks.len() < STACKS || stacks.contains_key(&stack.folded);
                let folded = if room { stack.folded } else { OTHER_STACKS.to_owned() };
                let weight = stacks.entry(folded).or_default();
                *weight = weight.saturating_add(stack.weight);
            }
        }
        at
    }

    /// How many recordings were added.
    pub(super) fn recordings(&self) -> u64 {
        self.recordings
    }

    /// What is said in words, before it is put into the document.
    pub(super) fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    /// The document: what is said in words, then all parts.
    ///
    /// # Errors
    /// Rows had to go to a temporary file, and it can't be written.
    pub(super) fn document(self) -> Result<Document> {
        let mut document = Document::new(self.name, self.title);
        let most = if self.for_people { LINES_FOR_PEOPLE } else { LINES };
        self.lines.add_to(&mut document, self.recordings, most);
        for slot in self.slots {
            document.push(match slot {
                Slot::Heading(text) => Block::Heading(text),
                Slot::Table(rows) => Block::Table(rows.table()?),
                Slot::Histogram(plot) => Block::Histogram(joined(plot, self.for_people)),
                Slot::Timeline(plot) => Block::Timeline(plot),
                Slot::Heatmap(plot) => Block::Heatmap(plot),
                Slot::Bars(plot) => Block::Bars(plot),
                Slot::Flame(plot, stacks) => Block::Flame(with_stacks(plot, stacks)),
            });
        }
        if self.undrawn > 0 {
            document.note("plots over time show the first recordings only: name fewer recordings to see the others");
        }
        Ok(document)
    }
}

impl Slot {
    fn is_heading(&self, text: &str) -> bool {
        matches!(self, Slot::Heading(own) if own == text)
    }
}

impl Rows {
    fn new(table: &Table, by: Option<&'static str>, shown: usize) -> Rows {
        let empty = Table::new(table.name.clone(), table.title.clone(), Vec::new());
        Rows {
            name: table.name.clone(),
            title: table.title.clone(),
            pile: Pile::new(empty).top(shown),
            places: HashMap::new(),
            by,
            depths: None,
            shown,
        }
    }

    fn add(&mut self, label: &str, table: Table) -> std::io::Result<()> {
        if self.title.is_empty() {
            self.title.clone_from(&table.title);
        }
        // A table that no ranking made does not name its host.
        let own = table.part_of.is_none().then(|| Field::new("host", "host").help("Host of the recording."));
        let places: Vec<usize> = own.iter().chain(&table.fields).map(|field| self.place(field)).collect();
        let width = self.pile.fields().len();
        let by = self.by.and_then(|by| self.places.get(by).copied());
        if let Some(depths) = &table.depths {
            let room = self.shown.saturating_sub(self.depths.as_ref().map_or(0, Vec::len));
            self.depths.get_or_insert_default().extend(depths.iter().take(room));
        }
        table.each(|_, row| {
            let mut cells = vec![Value::Null; width];
            let host = own.iter().map(|_| Value::from(label));
            for (place, cell) in places.iter().zip(host.chain(row.iter().cloned())) {
                if let Some(free) = cells.get_mut(*place) {
                    *free = cell;
                }
            }
            let weight = match by {
                // A tree is in the order in which it is drawn.
                _ if table.depths.is_some() => 0,
                Some(by) => cells.get(by).map_or(i64::MIN, magnitude),
                None => row.get(table.fields.len()).map_or(0, magnitude),
            };
            if self.pile.takes(weight) {
                self.pile.add(weight, cells);
            }
            Ok(())
        })?;
        self.pile.left_out(table.omitted);
        Ok(())
    }

    /// The place of a column, which is a new one where no recording had it before.
    fn place(&mut self, field: &Field) -> usize {
        if let Some(place) = self.places.get(&*field.name) {
            return *place;
        }
        let fields = self.pile.fields();
        fields.push(field.clone());
        let place = fields.len() - 1;
        self.places.insert(field.name.clone().into_owned(), place);
        place
    }

    fn table(self) -> Result<Table> {
        Ok(Table { title: self.title, depths: self.depths, ..self.pile.table()? })
    }
}

/// The name of a part of a picture, with its recording's.
fn named(label: &str, name: &str) -> String {
    if name.is_empty() { label.to_owned() } else { format!("{label} {name}") }
}

/// Adds a distribution to those of its name; without room for another name, to one of all others.
fn add_series(series: &mut Vec<(String, Histogram)>, name: String, histogram: &Histogram, most: usize) {
    let is_full = series.len() >= most;
    let place = series.iter().position(|(own, _)| *own == name);
    match place.or(is_full.then(|| series.len().saturating_sub(1))).and_then(|at| series.get_mut(at)) {
        Some((own, all)) => {
            if place.is_none() {
                "others".clone_into(own);
            }
            all.merge(histogram);
        }
        None => series.push((name, histogram.clone())),
    }
}

/// A picture for people has few distributions, or one of all.
fn joined(plot: HistogramPlot, for_people: bool) -> HistogramPlot {
    if !for_people || plot.series.len() <= APART {
        return plot;
    }
    let mut all = Histogram::new();
    plot.series.iter().for_each(|(_, histogram)| all.merge(histogram));
    HistogramPlot { series: vec![(String::new(), all)], ..plot }
}

fn with_stacks(plot: FlamePlot, stacks: HashMap<String, u64>) -> FlamePlot {
    let stack = |(folded, weight)| FlameStack { folded, before: None, weight };
    let mut stacks: Vec<FlameStack> = stacks.into_iter().map(stack).collect();
    stacks.sort_by(|a, b| a.folded.cmp(&b.folded));
    FlamePlot { stacks, ..plot }
}
