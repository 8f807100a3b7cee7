//! Where records arrive: each goes to its probe, and becomes rows.

use crate::bpf::EventHeader;
use crate::bpf::read;
use crate::bpf::scope;
use crate::bpf::scope::ScopeRecord;
use crate::probe::Thins;
use crate::probe::attached::Attached;
use crate::probe::attached::Context;
use crate::probe::stacks::Program;
use crate::probe::stacks::Stacks;
use crate::record::processes::Processes;
use crate::recording::Rows;
use crate::recording::column;

/// An attached probe and what it has given.
pub(super) struct AttachedProbe {
    /// The number in its records.
    pub(super) number: u8,
    /// Its name.
    pub(super) name: &'static str,
    /// Its kinds of rows.
    pub(super) kinds: Vec<&'static str>,
    /// What a budget thins of it, as it is set up.
    pub(super) thins: Thins,
    /// The probe.
    pub(super) attached: Box<dyn Attached>,
}

/// Where records arrive.
pub(super) struct Dispatch {
    /// The probes; the number 0 in a record is the scope's.
    pub(super) probes: Vec<AttachedProbe>,
    /// The column builders.
    pub(super) rows: Rows,
    /// The processes.
    pub(super) processes: Processes,
    /// The numbers of stacks.
    pub(super) stacks: Stacks,
    /// Where the window begins; records from before are left out.
    pub(super) start_ns: u64,
    /// The latest time in a record: a program that was under way when the window closed may have read the clock after that.
    pub(super) latest_ns: u64,
    /// Records that were not understood since the last interval ended.
    pub(super) undecodable: u64,
}

impl Dispatch {
    /// Says which process each row is of that does not have it yet: its name at the row's time, and its start.
    pub(super) fn name_processes(&mut self) {
        let names = self.processes.names();
        for (pid, name) in [(column::PID, column::PROCESS), (column::WAKER_PID, column::WAKER_PROCESS)] {
            let mut names = names.by_row();
            self.rows.derive(pid, name, |pid, at_ns| names.get(u32::try_from(pid).ok()?, at_ns));
        }
        let mut names = names.by_row();
        self.rows.derive_int(column::PID, column::PID_START_NS, |pid, at_ns| {
            i64::try_from(names.start_ns(u32::try_from(pid).ok()?, at_ns)?).ok()
        });
    }

    /// Takes one record out of the rings.
    pub(super) fn take(&mut self, record: &[u8]) {
        let Some(header) = read::<EventHeader>(record) else {
            self.undecodable += 1;
            return;
        };
        if header.probe == 0 {
            match scope::decode(record) {
                Some(ScopeRecord::Process(seen)) => self.processes.update(seen),
                Some(ScopeRecord::Ran { ppid, uid, path }) => self.stacks.add_program(Program { ppid, uid, path }),
                None => self.undecodable += 1,
            }
            return;
        }
        if header.ts < self.start_ns {
            return;
        }
        self.latest_ns = self.latest_ns.max(header.ts);
        let Some(probe) = self.probes.iter_mut().find(|probe| probe.number == header.probe) else {
            self.undecodable += 1;
            return;
        };
        let mut context =
            Context { rows: &mut self.rows, names: self.processes.names().at(header.ts), stacks: &mut self.stacks };
        if probe.attached.decode(record, &mut context).is_err() {
            self.undecodable += 1;
        }
    }
}
