//! One recording as items: every metric, the ledger, functions, losses and cost, under names that survive a restart.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::diff::DiffPlan;
use crate::diff::expression::Selection;
use crate::diff::item::Item;
use crate::diff::item::Nature;
use crate::diff::quantity::Name;
use crate::diff::stretches::Stretches;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::Row;

mod functions;
mod ledger;
mod metrics;
mod own;

pub(super) use functions::CPU_SELF;
pub(super) use functions::CPU_TOTAL;
pub(super) use functions::OFF_CPU_SELF;
pub(super) use functions::OFF_CPU_TOTAL;
pub(super) use own::COMMAND;
pub(super) use own::COST_OWN;
pub(super) use own::COST_PROGRAMS;
pub(super) use own::LOST;

/// About what an item takes in memory without its buckets, and a bucket or sum of one stretch.
const ITEM_BYTES: usize = 400;
const BUCKET_BYTES: usize = 72;
const CELL_BYTES: usize = 8;
/// About what the depth of a function takes.
const DEPTH_BYTES: usize = 160;

/// What one recording says.
pub(super) struct Observed {
    /// By name.
    pub(super) items: BTreeMap<Name, Item>,
    /// What the expressions select, in their order; `None` where no row matches.
    pub(super) selected: Vec<Option<Item>>,
    /// How many functions are below a function, by the name of its total.
    pub(super) depths: BTreeMap<Name, usize>,
    /// The lengths of the stretches that the items have numbers of, in seconds.
    pub(super) seconds: Vec<f64>,
}

impl Observed {
    /// Reads a recording.
    ///
    /// # Errors
    /// The file is damaged, or has more names than fit into memory.
    pub(super) fn of(
        source: &Source,
        stretches: Stretches,
        plan: &DiffPlan,
        selections: &[Selection],
    ) -> Result<Observed> {
        let mut gathered = Gathered {
            items: BTreeMap::new(),
            selected: selections.iter().map(|_| None).collect(),
            selections,
            depths: BTreeMap::new(),
            limit: Limit::new(),
            stretches,
        };
        let processes = ProcessTable::of(source)?;
        metrics::gather(source, &processes, &mut gathered)?;
        ledger::gather(source, &processes, &mut gathered)?;
        functions::gather(source, &processes, plan, &mut gathered)?;
        own::gather(source, &mut gathered)?;
        gathered.limit.check(source, "processes and functions")?;
        let Gathered { items, selected, depths, stretches, .. } = gathered;
        Ok(Observed { items, selected, depths, seconds: stretches.seconds })
    }
}

/// Items while rows are added to them.
struct Gathered<'s> {
    items: BTreeMap<Name, Item>,
    selected: Vec<Option<Item>>,
    selections: &'s [Selection],
    depths: BTreeMap<Name, usize>,
    limit: Limit,
    stretches: Stretches,
}

impl Gathered<'_> {
    /// Changes the item of a name, and the items of the expressions that select it; `change` says how many buckets it added.
    fn change(&mut self, name: Name, nature: Nature, mut change: impl FnMut(&mut Item) -> usize) {
        let stretches = self.stretches.seconds.len();
        for (selection, selected) in self.selections.iter().zip(&mut self.selected) {
            // Where calls that wait are groups of a metric, they have no time that could be added.
            if selection.selects(&name) && nature.may_have(selection.statistic) {
                change(selected.get_or_insert_with(|| Item::new(nature, stretches)));
            }
        }
        if let Some(item) = self.items.get_mut(&name) {
            let buckets = change(item);
            self.limit.take(buckets * (BUCKET_BYTES + CELL_BYTES * stretches));
        } else if self.limit.take(ITEM_BYTES + 2 * CELL_BYTES * stretches) {
            let mut item = Item::new(nature, stretches);
            let buckets = change(&mut item);
            self.items.insert(name, item);
            self.limit.take(buckets * (BUCKET_BYTES + CELL_BYTES * stretches));
        }
    }

    /// Notes how far in a function was; the least depth counts.
    fn note_depth(&mut self, name: &Name, depth: usize) {
        if let Some(least) = self.depths.get_mut(name) {
            *least = depth.min(*least);
        } else if self.limit.take(DEPTH_BYTES) {
            self.depths.insert(name.clone(), depth);
        }
    }

    /// Adds occurrences and their sum.
    fn add(&mut self, name: Name, nature: Nature, at: usize, count: u64, sum: u64) {
        self.change(name, nature, |item| {
            item.add(at, count, sum);
            0
        });
    }

    fn name<const N: usize>(&mut self, metric: &str, labels: [(&str, &str); N]) -> Name {
        let limit = &mut self.limit;
        let labels = labels.map(|(column, value)| (limit.name(column), limit.name(value))).to_vec();
        Name { metric: limit.name(metric), labels }
    }
}

/// The process of a row as it is called after a restart, too.
fn process(processes: &ProcessTable, row: &Row<'_>, limit: &mut Limit) -> Rc<str> {
    limit.name(lasting(processes.of_row(row).unwrap_or("?")))
}

/// The kernel's workers are called by CPU and number: `kworker/1:2-events`.
pub(super) fn lasting(comm: &str) -> &str {
    match comm.split_once('/') {
        Some((worker, _)) if !worker.is_empty() => worker,
        _ => comm,
    }
}

#[cfg(test)]
mod tests {
    use super::lasting;

    #[test]
    fn workers_of_the_kernel_have_one_name() {
        assert_eq!(
            ["kworker/1:2-events", "kworker/u9:0", "python3.11"].map(lasting),
            ["kworker", "kworker", "python3.11"]
        );
    }
}
