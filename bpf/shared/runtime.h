/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's own account of a thread: how long it has been on its CPU or waits for one, and what of that is not yet
 * accounted. The time on a CPU is brought up to date at switches and ticks, so that a process of a millisecond has used
 * none when it ends. What is missing is the time since then, in a clock that programs can't read: how far that is from
 * CLOCK_MONOTONIC is taken where the kernel has just read it.
 */
#ifndef EBREC_RUNTIME_H
#define EBREC_RUNTIME_H

#include "ebrec.h"

/* No more than a tick of the slowest kernels (HZ=100) is ever missing, unless the CPU has none (nohz_full). */
#define TICK_NS 10000000
/* CLOCK_MONOTONIC is slewed by at most 500 ppm: so long the distance holds to within half a millisecond. */
#define CLOCKS_KNOWN_NS 1000000000

struct clock_distance {
	__u64 ns; /* CLOCK_MONOTONIC less the scheduler's clock */
	__u64 taken;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct clock_distance);
} clock_distance SEC(".maps");

/* CONFIG_FAIR_GROUP_SCHED, which distributions have. */
static __always_inline bool run_queue_known(struct task_struct *task)
{
	return bpf_core_field_exists(task->se.cfs_rq) && bpf_core_field_exists(struct cfs_rq, rq);
}

/* Takes the distance; the kernel has just read the clock of the task's CPU. */
static __always_inline void clocks_read(struct task_struct *task)
{
	struct clock_distance *distance;
	__u32 zero = 0;

	distance = bpf_map_lookup_elem(&clock_distance, &zero);
	if (!distance || !run_queue_known(task))
		return;
	distance->ns = bpf_ktime_get_ns() - BPF_CORE_READ(task, se.cfs_rq, rq, clock);
	distance->taken = bpf_ktime_get_ns();
}

/* For a thread that runs now; 0 where that is not known. */
static __always_inline __u64 unaccounted(struct task_struct *task, __u64 now)
{
	struct clock_distance *distance;
	__u32 zero = 0;
	__s64 missing;
	struct rq *rq;

	distance = bpf_map_lookup_elem(&clock_distance, &zero);
	if (!distance || now - distance->taken > CLOCKS_KNOWN_NS || !run_queue_known(task))
		return 0;
	rq = BPF_CORE_READ(task, se.cfs_rq, rq);
	/* The clock of task time is behind the other by what interrupts and a hypervisor took on this CPU. */
	missing = now - distance->ns - (BPF_CORE_READ(rq, clock) - BPF_CORE_READ(rq, clock_task)) - task->se.exec_start;
	if (missing < 0)
		return 0;
	return missing < TICK_NS ? missing : TICK_NS;
}

/* include/uapi/linux/sched.h: the policies of the fair class. */
static __always_inline bool is_fair(struct task_struct *task)
{
	return task->policy == SCHED_NORMAL || task->policy == SCHED_BATCH || task->policy == SCHED_IDLE;
}

/*
 * How long a thread that leaves its CPU has been there, where the kernel did not show when it came: by the kernel's own
 * account, which notes what a fair thread had run when it was picked. 0: not known.
 */
static __always_inline __u64 slice_by_account(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->se.prev_sum_exec_runtime) || !is_fair(task))
		return 0;
	return task->se.sum_exec_runtime - task->se.prev_sum_exec_runtime;
}

/* How long the kernel has known that a thread waits for a CPU, for one that is just getting it; 0: not known. */
static __always_inline __u64 queued_for(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->sched_info.last_queued) || !run_queue_known(task) ||
	    !task->sched_info.last_queued)
		return 0;
	return BPF_CORE_READ(task, se.cfs_rq, rq, clock) - task->sched_info.last_queued;
}

#endif
