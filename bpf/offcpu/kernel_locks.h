/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Marks threads that are about to wait for a lock of the kernel, with the lock and, of a mutex, its owner.
 */
#ifndef EBREC_OFFCPU_KERNEL_LOCKS_H
#define EBREC_OFFCPU_KERNEL_LOCKS_H

#include "ebrec.h"

#include "pointer.h"
#include "state.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mutex {
	atomic64_t owner; /* a task, and three bits of flags; not there under PREEMPT_RT */
};
#pragma clang attribute pop

#define MUTEX_FLAGS 7ULL

static __always_inline __u32 owner_of_mutex(__u64 lock)
{
	struct mutex *mutex = (void *)lock;
	struct task_struct *owner;

	if (!bpf_core_field_exists(mutex->owner))
		return 0;
	owner = (void *)(BPF_CORE_READ(mutex, owner.counter) & ~MUTEX_FLAGS);
	return owner ? BPF_CORE_READ(owner, pid) : 0;
}

/* Since 5.19: the thread will wait for a lock, in whatever system call it is. */
SEC("?tp_btf/contention_begin")
int BPF_PROG(offcpu_contends, void *lock, unsigned int flags)
{
	struct task_state *state;

	if (flags & LCB_F_SPIN || !current_in_scope())
		return 0;
	state = state_of(current_task(), true);
	if (!state)
		return 0;
	state->contends = number_of(lock);
	state->lock_owner = flags & LCB_F_MUTEX ? owner_of_mutex(state->contends) : 0;
	return 0;
}

/* A spin lock may be contended within the wait for another lock. */
SEC("?tp_btf/contention_end")
int BPF_PROG(offcpu_contended, void *lock)
{
	struct task_state *state;

	if (!window_start())
		return 0;
	state = state_of(current_task(), false);
	if (state && state->contends == number_of(lock))
		state->contends = 0;
	return 0;
}

#endif
