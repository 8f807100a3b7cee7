use std::cmp::Reverse;

use super::ByProcess;
use super::Gathered;
use super::OnCpu;
use super::derive;
use super::state_name;
use super::types;

#[test]
fn slices_become_switches_by_their_end_and_time_on_cpus_comes_from_the_ledger() {
    let slices = types::sched_metric::SCHED_SLICE_TIME.0 as u16;
    let cuts = types::sched_metric::SCHED_SWITCHES.0 as u16;
    let voluntary = Gathered::counter(slices, 7, 0, 3, 300);
    let involuntary = Gathered::counter(slices, 7, 1, 2, 50);
    let cut = Gathered::counter(cuts, 7, 1, 1, 1);
    let process = |pid, start_ns, ns| ((pid, Reverse(Some(start_ns))), OnCpu { ns, until_ns: start_ns + 1 });
    // Two processes had the id 7, of which the later one comes first.
    let on_cpu = ByProcess::from([process(7, 10, 4), process(7, 20, 1350), process(8, 5, 9)]);
    let derived = derive(vec![voluntary, involuntary, cut], &on_cpu);
    let of = |metric: types::sched_metric, pid, sub| {
        let is = |one: &&Gathered| one.metric == metric.0 as u16 && one.pid == pid && one.sub == sub;
        derived.iter().find(is).map(|one| (one.count, one.sum))
    };
    assert_eq!(of(types::sched_metric::SCHED_SLICE_TIME, 7, 0), Some((5, 350)));
    assert_eq!(of(types::sched_metric::SCHED_SWITCHES, 7, 0), Some((3, 3)));
    assert_eq!(of(types::sched_metric::SCHED_SWITCHES, 7, 1), Some((3, 3)));
    assert_eq!(of(types::sched_metric::SCHED_ON_CPU, 7, 0), Some((6, 1350)));
    let earlier = derived.iter().find(|one| one.pid == 7 && one.at_ns == Some(11)).unwrap();
    assert_eq!((earlier.count, earlier.sum), (0, 4));
    // A hog that never left its CPU ended no slice.
    assert_eq!(of(types::sched_metric::SCHED_ON_CPU, 8, 0), Some((0, 9)));
}

#[test]
fn an_idle_kernel_thread_is_not_called_blocked() {
    assert_eq!(state_name(0x402), "sleeping");
    assert_eq!(state_name(0x2), "blocked");
    assert_eq!(state_name(0x80), "dead");
    assert_eq!(state_name(0), "preempted");
}
