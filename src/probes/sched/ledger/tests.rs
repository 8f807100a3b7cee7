use super::Ledger;
use super::types;

const ON_CPU: u32 = types::ledger_slot::SLOT_ON_CPU.0;
const RUNNABLE: u32 = types::ledger_slot::SLOT_RUNNABLE.0;
const SLEEP: u32 = types::ledger_slot::SLOT_INTERRUPTIBLE.0 + types::ledger_cause::CAUSE_SLEEP.0;
const START: u64 = 1000;

fn thread(tid: u32, born: u64) -> types::thread_line {
    types::thread_line { born, pid: 7, tid, ..Default::default() }
}

fn told(slot: u32, since: u64, ns: &[(u32, u64)]) -> types::ledger {
    let mut ledger = types::ledger { slot, since, ..Default::default() };
    for (slot, ns) in ns {
        ledger.ns[*slot as usize] = *ns;
    }
    ledger
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.begin(START);
    ledger
}

fn states(ledger: &mut Ledger, end_ns: u64) -> Vec<(u32, u64)> {
    let parts = ledger.take(end_ns);
    parts.iter().flat_map(|part| part.slots.iter().map(|(slot, ns, _)| (*slot, *ns))).collect()
}

#[test]
fn a_thread_that_never_ran_has_slept_the_whole_window() {
    let mut ledger = ledger();
    let asleep = || std::iter::once((types::thread_line { slot: SLEEP, ..thread(9, 5) }, types::ledger::default()));
    ledger.end_interval(asleep(), 2000);
    assert_eq!(states(&mut ledger, 2000), [(SLEEP, 1000)]);
    ledger.end_interval(asleep(), 3000);
    assert_eq!(states(&mut ledger, 3000), [(SLEEP, 1000)]);
}

#[test]
fn a_hog_that_never_leaves_its_cpu_is_in_every_interval() {
    let mut ledger = ledger();
    let hog = || std::iter::once((thread(9, 5), told(ON_CPU, 1100, &[(RUNNABLE, 100)])));
    ledger.end_interval(hog(), 2000);
    assert_eq!(states(&mut ledger, 2000), [(ON_CPU, 900), (RUNNABLE, 100)]);
    ledger.end_interval(hog(), 3000);
    assert_eq!(states(&mut ledger, 3000), [(ON_CPU, 1000)]);
}

#[test]
fn a_thread_whose_return_to_its_cpu_was_not_shown_is_on_it_since_the_kernel_says_so() {
    let mut ledger = ledger();
    let back = types::thread_line { came: 1300, ..thread(9, 5) };
    ledger.end_interval(std::iter::once((back, told(RUNNABLE, 1200, &[(ON_CPU, 200)]))), 2000);
    assert_eq!(states(&mut ledger, 2000), [(ON_CPU, 900), (RUNNABLE, 100)]);
    // When it leaves, the kernel's own account has the same.
    let left = told(SLEEP, 2400, &[(ON_CPU, 1300), (RUNNABLE, 100)]);
    ledger.end_interval(std::iter::once((thread(9, 5), left)), 3000);
    assert_eq!(states(&mut ledger, 3000), [(ON_CPU, 400), (SLEEP, 600)]);
}

#[test]
fn a_thread_that_lives_within_an_interval_is_counted_from_birth_to_death() {
    let mut ledger = ledger();
    let gone = told(types::ledger_slot::SLOT_GONE.0, 1530, &[(RUNNABLE, 10), (ON_CPU, 20)]);
    ledger.died(&thread(9, 1500), &gone, 1530);
    let parts = ledger.take(2000);
    assert_eq!((parts[0].lived_ns, parts[0].on_cpu_ns(), parts[0].until_ns), (30, 20, 1530));
}

#[test]
fn a_thread_that_died_after_the_interval_is_in_it_only_up_to_its_end() {
    let mut ledger = ledger();
    ledger.end_interval(std::iter::once((thread(9, 5), told(ON_CPU, 1000, &[]))), 2000);
    // It died at 2010, and its record came before the interval was written.
    ledger.died(&thread(9, 5), &told(types::ledger_slot::SLOT_GONE.0, 2010, &[(ON_CPU, 1010)]), 2010);
    assert_eq!(states(&mut ledger, 2000), [(ON_CPU, 1000)]);
    assert_eq!(states(&mut ledger, 3000), [(ON_CPU, 10)]);
}

