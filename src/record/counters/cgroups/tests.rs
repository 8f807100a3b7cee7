use std::fs;
use std::sync::Arc;

use tempfile::TempDir;

use super::Cgroups;
use crate::host::process_ids::ProcessIds;
use crate::host::root::Root;
use crate::record::counters::Fact;
use crate::record::counters::Value;

/// A machine whose cgroups are files.
struct Machine(TempDir);

impl Machine {
    fn new(mounts: &str) -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        machine.file("/proc/self/mountinfo", mounts);
        machine
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.root().path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn root(&self) -> Root {
        Root::at(self.0.path())
    }

    fn begin(&self) -> Cgroups {
        Cgroups::begin(&self.root(), Arc::new(ProcessIds::same()), 0)
    }
}

const V2: &str = "40 31 0:37 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
const V1: &str = "40 31 0:37 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n";
const SECOND: u64 = 1_000_000_000;

fn said(facts: &[Fact]) -> Vec<String> {
    facts
        .iter()
        .map(|fact| format!("{} {} {:?}", fact.name.as_deref().unwrap_or("-"), fact.metric, fact.value))
        .collect()
}

#[test]
fn a_cgroup_is_told_of_when_it_was_throttled_with_its_quota_and_processes() {
    let machine = Machine::new(V2);
    let (max, stat) = ("/sys/fs/cgroup/a/cpu.max", "/sys/fs/cgroup/a/cpu.stat");
    machine.file(max, "20000 100000\n");
    machine.file(stat, "nr_periods 5\nnr_throttled 3\nthrottled_usec 100\n");
    machine.file("/sys/fs/cgroup/a/cgroup.procs", "");
    machine.file("/sys/fs/cgroup/a/b/cgroup.procs", "41\n42\n");
    machine.file("/sys/fs/cgroup/free/cpu.max", "max 100000\n");
    let mut cgroups = machine.begin();
    assert_eq!(cgroups.read(&machine.root(), SECOND, false), []);
    machine.file(stat, "nr_periods 15\nnr_throttled 12\nthrottled_usec 500100\n");
    let facts = cgroups.read(&machine.root(), 2 * SECOND, false);
    let grew = |by, in_s| format!("{:?}", Value::Grew { by, in_ns: in_s * SECOND });
    assert_eq!(
        said(&facts),
        [
            format!("/a cpu.nr_throttled {}", grew(9, 2)),
            format!("/a cpu.nr_periods {}", grew(10, 2)),
            format!("/a cpu.throttled_usec {}", grew(500_000_000, 2)),
            format!("/a cpu.quota {:?}", Value::Is(20_000_000)),
            format!("/a cpu.period {:?}", Value::Is(100_000_000)),
            // A limit binds those below it.
            format!("/a cgroup.process {:?}", Value::Is(1)),
            format!("/a cgroup.process {:?}", Value::Is(1)),
        ]
    );
    assert_eq!(facts.iter().filter_map(|fact| fact.pid).collect::<Vec<_>>(), [41, 42]);
    // Neither the quota nor the processes are told twice.
    machine.file(stat, "nr_periods 16\nnr_throttled 13\nthrottled_usec 500200\n");
    assert_eq!(cgroups.read(&machine.root(), 3 * SECOND, false).len(), 3);
}

#[test]
fn version_1_is_read_as_well_and_no_limit_is_minus_one() {
    let machine = Machine::new(V1);
    machine.file("/sys/fs/cgroup/cpu/cpu.shares", "1024\n");
    for (group, quota) in [("limited", "50000"), ("free", "-1")] {
        machine.file(&format!("/sys/fs/cgroup/cpu/{group}/cpu.cfs_quota_us"), quota);
        machine.file(&format!("/sys/fs/cgroup/cpu/{group}/cpu.cfs_period_us"), "100000");
        machine
            .file(&format!("/sys/fs/cgroup/cpu/{group}/cpu.stat"), "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n");
    }
    let mut cgroups = machine.begin();
    for group in ["limited", "free"] {
        let stat = "nr_periods 9\nnr_throttled 9\nthrottled_time 700\n";
        machine.file(&format!("/sys/fs/cgroup/cpu/{group}/cpu.stat"), stat);
    }
    let facts = cgroups.read(&machine.root(), SECOND, true);
    assert!(facts.iter().all(|fact| fact.name.as_deref() == Some("/limited")), "{:?}", said(&facts));
    assert!(
        said(&facts).contains(&format!("/limited cpu.throttled_time {:?}", Value::Grew { by: 700, in_ns: SECOND }))
    );
}

#[test]
fn pressure_is_told_from_a_hundredth_of_an_interval_on_and_refusals_at_once() {
    let machine = Machine::new(V2);
    let pressure = |us: u64| format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={us}\n");
    machine.file("/sys/fs/cgroup/a/memory.pressure", &pressure(1000));
    machine.file("/sys/fs/cgroup/a/pids.events", "max 0\n");
    machine.file("/sys/fs/cgroup/a/pids.max", "8\n");
    machine.file("/sys/fs/cgroup/a/cgroup.procs", "7\n");
    let mut cgroups = machine.begin();
    machine.file("/sys/fs/cgroup/a/memory.pressure", &pressure(6000));
    assert_eq!(cgroups.read(&machine.root(), SECOND, true), []);
    machine.file("/sys/fs/cgroup/a/memory.pressure", &pressure(31_000));
    machine.file("/sys/fs/cgroup/a/pids.events", "max 2\n");
    let facts = said(&cgroups.read(&machine.root(), 2 * SECOND, true));
    assert_eq!(facts.len(), 4, "{facts:?}");
    assert!(facts[0].starts_with("/a memory.pressure.some Grew { by: 30000000"), "{facts:?}");
    assert!(facts[1].starts_with("/a pids.events.max Grew { by: 2") && facts[2].starts_with("/a pids.limit Is(8)"));
    assert!(facts[3].starts_with("/a cgroup.process"));
}

#[test]
fn a_cgroup_at_its_memory_limit_is_told_of_with_the_limit_and_its_processes_in_either_version() {
    const MEMORY: &str = "40 31 0:37 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
    let v1 = ("/sys/fs/cgroup/memory", "memory.failcnt", ["7\n", "19\n"], "memory.limit_in_bytes", "memory.failcnt");
    let v2 = ("/sys/fs/cgroup", "memory.events", ["max 7\n", "max 19\n"], "memory.max", "memory.events.max");
    for (mounts, (top, file, [before, after], limit, metric)) in [(MEMORY, v1), (V2, v2)] {
        let machine = Machine::new(mounts);
        machine.file(&format!("{top}/memory.failcnt"), "0\n");
        machine.file(&format!("{top}/a/{file}"), before);
        machine.file(&format!("{top}/a/{limit}"), "33554432\n");
        machine.file(&format!("{top}/a/cgroup.procs"), "41\n");
        let mut cgroups = machine.begin();
        assert_eq!(cgroups.read(&machine.root(), SECOND, true), []);
        machine.file(&format!("{top}/a/{file}"), after);
        let facts = cgroups.read(&machine.root(), 2 * SECOND, true);
        let expected = [
            format!("/a {metric} {:?}", Value::Grew { by: 12, in_ns: 2 * SECOND }),
            format!("/a memory.limit {:?}", Value::Is(32 << 20)),
            format!("/a cgroup.process {:?}", Value::Is(1)),
        ];
        assert_eq!(said(&facts), expected);
        assert_eq!(facts.iter().filter_map(|fact| fact.pid).collect::<Vec<_>>(), [41]);
    }
}
