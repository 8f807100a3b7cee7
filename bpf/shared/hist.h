/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Log-linear histograms and counters, sparse: one cell per metric, key, bucket and CPU. 16 linear steps per power of two
 * keep the middle of a bucket within 3.2 % of any value in it; src/hist.rs has the same arithmetic.
 *
 * The CPU is part of the key, in a hash for all: a CPU writes only its own cells, as in a per-CPU hash, but a cell that
 * one CPU needs takes no room for the others, and the kernel makes the map in a hundredth of the time.
 *
 * Each cell has its own sum, minimum and maximum, so that one look-up serves what would otherwise take two, and the
 * totals of a key stay exact.
 */
#ifndef EBREC_HIST_H
#define EBREC_HIST_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

#include "config.h"
#include "loss.h"
#include "thin.h"

#define HIST_STEP_BITS 4
/* The last bucket is 975. */
#define BUCKET_BITS 10
/* A counter's cell: no histogram bucket has this number. */
#define BUCKET_COUNTER ((1 << BUCKET_BITS) - 1)

/* The first half is one number, made in a register: parts that are written apart and read as one stall the CPU. */
struct cell_key {
	__u64 head; /* the process, as holder_of() has it << 32 | the probe's own number of the metric << 26 | the bucket << 16 | the CPU */
	__u64 sub; /* what else the metric is kept by, in the probe's own packing */
};

#define HEAD_PID_SHIFT	  32
#define HEAD_METRIC_SHIFT (16 + BUCKET_BITS)
#define HEAD_BUCKET_SHIFT 16
#define HEAD_CPU	  0xffff

struct cell {
	__u64 count;
	__u64 sum;
	__u64 min;
	__u64 max;
};

/* Sized by user space from the number of CPUs. */
struct cells {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct cell_key);
	__type(value, struct cell);
};

struct cells cells_even SEC(".maps");
struct cells cells_odd SEC(".maps");

/* A cell in a place that its key leads to: a cache line, and no look-up in a hash. */
struct hot_cell {
	struct cell_key key;
	struct cell cell; /* count 0: nobody's */
	__u64 pad[2];
};
_Static_assert(sizeof(struct hot_cell) == 64, "a cache line");

static __always_inline __u16 hist_bucket(__u64 value)
{
	__u64 rest = value;
	__u32 top = 0; /* the highest set bit */

	if (value < 1 << HIST_STEP_BITS)
		return value;
	if (rest >> 32) {
		rest >>= 32;
		top += 32;
	}
	if (rest >> 16) {
		rest >>= 16;
		top += 16;
	}
	if (rest >> 8) {
		rest >>= 8;
		top += 8;
	}
	if (rest >> 4) {
		rest >>= 4;
		top += 4;
	}
	if (rest >> 2) {
		rest >>= 2;
		top += 2;
	}
	top += rest >> 1;
	top -= HIST_STEP_BITS;
	return (top << HIST_STEP_BITS) + (value >> top);
}

static __always_inline void cell_add(void *map, struct cell_key *key, __u64 value, __u32 shift)
{
	struct cell *cell = bpf_map_lookup_elem(map, key);

	if (!cell) {
		struct cell first = {.count = 1ULL << shift, .sum = value << shift, .min = value, .max = value};

		/* -EEXIST: an interrupt made the entry just now. */
		if (!bpf_map_update_elem(map, key, &first, BPF_NOEXIST))
			return;
		cell = bpf_map_lookup_elem(map, key);
		if (!cell) {
			count_loss(LOSS_HISTOGRAM_FULL);
			return;
		}
	}
	if (value < cell->min)
		cell->min = value;
	if (value > cell->max)
		cell->max = value;
#ifdef PREEMPTIBLE_HOOKS
	/* Another program of the object may be halfway through the same cell on this CPU. */
	__sync_fetch_and_add(&cell->sum, value << shift);
	__sync_fetch_and_add(&cell->count, 1ULL << shift);
#else
	cell->sum += value << shift;
	cell->count += 1ULL << shift;
#endif
}

