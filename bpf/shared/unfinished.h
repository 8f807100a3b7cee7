/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What began in the window and ends after it: no histogram has it, so it is counted. What has not ended when the probe is detached
 * is counted by user space.
 */
#ifndef EBREC_UNFINISHED_H
#define EBREC_UNFINISHED_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} unfinished SEC(".maps");

static __always_inline void count_unfinished(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&unfinished, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
}

#endif