#[test]
fn a_switch_just_after_the_interval_is_made_up_for_by_the_next_one() {
    let mut ledger = ledger();
    // It slept from 2050 on; the interval had ended at 2000.
    let asleep = || std::iter::once((thread(9, 5), told(SLEEP, 2050, &[(ON_CPU, 1050)])));
    ledger.end_interval(asleep(), 2000);
    assert_eq!(states(&mut ledger, 2000), [(ON_CPU, 1000)]);
    ledger.end_interval(asleep(), 3000);
    assert_eq!(states(&mut ledger, 3000), [(ON_CPU, 50), (SLEEP, 950)]);
}

#[test]
fn a_thread_id_that_is_used_again_is_another_thread() {
    let mut ledger = ledger();
    ledger.end_interval(std::iter::once((thread(9, 5), told(ON_CPU, 1000, &[]))), 2000);
    ledger.take(2000);
    // The record of the first one's death was lost.
    ledger.end_interval(std::iter::once((thread(9, 2500), told(SLEEP, 2500, &[]))), 3000);
    let parts = ledger.take(3000);
    assert_eq!(parts[0].lived_ns, 500);
    assert_eq!(parts[0].slots, [(SLEEP, 500, 0)]);
}

#[test]
fn the_same_end_told_twice_adds_nothing() {
    let mut ledger = ledger();
    let hog = || std::iter::once((thread(9, 5), told(ON_CPU, 1000, &[])));
    ledger.end_interval(hog(), 2000);
    ledger.end_interval(hog(), 2000);
    assert_eq!(ledger.take(2000).len(), 1);
}

#[test]
fn a_thread_that_left_its_cpu_unseen_still_adds_up() {
    let mut ledger = ledger();
    ledger.end_interval(std::iter::once((thread(9, 5), told(ON_CPU, 1000, &[]))), 2000);
    assert_eq!(states(&mut ledger, 2000), [(ON_CPU, 1000)]);
    // It woke at 2500 without having been seen to leave: all of the time since 1000 is unseen now.
    let unseen = types::ledger_slot::SLOT_UNSEEN.0;
    ledger.end_interval(std::iter::once((thread(9, 5), told(RUNNABLE, 2500, &[(unseen, 1500)]))), 3000);
    assert_eq!(states(&mut ledger, 3000).iter().map(|(_, ns)| ns).sum::<u64>(), 1000);
}

#[test]
fn a_thread_that_takes_over_its_leader_s_id_in_execve_keeps_its_own_ledger() {
    let mut ledger = ledger();
    let own = |tid, born, of: types::ledger| types::ledger { tid, born, ..of };
    let (leader, other) = (thread(7, 5), thread(9, 1200));
    let burnt = |ns| own(9, 1200, told(ON_CPU, 1200, &[(RUNNABLE, ns)]));
    let waits = own(7, 5, told(SLEEP, 1500, &[(ON_CPU, 500)]));
    ledger.end_interval([(leader, waits), (other, burnt(0))].into_iter(), 2000);
    assert_eq!(states(&mut ledger, 2000), [(ON_CPU, 500), (SLEEP, 500), (ON_CPU, 800)]);
    // The leader dies under the other's id, and the other lives on as the leader.
    let gone = own(7, 5, told(types::ledger_slot::SLOT_GONE.0, 2100, &[(ON_CPU, 500), (SLEEP, 600)]));
    ledger.died(&types::thread_line { born: 5, pid: 7, tid: 9, ..Default::default() }, &gone, 2100);
    ledger.end_interval(std::iter::once((leader, burnt(0))), 3000);
    let parts = ledger.take(3000);
    let seen: Vec<(u32, u64, u64)> = parts.iter().map(|part| (part.tid, part.lived_ns, part.on_cpu_ns())).collect();
    assert_eq!(seen, [(7, 100, 0), (7, 1000, 1000)]);
}
