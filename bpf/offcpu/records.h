/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the probe offcpu tells: totals of sleeps by process, stacks and system call, and the long ones one by one.
 */
#ifndef EBREC_OFFCPU_RECORDS_H
#define EBREC_OFFCPU_RECORDS_H

#include "ebrec.h"

#include "state.h"

/* Distinct processes, stacks and calls that slept in one interval. */
#define MAX_TOTALS 16384

enum offcpu_event {
	OFFCPU_BLOCK,
};

enum offcpu_metric {
	OFFCPU_TIME, /* by process and enum sleep */
};

struct total_key {
	__u64 kstack;
	__u64 ustack;
	__u32 pid;
	__s16 syscall; /* with enum call_bits, as below */
	__u16 sleep;   /* enum sleep */
};

struct total {
	__u64 count;
	__u64 sum;
};

struct block_record {
	struct event_header header; /* ts is when it got a CPU again */
	__u64 off_ns;
	__u64 runnable_ns; /* the end of off_ns, after it was woken */
	__u64 kstack;
	__u64 ustack;
	__u64 waker_kstack;
	__u64 waker_ustack;
	__u32 waker_pid;
	__u32 waker_tid;
	__s32 syscall;
	__u32 sleep;
	__u8 comm[TASK_COMM_LEN];
	__u8 waker_comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct block_record) == 120, "no holes");

struct totals {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_TOTALS);
	__type(key, struct total_key);
	__type(value, struct total);
};

struct totals totals_even SEC(".maps");
struct totals totals_odd SEC(".maps");

static __always_inline void add_total(void *map, struct total_key *key, __u64 ns)
{
	struct total *total = bpf_map_lookup_elem(map, key);

	if (!total) {
		struct total first = {.count = 1, .sum = ns};

		if (!bpf_map_update_elem(map, key, &first, BPF_NOEXIST))
			return;
		/* -EEXIST: another thread of the process was faster. */
		total = bpf_map_lookup_elem(map, key);
		if (!total) {
			count_loss(LOSS_STATE_FULL);
			return;
		}
	}
	__sync_fetch_and_add(&total->count, 1);
	__sync_fetch_and_add(&total->sum, ns);
}

#endif
