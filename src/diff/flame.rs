//! The differential flame graph: CPU time per second by stack, before and after.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::Result;

use crate::diff::DiffPlan;
use crate::diff::observe::lasting;
use crate::diff::sides::Side;
use crate::render::FlamePlot;
use crate::render::FlameStack;
use crate::report::read::processes::ProcessTable;
use crate::report::read::profile::Profile;
use crate::report::read::profile::Sample;
use crate::report::read::profile::Stacks;
use crate::units::Unit;

/// Stacks that are held; beyond, the lightest are dropped, which are narrower than a pixel.
const MOST: usize = 20_000;
const KEPT: usize = 10_000;

/// Nanoseconds per second before and after, by stack.
type Weights = BTreeMap<String, [f64; 2]>;

/// Draws what both sides' samples say; `None` where there are none.
///
/// # Errors
/// A recording can't be read.
pub(super) fn plot(plan: &DiffPlan, sides: &[Side; 2]) -> Result<Option<FlamePlot>> {
    let mut weights = Weights::new();
    for (which, side) in sides.iter().enumerate() {
        let number = side.len() as f64;
        side.each(&plan.filter, &mut Vec::new(), |source| {
            let (stacks, processes) = (Stacks::of(source, &plan.debug_dirs)?, ProcessTable::of(source)?);
            let mut rows = source.rows("cpu_sample");
            let (kernel, user) = (rows.int("kstack_id"), rows.int("ustack_id"));
            let (count, sum) = (rows.int("count"), rows.int("sum"));
            let profile = Profile::of(source, rows, &[], |row| {
                Some(Sample {
                    process: Cow::Owned(lasting(processes.of_row(row).unwrap_or("?")).to_owned()),
                    kernel: row.int(kernel),
                    user: row.int(user),
                    ns: row.natural(sum),
                    count: row.natural(count),
                })
            })?;
            let seconds = (source.span_ns() as f64 / 1e9).max(1e-9);
            for (stack, ns) in profile.folded(&stacks)? {
                let own = weights.entry(stack).or_default();
                own[which] += ns as f64 / seconds / number;
            }
            drop_lightest(&mut weights);
            Ok(())
        })?;
    }
    let stack = |(folded, [before, after]): (String, [f64; 2])| FlameStack {
        folded,
        before: Some(before as u64),
        weight: after as u64,
    };
    let stacks: Vec<FlameStack> = weights.into_iter().map(stack).collect();
    let title = "CPU time per second after; red grew, blue shrank".to_owned();
    let is_drawn = stacks.iter().any(|stack| stack.weight > 0);
    Ok(is_drawn.then(|| FlamePlot { name: "cpu".to_owned(), title, unit: Unit::Nanoseconds, stacks }))
}

fn drop_lightest(weights: &mut Weights) {
    if weights.len() <= MOST {
        return;
    }
    let mut all: Vec<f64> = weights.values().map(|[before, after]| before + after).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    let least = all.get(KEPT).copied().unwrap_or(0.0);
    weights.retain(|_, [before, after]| *before + *after > least);
}
