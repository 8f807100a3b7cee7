/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A slice on a CPU, from the switch to a thread to the switch away from it, and the wait before it: what is counted and
 * streamed of them, and what they are in the thread's ledger.
 */
#ifndef EBREC_SCHED_SLICES_H
#define EBREC_SCHED_SLICES_H

#include "ebrec.h"

#include "runtime.h"
#include "cpu_ledger.h"
#include "ledger.h"
#include "records.h"

/* As the kernel counts context switches: a thread that is still runnable did not want to go. */
enum slice_end {
	SLICE_VOLUNTARY,
	SLICE_INVOLUNTARY,
};

/* The thread that leaves the CPU. */
static __always_inline void left_cpu(struct task_struct *task, struct running *here, __u64 now, bool preempted,
				     __u32 left_in)
{
	bool runnable = preempted || left_in == TASK_RUNNING;
	enum slice_end end = runnable ? SLICE_INVOLUNTARY : SLICE_VOLUNTARY;
	struct ledger *ledger = state_of(task, true);
	__u32 to;

	if (!window_start()) {
		/* Only the ledger goes on. */
	} else if (here->since < totals_start()) {
		counter_add(SCHED_SWITCHES, task->tgid, end, 1);
	} else if (here->task != (__u64)task) {
		count_loss(LOSS_START_UNSEEN);
	} else {
		hist_add(SCHED_SLICE_TIME, task->tgid, end, now - here->since);
		if (config.stream == STREAM_ALL && row_is_drawn())
			stream_slice(task, now, now - here->since, runnable ? TASK_RUNNING : left_in);
	}
	if (!ledger)
		return;
	to = runnable ? queued_in(task) : slot_of_sleep(task, left_in, ledger);
	/* There was no place to note that it came. */
	if (!ledger->since && here->task == (__u64)task && here->since > ledger_start(task))
		ledger_move(ledger, task, SLOT_UNSEEN, SLOT_ON_CPU, here->since);
	ledger->waker_pid = 0;
	ledger->waker_tid = 0;
	ledger_move(ledger, task, SLOT_ON_CPU, to, now);
	if (to == SLOT_GONE)
		stream_death(task, ledger, now);
}

/* The wait that its ledger has under way ends with a CPU; `prev` left it, if that is known. */
static __always_inline void waited_for_cpu(struct task_struct *task, struct task_struct *prev, struct ledger *ledger,
					   __u64 now)
{
	__u64 waited = now - ledger->since;

	if (!window_start())
		return;
	hist_add(SCHED_RUNQUEUE_LATENCY, task->tgid, 0, waited);
	if ((config.stream == STREAM_ALL && row_is_drawn()) ||
	    (config.stream == STREAM_SLOW && waited >= config.slow_ns))
		stream_wakeup(task, prev, ledger, now, waited);
}

static __always_inline void got_cpu(struct task_struct *task, struct task_struct *prev, __u64 now)
{
	struct ledger *ledger = state_of(task, true);
	__u64 waited;

	if (!ledger)
		return;
	if (ledger->slot == SLOT_ON_CPU)
		ledger->slot = SLOT_UNSEEN;
	if (ledger->slot != SLOT_RUNNABLE && ledger->slot != SLOT_THROTTLED) {
		/* Its wake-up was not shown; without an event before it, the two clocks must not be what makes it so. */
		waited = queued_for(task);
		if (waited && waited + (ledger->since ? 0 : SWITCH_IN_NS) < now - (ledger->since ?: ledger_start(task)))
			ledger_move(ledger, task, SLOT_UNSEEN, SLOT_RUNNABLE, now - waited);
	}
	if (ledger->slot == SLOT_RUNNABLE && ledger->since)
		waited_for_cpu(task, prev, ledger, now);
	ledger_move(ledger, task, SLOT_RUNNABLE, SLOT_ON_CPU, now);
}

/* Makes up for a switch to `task` that was not shown; what the CPU did before it stays unknown. */
static __always_inline void make_up(struct running *here, struct task_struct *task, __u64 now)
{
	__u64 ran = slice_by_account(task), came = now - ran;
	struct ledger *ledger;

	clocks_read(task);
	if (!ran || came <= here->since)
		return;
	here->unseen_ns += came - here->since;
	here->tid = task->pid;
	here->task = (__u64)task;
	here->since = came;
	if (!in_totals(task))
		return;
	ledger = state_of(task, true);
	if (!ledger || !ledger->since || ledger->slot != SLOT_RUNNABLE || came <= ledger->since)
		return;
	waited_for_cpu(task, NULL, ledger, came);
	ledger_move(ledger, task, SLOT_RUNNABLE, SLOT_ON_CPU, came);
}

#endif
