/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which system call a thread is in, and since when.
 *
 * A call that begins and ends on one CPU with nothing else in between is by far the most frequent, and every nanosecond
 * counts there: its start is kept in a per-CPU slot, which costs a tenth of task storage. When a thread leaves the CPU
 * inside a call, the switch moves the slot into the thread's own state, so that the slot is always the running thread's.
 *
 * Newer kernels (7.3 for one) run what is attached to these tracepoints with preemption on: a switch may come between any
 * two instructions. It moves no thread to another CPU in the middle of a program, and when the thread is back the slot is empty.
 */
#ifndef EBREC_SYSCALL_SLOT_H
#define EBREC_SYSCALL_SLOT_H

#include "ebrec.h"

/* A call that a thread is in. */
struct call {
	__u64 start; /* 0: none; or one of enum passed */
	__u64 number;
	__u64 shift; /* it stands for 2^shift calls */
};

/* Instead of a start: thinning passes over the call. */
enum passed {
	PASSED_UNLESS_IT_SLEEPS = 1,
	PASSED = 2,
};
DEFINE_TASK_STATE(struct call)

/* The call that the thread on this CPU is in, unless it has been away from the CPU since it began. */
struct slot {
	struct call call;
	__u64 who; /* as bpf_get_current_pid_tgid() gives it */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

static __always_inline struct slot *slot_of_this_cpu(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&slots, &zero);
}

/* A slot of a thread that is no longer there: its switch was not shown, and the end of its call won't be found. */
static __always_inline void slot_clear(struct slot *slot)
{
	if (slot->call.start > PASSED)
		count_loss(LOSS_START_UNSEEN);
	slot->call.start = 0;
}

/*
 * The running thread's call, out of the slot; false where it is not there. A switch that comes in between has taken it
 * along and left no start. One that comes between the last two lines leaves a second copy in the thread's state, which
 * the next call that takes its way there replaces.
 */
static __always_inline bool slot_take(struct slot *slot, __u64 who, struct call *call)
{
	volatile __u64 *start = &slot->call.start;
	__u64 whose;

	call->start = *start;
	call->number = slot->call.number;
	call->shift = slot->call.shift;
	whose = slot->who;
	barrier();
	if (!call->start || *start != call->start)
		return false;
	if (whose != who) {
		slot_clear(slot);
		return false;
	}
	*start = 0;
	return true;
}

/* The call that a thread, which has been away from its CPU since, took along; NULL if it began outside of the window. */
static __always_inline struct call *call_taken_along(struct task_struct *current, __u64 who)
{
	__u32 tid = who;
	struct call *call;

	if (!current_in_scope_as(who >> 32))
		return NULL;
	if (config.task_storage)
		call = current ? bpf_task_storage_get(&state_by_task, current, 0, 0) : NULL;
	else
		call = bpf_map_lookup_elem(&state_by_tid, &tid);
	return call && call->start ? call : NULL;
}

#endif