#ifdef HOOKS_DO_NOT_NEST
/*
 * An object says HOOKS_DO_NOT_NEST when none of its programs that count interrupts another on its CPU. Then who comes first
 * to a place has it until the interval ends, and who finds it taken counts in the hash. 256 places hold most of what a CPU
 * counts in an interval: the more often, the earlier it comes.
 */
#define HOT_CELLS_BITS 8

/* For one CPU and both sets; user space makes as many as there are CPUs, first all of one set, then all of the other. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 << HOT_CELLS_BITS);
	__type(key, __u32);
	__type(value, struct hot_cell);
} hot_cells SEC(".maps");

static __always_inline bool hot_cell_add(__u64 head, __u64 sub, __u64 value, __u32 shift)
{
	/* Fibonacci hashing, of both halves: Knuth, The Art of Computer Programming, volume 3, 6.4. */
	__u64 mixed = (head ^ sub * 0xc2b2ae3d27d4eb4f) * 0x9e3779b97f4a7c15;
	__u32 place = (is_odd() ? config.hot_cells : 0) + ((head & HEAD_CPU) << HOT_CELLS_BITS) +
		      (mixed >> (64 - HOT_CELLS_BITS));
	struct hot_cell *hot = bpf_map_lookup_elem(&hot_cells, &place);

	if (!hot)
		return false;
	if (!hot->cell.count) {
		hot->key.head = head;
		hot->key.sub = sub;
		hot->cell.min = value;
		hot->cell.max = value;
	} else if (hot->key.head != head || hot->key.sub != sub) {
		return false;
	} else if (value < hot->cell.min) {
		hot->cell.min = value;
	} else if (value > hot->cell.max) {
		hot->cell.max = value;
	}
	hot->cell.sum += value << shift;
	hot->cell.count += 1ULL << shift;
	return true;
}
#endif

/* The value counts 2^shift times. */
static __always_inline void cells_add(__u32 metric, __u16 bucket, __u32 pid, __u64 sub, __u64 value, __u32 shift)
{
	struct cell_key key = {
		.head = (__u64)holder_of(pid) << HEAD_PID_SHIFT | (__u64)metric << HEAD_METRIC_SHIFT |
			(__u64)bucket << HEAD_BUCKET_SHIFT | (bpf_get_smp_processor_id() & HEAD_CPU),
		.sub = sub,
	};

#ifdef HOOKS_DO_NOT_NEST
	if (hot_cell_add(key.head, key.sub, value, shift))
		return;
#endif
	if (is_odd())
		cell_add(&cells_odd, &key, value, shift);
	else
		cell_add(&cells_even, &key, value, shift);
}

/*
 * Global functions, because the verifier looks at each of those once and for itself: inlined, each place that counts was
 * hundreds of paths of its own, 28,000 instructions in the default probes.
 */
__noinline int hist_add(__u32 metric, __u32 pid, __u64 sub, __u64 value)
{
	cells_add(metric, hist_bucket(value), pid, sub, value, 0);
	return 0;
}

/* Adds one occurrence of `value` (a size, a time, or 1) to a counter. */
__noinline int counter_add(__u32 metric, __u32 pid, __u64 sub, __u64 value)
{
	cells_add(metric, BUCKET_COUNTER, pid, sub, value, 0);
	return 0;
}

/* As hist_add() and counter_add(), for one event of 2^shift (thin.h). */
__noinline int hist_add_weighted(__u32 metric, __u32 pid, __u64 sub, __u64 value, __u32 shift)
{
	cells_add(metric, hist_bucket(value), pid, sub, value, shift & MAX_THIN_SHIFT);
	return 0;
}

__noinline int counter_add_weighted(__u32 metric, __u32 pid, __u64 sub, __u64 value, __u32 shift)
{
	cells_add(metric, BUCKET_COUNTER, pid, sub, value, shift & MAX_THIN_SHIFT);
	return 0;
}

#endif
