/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Marks threads that are about to wait for a lock of the kernel, for their ledgers.
 */
#ifndef EBREC_SCHED_LEDGER_LOCKS_H
#define EBREC_SCHED_LEDGER_LOCKS_H

#include "ebrec.h"

#include "ledger.h"

/* A spin lock may be contended within the wait for another lock. */
static __always_inline __u32 lock_told(void *lock)
{
	return (__u64)lock >> 2 | 1;
}

/* Since 5.19: the thread will wait for a lock, in whatever system call it is. */
SEC("?tp_btf/contention_begin")
int BPF_PROG(sched_contends, void *lock, unsigned int flags)
{
	struct ledger *ledger;

	if (flags & LCB_F_SPIN || !totals_start() || !current_matches())
		return 0;
	ledger = state_of(current_task(), true);
	if (ledger)
		ledger->contends = lock_told(lock);
	return 0;
}

SEC("?tp_btf/contention_end")
int BPF_PROG(sched_contended, void *lock)
{
	struct ledger *ledger;

	if (!totals_start())
		return 0;
	ledger = state_of(current_task(), false);
	if (ledger && ledger->contends == lock_told(lock))
		ledger->contends = 0;
	return 0;
}

#endif
