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

#define HIST_STEP_BITS 4
/* Below the metric's number in a key; the last bucket is 975. */
#define BUCKET_BITS 10
/* A counter's cell: no histogram bucket has this number. */
#define BUCKET_COUNTER ((1 << BUCKET_BITS) - 1)

struct cell_key {
	__u16 cpu;
	__u16 metric_bucket; /* the probe's own number of the metric << BUCKET_BITS | the bucket */
	__u32 pid;
	__u64 sub; /* what else the metric is kept by, in the probe's own packing */
};

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

static __always_inline void cell_add(void *map, struct cell_key *key, __u64 value)
{
	struct cell *cell = bpf_map_lookup_elem(map, key);

	if (!cell) {
		struct cell first = {.count = 1, .sum = value, .min = value, .max = value};

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
	__sync_fetch_and_add(&cell->sum, value);
	__sync_fetch_and_add(&cell->count, 1);
#else
	cell->sum += value;
	cell->count++;
#endif
}

static __always_inline void cells_add(__u16 metric, __u16 bucket, __u32 pid, __u64 sub, __u64 value)
{
	struct cell_key key = {
		.cpu = bpf_get_smp_processor_id(),
		.metric_bucket = metric << BUCKET_BITS | bucket,
		.pid = pid,
		.sub = sub,
	};

	if (*(volatile __u32 *)&epoch.parity)
		cell_add(&cells_odd, &key, value);
	else
		cell_add(&cells_even, &key, value);
}

static __always_inline void hist_add(__u16 metric, __u32 pid, __u64 sub, __u64 value)
{
	cells_add(metric, hist_bucket(value), pid, sub, value);
}

/* Adds one occurrence of `value` (a size, a time, or 1) to a counter. */
static __always_inline void counter_add(__u16 metric, __u32 pid, __u64 sub, __u64 value)
{
	cells_add(metric, BUCKET_COUNTER, pid, sub, value);
}

#endif
