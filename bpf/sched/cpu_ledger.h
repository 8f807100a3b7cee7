/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How each CPU spent the window: busy, idle, or with what the kernel did not show.
 */
#ifndef EBREC_SCHED_CPU_LEDGER_H
#define EBREC_SCHED_CPU_LEDGER_H

#include "ebrec.h"

/* What each CPU runs, since when, and how it spent the window so far. */
struct running {
	__u64 since; /* 0: no switch was seen yet */
	__u32 tid;   /* 0: idle */
	__u32 pad;
	__u64 task; /* the thread's structure: its id changes where it takes over its leader's in execve */
	__u64 busy_ns;
	__u64 idle_ns;
	__u64 unseen_ns; /* it ran something that left without being shown */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct running);
} running SEC(".maps");

/* Adds up how the CPU spent the time until now. */
static __always_inline void close_cpu(struct running *here, struct task_struct *prev, __u64 now)
{
	__u64 start = totals_start(), since = here->since;

	if (since < start)
		since = start;
	else if (here->task != (__u64)prev) {
		here->unseen_ns += now - since;
		return;
	}
	if (prev->pid)
		here->busy_ns += now - since;
	else
		here->idle_ns += now - since;
}

#endif
