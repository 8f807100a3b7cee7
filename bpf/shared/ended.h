/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of a process: that of its last thread, whichever it is.
 */
#ifndef EBREC_ENDED_H
#define EBREC_ENDED_H

#include "ebrec.h"

struct ended_process {
	__u64 born;
	__u64 pid;
};

/*
 * Processes of several threads whose end was told. The kernel takes down the count of threads before its hook, so that
 * threads that end at once on several CPUs may all see that none is left; the one that makes the entry reports it. They are apart
 * by microseconds, in which a machine does not end so many others.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct ended_process);
	__type(value, __u8);
} told SEC(".maps");

/* Whether the process ends with this thread, for the hook sched_process_exit. */
static __always_inline bool ends_process(struct task_struct *task)
{
	struct ended_process ended = {.born = BPF_CORE_READ(task, group_leader, start_time), .pid = task->tgid};
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	__u8 yes = 1;

	if (BPF_CORE_READ(signal, live.counter))
		return false;
	if (BPF_CORE_READ(signal, nr_threads) == 1)
		return true;
	/* -EEXIST; where there is no room, twice is better than never. */
	return !bpf_map_update_elem(&told, &ended, &yes, BPF_NOEXIST) || !bpf_map_lookup_elem(&told, &ended);
}

#endif
