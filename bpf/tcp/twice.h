/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For events that interrupts cause as well as system calls. The kernel leaves a program out where it interrupts itself,
 * so two copies of it are attached (their names differ by "_again"). An interrupt that meets one of them at work still
 * runs the other, and the copy that comes to an event first does the work.
 */
#ifndef EBREC_TCP_TWICE_H
#define EBREC_TCP_TWICE_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

#define EVENTS_UNDER_WAY 1024

/* The event that the first copy has handled and the second has not seen, by its hash: an interrupt has another. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVENTS_UNDER_WAY);
	__type(key, __u32);
	__type(value, __u64);
} events_under_way SEC(".maps");

/* Whether this copy is the first to see the event. `event` identifies it among those under way on this CPU, and is not 0. */
static __always_inline bool comes_first(__u64 event)
{
	__u32 slot = event * 0x9e3779b97f4a7c15ULL >> 32 & (EVENTS_UNDER_WAY - 1);
	__u64 *done = bpf_map_lookup_elem(&events_under_way, &slot);

	if (!done)
		return true;
	if (*done == event) {
		*done = 0;
		return false;
	}
	*done = event;
	return true;
}

#endif
