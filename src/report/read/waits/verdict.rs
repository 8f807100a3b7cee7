//! Whether a wait was for a lock, for work in progress, for an answer, or for something to do.
//!
//! The system call says how a thread waits and never whether that matters. The evidence does: what the futex's word said, what the
//! waker did meanwhile, whether a request was open.

use serde::Deserialize;
use serde::Serialize;

use crate::report::read::waits::Target;

/// From this part of the time on, evidence decides. Between [`LITTLE`] and this lies what measured programs left empty: idle pools
/// reached 27 % with what is not known, locks began at 86 %.
const MOST: f64 = 0.5;
/// Up to this part it does not matter.
const LITTLE: f64 = 0.3;

/// A part of all the time that is too small to decide anything.
const FEW: f64 = 0.05;

/// What the waits for a target were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// For a lock that others held.
    Lock,
    /// As for a lock: threads that wait there themselves hand it on, and work meanwhile.
    LockLike,
    /// For another thread that worked, or waited for one that did.
    Work,
    /// For the answer to what the process had asked.
    Question,
    /// While a request was open that the process had received.
    Request,
    /// For a disk, a page or a file system.
    Resource,
    /// For something to do: nothing was in progress.
    Idle,
    /// The evidence does not decide.
    Undecided,
}

impl Verdict {
    /// As it stands in tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Lock => "lock",
            Verdict::LockLike => "lock-like",
            Verdict::Work => "work",
            Verdict::Question => "answer",
            Verdict::Request => "in request",
            Verdict::Resource => "resource",
            Verdict::Idle => "idle",
            Verdict::Undecided => "undecided",
        }
    }
}

impl Target {
    /// What the waits for it were; `on` is what it is, the column `wait_on`.
    ///
    /// The shares are of all its time, since 92 % of the waits for Python's GIL end in time-outs of 5 ms.
    pub(crate) fn verdict(&self, on: &str) -> Verdict {
        match on {
            "futex" if self.is_lock() => Verdict::Lock,
            "kernel_lock" => Verdict::Lock,
            "disk" | "page" | "file" => Verdict::Resource,
            "tcp" | "unix" | "udp" | "socket" | "epoll" | "poll" => self.by_requests(),
            "timer" | "signal" | "timerfd" if self.in_request() => Verdict::Request,
            "timer" | "signal" | "timerfd" => Verdict::Idle,
            _ => self.by_wakers(),
        }
    }

    /// The word said so. One thread's own word may be a condition variable, which on musl says 2 as well, unless it has an owner.
    fn is_lock(&self) -> bool {
        part(self.contended_ns, self.ns) >= MOST && (self.threads.len() > 1 || self.owner().is_some())
    }

    fn in_request(&self) -> bool {
        self.request_ns.is_some_and(|ns| part(ns, self.ns) >= MOST)
    }

    fn by_requests(&self) -> Verdict {
        match (self.question_ns, self.request_ns) {
            (Some(ns), _) if part(ns, self.ns) >= MOST => Verdict::Question,
            (_, Some(ns)) if part(ns, self.ns) >= MOST => Verdict::Request,
            // In part, by several connections or one after the other.
            (Some(question), Some(request)) if part(question.saturating_add(request), self.ns) > LITTLE => {
                Verdict::Undecided
            }
            (Some(_), Some(_)) => Verdict::Idle,
            _ => Verdict::Undecided,
        }
    }

    fn by_wakers(&self) -> Verdict {
        let active = part(self.active_ns, self.by_thread_ns);
        let unknown = part(self.unknown_ns, self.by_thread_ns);
        let handed = part(self.handed_ns, self.by_thread_ns);
        // Two threads that take turns at a condition variable hand it to one another like a lock that nobody else wants.
        let takes_turns = self.threads.len() == 2 && part(self.contended_ns, self.ns) < FEW;
        let is_held = active >= MOST && self.threads.len() > 1 && !takes_turns;
        // Within requests nobody idles, so the holder may sleep.
        if handed >= MOST && (is_held || (self.in_request() && self.threads.len() > 1)) {
            return Verdict::LockLike;
        }
        if active >= MOST && handed >= MOST && takes_turns {
            return Verdict::Undecided;
        }
        if active >= MOST {
            return Verdict::Work;
        }
        // Workers whose waits time out are idle, whatever is not known of the few that a thread ended.
        let may_matter = part(self.active_ns.saturating_add(self.unknown_ns), self.ns);
        match active + unknown <= LITTLE || (may_matter <= FEW && handed <= LITTLE) {
            true if self.in_request() => Verdict::Request,
            true => Verdict::Idle,
            false => Verdict::Undecided,
        }
    }
}

