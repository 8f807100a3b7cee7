//! The two ends of connections by TCP that were waited for, and what processes of this machine received.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::rows::Which;

/// What is known of connections by TCP.
pub(super) struct Ends<Who> {
    /// Those that were waited for, by process and target.
    pub(super) connections: BTreeMap<(Which, i64), Connection>,
    /// What processes of this machine received.
    pub(super) received: Vec<Received<Who>>,
}

/// The two ends of a connection.
pub(super) struct Connection {
    /// Address of the process's own end.
    pub(super) own_address: String,
    pub(super) own_port: i64,
    /// Port of the other end.
    pub(super) port: i64,
}

/// What a process received over connections with the same ends.
pub(super) struct Received<Who> {
    pub(super) who: Who,
    /// The other end's address and port; ports of servers only.
    pub(super) address: String,
    pub(super) remote: Option<i64>,
    pub(super) local: Option<i64>,
    pub(super) bytes: u64,
}

/// Reads them; `who` says under whom the process of a metric counts.
pub(super) fn of<Who>(source: &Source, who: impl Fn(&Dim, &Dim) -> Who) -> Result<Ends<Who>> {
    let mut received = Vec::new();
    let dims = ["pid", "comm", "daddr", "dport", "sport"];
    let tally = Tally::totals_of(source, &dims, |metric| metric == metrics::TCP_RECEIVED)?;
    tally.groups(metrics::TCP_RECEIVED, |dims, bytes| {
        let [process, comm, address, remote, local] = dims else { return };
        let (address, remote, local) = (address.word(), remote.int(), local.int());
        received.push(Received { who: who(process, comm), address, remote, local, bytes: sum(bytes) });
    })?;
    let mut connections = BTreeMap::new();
    let mut rows = source.rows_of_all_times("wait_target");
    let (target, address) = (rows.int("wait_target"), rows.text("saddr"));
    let (own, other) = (rows.int("sport"), rows.int("dport"));
    rows.each(|row| {
        let (Some(which), Some(target)) = (row.which(), row.int(target)) else { return };
        if let (Some(own_port), Some(port)) = (row.int(own), row.int(other)) {
            let own_address = row.text(address).unwrap_or_default().to_owned();
            connections.insert((which, target), Connection { own_address, own_port, port });
        }
    })?;
    Ok(Ends { connections, received })
}
