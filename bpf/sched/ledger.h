/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wall-clock ledger: what state each thread is in and why, since when, and how long it was in each so far. Nothing
 * is reset while the window lasts: a reader takes differences, so that a reading that races a switch is made up for by
 * the next one.
 */
#ifndef EBREC_SCHED_LEDGER_H
#define EBREC_SCHED_LEDGER_H

#include "ebrec.h"

#include "wait_cause.h"

/* States, and for the two kinds of sleep a slot for each cause. */
enum ledger_slot {
	SLOT_NONE, /* no event of the thread was seen yet */
	SLOT_ON_CPU,
	SLOT_RUNNABLE,
	SLOT_STOPPED,	/* by a signal, a tracer or the freezer */
	SLOT_GONE,	/* dead: not counted */
	SLOT_UNSEEN,	/* it left its CPU and the kernel did not show when */
	SLOT_THROTTLED, /* its cgroup, or one above it, has used up its CPU quota */
	SLOT_INTERRUPTIBLE,
	SLOT_UNINTERRUPTIBLE = SLOT_INTERRUPTIBLE + CAUSES,
	SLOTS = (SLOT_UNINTERRUPTIBLE + CAUSES + 1) / 2 * 2, /* even, for a struct without holes */
};

/* A thread that is on no CPU but was last seen on one has left it unseen, unless it is just being switched in. */
#define SWITCH_IN_NS 1000000

struct ledger {
	__u64 since;	 /* of the slot; 0: no event yet */
	__u32 slot;	 /* enum ledger_slot: what it is in */
	__u32 waker_pid; /* who made it runnable; 0: it was preempted */
	__u32 waker_tid;
	__u32 first;	/* what it was in before any event, where the iterator asked; else SLOT_NONE */
	__u32 contends; /* what tells the lock of the kernel that it is about to wait for, or does; 0: none */
	__u32 tid;	/* whose it is, also when the thread has taken over its leader's id and birth in execve */
	__u64 born;	/* 0: no event yet */
	__u64 ns[SLOTS];
	__u32 count[SLOTS]; /* times it went into the slot */
};
_Static_assert(SLOTS % 2 == 0, "no holes");

/*
 * Whether a CPU quota keeps a runnable thread off its CPU. By 6.18 that is known of each thread. Before, the whole run
 * queue of a cgroup is taken off, and a thread that was queued there already is seen to wait for a CPU.
 */
static __always_inline bool is_throttled(struct task_struct *task)
{
	struct task_struct___since_6_18 *new = (void *)task;

	if (bpf_core_field_exists(new->throttled))
		return new->throttled;
	if (!bpf_core_field_exists(task->se.cfs_rq) || !bpf_core_field_exists(struct cfs_rq, throttle_count))
		return false;
	return untrusted_task(task)->se.cfs_rq->throttle_count;
}

/* The slot of a thread that is runnable and on no CPU. */
static __always_inline __u32 queued_in(struct task_struct *task)
{
	return is_throttled(task) ? SLOT_THROTTLED : SLOT_RUNNABLE;
}

/* `bits` is the task's state, other than running; `ledger` may be NULL. */
static __always_inline __u32 slot_of_sleep(struct task_struct *task, __u32 bits, struct ledger *ledger)
{
	__u32 cause;

	if (bits & TASK_DEAD_OR_ZOMBIE)
		return SLOT_GONE;
	if (bits & (TASK_STOPPED_OR_TRACED | TASK_FROZEN))
		return SLOT_STOPPED;
	cause = ledger && ledger->contends ? CAUSE_LOCK : cause_of_wait(task);
	if (bits & (TASK_UNINTERRUPTIBLE | TASK_RTLOCK_WAIT) && !(bits & TASK_NOLOAD))
		return SLOT_UNINTERRUPTIBLE + cause;
	return SLOT_INTERRUPTIBLE + cause;
}

/* Where the ledger of a thread begins: at its birth or with the window. */
static __always_inline __u64 ledger_start(struct task_struct *task)
{
	__u64 born = task->start_time, start = totals_start();

	return born > start ? born : start;
}

/* Says whose a ledger is before that can change. */
static __always_inline void ledger_is_of(struct ledger *ledger, struct task_struct *task)
{
	if (ledger->born)
		return;
	ledger->born = task->start_time;
	ledger->tid = task->pid;
}

/* Ends the state that the thread was in; `was` is what that must have been if no event told. */
static __always_inline void ledger_move(struct ledger *ledger, struct task_struct *task, __u32 was, __u32 to, __u64 now)
{
	__u64 from = ledger->slot, since = ledger->since;

	if (!since) {
		since = ledger_start(task);
		from = ledger->first ? ledger->first : was;
		ledger_is_of(ledger, task);
	}
	/* All 64 bits are compared: the verifier of 6.1 forgets that the upper half is zero once it is kept on the stack. */
	barrier_var(from);
	if (from < SLOTS)
		ledger->ns[from] += now - since;
	ledger->slot = to;
	ledger->since = now;
	if (to < SLOTS && window_start())
		ledger->count[to]++;
}

/*
 * Before 6.4 the ledgers are in a hash, 1 KiB for each thread, made at the start: a thread beyond these is not in the
 * ledger while it has no place, and each of its events counts as a loss ("state full").
 */
#define LEDGERS_IN_HASH 16384

DEFINE_TASK_STATE_OF(struct ledger, LEDGERS_IN_HASH)

#endif
