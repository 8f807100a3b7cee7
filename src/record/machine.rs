//! What rows say of the machine: its control groups and CPUs.

use crate::host::cgroups::Cgroups;
use crate::recording::Rows;
use crate::recording::column;

/// Writes the control groups, and the CPUs with their models.
pub(super) fn write(models: &[(u32, String)], cgroups: Option<&Cgroups>, now_ns: u64, rows: &mut Rows) {
    for (path, id) in cgroups.into_iter().flat_map(Cgroups::iter) {
        let mut row = rows.row("cgroup");
        row.at(now_ns).int(column::CGROUP_ID, i64::try_from(id).unwrap_or(i64::MAX)).text(column::NAME, path);
        if let Some(container) = cgroups.and_then(|cgroups| cgroups.container(id)) {
            row.text(column::CONTAINER, container.short_id());
        }
    }
    for (cpu, model) in models {
        rows.row("cpu_info").at(now_ns).int(column::CPU, (*cpu).into()).text(column::NAME, model);
    }
}