fn part(ns: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { ns as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use super::Verdict;

    const SECOND: u64 = 1_000_000_000;

    /// Shares in hundredths, as in the table of planted programs.
    struct Planted {
        contended: u64,
        handed: u64,
        active: u64,
        unknown: u64,
        threads: i64,
    }

    impl Planted {
        const POOL: Planted = Planted { contended: 0, handed: 0, active: 0, unknown: 0, threads: 8 };

        fn target(&self) -> Target {
            let by_thread_ns = 10 * SECOND;
            let of = |percent: u64| by_thread_ns / 100 * percent;
            Target {
                ns: by_thread_ns,
                by_thread_ns,
                active_ns: of(self.active),
                unknown_ns: of(self.unknown),
                handed_ns: of(self.handed),
                contended_ns: of(self.contended),
                threads: (1..=self.threads).map(|tid| (tid, Default::default())).collect(),
                ..Target::default()
            }
        }

        fn verdict(&self) -> Verdict {
            self.target().verdict("futex")
        }
    }

    #[test]
    fn a_mutex_is_a_lock_whether_its_holder_works_or_sleeps() {
        let busy = Planted { contended: 100, handed: 100, active: 100, ..Planted::POOL };
        assert_eq!(busy.verdict(), Verdict::Lock);
        let asleep = Planted { contended: 100, handed: 100, active: 0, ..Planted::POOL };
        assert_eq!(asleep.verdict(), Verdict::Lock);
        let overloaded = Planted { contended: 86, handed: 100, active: 40, unknown: 30, ..Planted::POOL };
        assert_eq!(overloaded.verdict(), Verdict::Lock);
    }

    #[test]
    fn pythons_gil_is_like_a_lock_by_who_hands_it_on_though_its_word_does_not_say_so() {
        let gil = Planted { handed: 83, active: 96, ..Planted::POOL };
        assert_eq!(gil.verdict(), Verdict::LockLike);
        // Nine tenths of the waits end in time-outs.
        let timed = Target { ns: 100 * SECOND, by_timer_ns: 90 * SECOND, ..gil.target() };
        assert_eq!(timed.verdict("futex"), Verdict::LockLike);
    }

    #[test]
    fn a_barrier_a_queue_and_a_monitor_of_java_wait_for_work() {
        for (contended, handed, active) in [(0, 0, 100), (21, 0, 100), (0, 0, 93)] {
            let planted = Planted { contended, handed, active, ..Planted::POOL };
            assert_eq!(planted.verdict(), Verdict::Work, "{contended} {handed} {active}");
        }
    }

    /// The main thread of a JVM and the one that runs its safepoints, of which each waits until the other says so.
    #[test]
    fn two_threads_that_take_turns_at_a_condition_variable_share_no_lock() {
        let turns = |contended, threads| Planted { contended, handed: 98, active: 100, threads, ..Planted::POOL };
        assert_eq!(turns(0, 2).verdict(), Verdict::Undecided);
        assert_eq!(turns(0, 3).verdict(), Verdict::LockLike);
        assert_eq!(turns(20, 2).verdict(), Verdict::LockLike, "its word said so at times");
    }

    #[test]
    fn idle_pools_are_idle_even_where_workers_wake_workers() {
        for (handed, active, unknown) in [(0, 0, 0), (0, 3, 0), (0, 4, 23), (75, 0, 0)] {
            let planted = Planted { handed, active, unknown, ..Planted::POOL };
            assert_eq!(planted.verdict(), Verdict::Idle, "{handed} {active} {unknown}");
        }
    }

    #[test]
    fn a_wait_of_which_too_much_is_unknown_accuses_nobody_and_is_not_called_idle() {
        assert_eq!(Planted { active: 4, unknown: 40, ..Planted::POOL }.verdict(), Verdict::Undecided);
        assert_eq!(Planted { active: 45, ..Planted::POOL }.verdict(), Verdict::Undecided);
    }

    #[test]
    fn workers_whose_waits_time_out_are_idle_whoever_woke_them_now_and_then() {
        let woken = Target { by_thread_ns: 3 * SECOND, unknown_ns: 2 * SECOND, ..Target::default() };
        let timed = Target { ns: 100 * SECOND, by_timer_ns: 97 * SECOND, ..woken.clone() };
        assert_eq!(timed.verdict("futex"), Verdict::Idle);
        let handed = Target { handed_ns: 3 * SECOND, ..timed };
        assert_eq!(handed.verdict("futex"), Verdict::Undecided, "as a lock is handed on");
        let all = Target { ns: 3 * SECOND, ..woken };
        assert_eq!(all.verdict("futex"), Verdict::Undecided);
    }

    #[test]
    fn one_thread_that_waits_alone_waits_for_a_lock_only_if_it_has_an_owner() {
        let alone = Planted { contended: 100, threads: 1, ..Planted::POOL };
        assert_eq!(alone.verdict(), Verdict::Idle, "a condition variable of musl's");
        let owned = Target { owners: [(7, 10 * SECOND)].into(), ..alone.target() };
        assert_eq!(owned.verdict("futex"), Verdict::Lock);
        let parker = Planted { handed: 100, active: 100, threads: 1, ..Planted::POOL };
        assert_eq!(parker.verdict(), Verdict::Work);
    }

    #[test]
    fn a_lock_that_is_held_throughout_has_no_waker_and_is_a_lock() {
        let held =
            Target { by_thread_ns: 0, open_ns: 10 * SECOND, ..Planted { contended: 100, ..Planted::POOL }.target() };
        assert_eq!(held.verdict("futex"), Verdict::Lock);
        let pool = Target { by_thread_ns: 0, open_ns: 10 * SECOND, ..Planted::POOL.target() };
        assert_eq!(pool.verdict("futex"), Verdict::Idle);
    }

    #[test]
    fn a_socket_is_judged_by_requests_and_by_nothing_else() {
        let socket = |question, request| Target {
            ns: 10 * SECOND,
            question_ns: question,
            request_ns: request,
            ..Planted { active: 100, ..Planted::POOL }.target()
        };
        assert_eq!(socket(Some(9 * SECOND), Some(0)).verdict("tcp"), Verdict::Question);
        assert_eq!(socket(Some(0), Some(6 * SECOND)).verdict("epoll"), Verdict::Request);
        assert_eq!(socket(Some(0), Some(SECOND)).verdict("unix"), Verdict::Idle);
        assert_eq!(socket(Some(2 * SECOND), Some(2 * SECOND)).verdict("poll"), Verdict::Undecided);
        assert_eq!(socket(None, None).verdict("tcp"), Verdict::Undecided, "no direction is known before 6.3");
    }

    #[test]
    fn a_timer_is_idle_unless_a_request_waits_for_it() {
        let timer = |request| Target { ns: 10 * SECOND, request_ns: request, ..Target::default() };
        assert_eq!(timer(None).verdict("timer"), Verdict::Idle);
        assert_eq!(timer(Some(9 * SECOND)).verdict("timer"), Verdict::Request);
    }

    #[test]
    fn a_lock_whose_word_says_nothing_and_whose_holder_sleeps_shows_within_requests() {
        let handed = Planted { handed: 100, active: 16, ..Planted::POOL };
        let python = Target { request_ns: Some(9 * SECOND), ..handed.target() };
        assert_eq!(python.verdict("futex"), Verdict::LockLike);
        assert_eq!(handed.verdict(), Verdict::Idle, "a pool whose workers wake workers");
    }

    #[test]
    fn idle_workers_that_a_request_waits_for_are_not_idle() {
        let asleep = Target { request_ns: Some(9 * SECOND), ..Planted::POOL.target() };
        assert_eq!(asleep.verdict("futex"), Verdict::Request);
    }
}
