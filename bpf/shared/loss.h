/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything that a probe could not keep, counted per CPU and cause. Nothing in these programs gives up silently.
 */
#ifndef EBREC_LOSS_H
#define EBREC_LOSS_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

/* The names reach the recording: LOSS_RING_FULL is the cause "ring full". */
enum loss_cause {
	LOSS_RING_FULL,	     /* no room in this CPU's ring: an event is missing */
	LOSS_NO_RING,	     /* a CPU that came up after the start has no ring */
	LOSS_HISTOGRAM_FULL, /* no room for a new bucket: a value is missing in a histogram */
	LOSS_STATE_FULL,     /* no room to remember a start: the pair is missing */
	LOSS_UNREADABLE,     /* user memory that the kernel could not read: a text is missing */
	LOSS_START_UNSEEN,   /* an end whose start the kernel did not show: the pair is missing */
	LOSS_STACK_NOT_KEPT, /* no room for a new stack: its samples or waits are kept without it */
	LOSS_END_UNSEEN,     /* a start whose end the kernel did not show: the pair is missing */
	LOSS_NAME_NOT_KEPT,  /* no room for a new peer or name: its values are kept under "other" */
	LOSS_MEMORY_UNREADABLE, /* memory that could not be read: a number is missing, or a filter had nothing to look at */
	LOSS_CAUSES,
};

/* All in one value: user space reads it at the end of each interval, in one call for each object. */
struct loss_counts {
	__u64 of[LOSS_CAUSES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct loss_counts);
} losses SEC(".maps");

static __always_inline void count_loss(enum loss_cause cause)
{
	__u32 zero = 0;
	struct loss_counts *counts = bpf_map_lookup_elem(&losses, &zero);

	if (counts && cause < LOSS_CAUSES)
		__sync_fetch_and_add(&counts->of[cause], 1);
}

/* Updates a map and counts a refusal. */
#define update_or_count(map, key, value, cause)                                                                        \
	({                                                                                                             \
		long __err = bpf_map_update_elem(map, key, value, BPF_ANY);                                            \
		if (__err)                                                                                             \
			count_loss(cause);                                                                             \
		__err;                                                                                                 \
	})

#endif
