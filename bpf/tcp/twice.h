/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For events that interrupts cause as well as system calls. The kernel leaves a program out where it interrupts itself
 * (6.2, commit 05b24ff9b2cf; by 7.3 also where a thread was preempted in it), so two copies of it are attached (their
 * names differ by "_again"). The first does the work whenever it runs. The second does it while the first is under way
 * on its CPU, since that is when the kernel has left the first out.
 *
 * Nothing is remembered from one event to the next: a mark that says which events the first copy has handled outlives
 * an event that the second one misses, and the next event like it, of a socket at the same address, is taken for a copy.
 */
#ifndef EBREC_TCP_TWICE_H
#define EBREC_TCP_TWICE_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

struct first_copy {
	/*
	 * Events that the second copy took for the first. User space takes them off the runs that the kernel left out;
	 * what remains came between the kernel's own mark of the first copy and `under_way`, and is lost.
	 */
	__u64 stood_in;
	volatile __u32 under_way;
	volatile __u32 nests; /* the kernel lets the first copy interrupt itself, as it does before 6.2 */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct first_copy);
} first_copies SEC(".maps");

static __always_inline struct first_copy *first_copy(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&first_copies, &zero);
}

/* Around the work of the first copy. `begin_first` gives what `end_first` takes. */
static __always_inline bool begin_first(struct first_copy *first)
{
	bool nested = first->under_way;

	if (nested)
		first->nests = 1;
	first->under_way = 1;
	return nested;
}

static __always_inline void end_first(struct first_copy *first, bool nested)
{
	first->under_way = nested;
}

/* Whether the second copy has to do the work. Only one runs at a time on a CPU that leaves out what interrupts itself. */
static __always_inline bool stands_in(void)
{
	struct first_copy *first = first_copy();

	if (!first || !first->under_way || first->nests)
		return false;
	first->stood_in++;
	return true;
}

#endif
