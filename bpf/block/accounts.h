/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ends that the kernel does not show. Some hardened kernels hide tasks from tracing, and with them the interrupts in their
 * time: a request that completes then has no tracepoint. The disk's own counters go on. What those of a CPU gained between
 * two completions that it showed, beyond the first of the two, are requests that ended in between, and their time from
 * allocation to completion.
 */
#ifndef EBREC_BLOCK_ACCOUNTS_H
#define EBREC_BLOCK_ACCOUNTS_H

#include "ebrec.h"

#include "requests.h"

/* include/linux/blk_types.h: after reads and writes, those of one operation each. */
#define STAT_DISCARD 2
#define STAT_FLUSH   3
#define STAT_GROUPS  4
/* Disks times CPUs whose counters are kept: a few busy disks on the largest machines. */
#define MAX_ACCOUNTS 4096
/* Gaps that are kept for a disk and group: a hidden task runs for a few milliseconds, and tags are used again soon after. */
#define GAPS 8
/* CPUs that may take a disk's interrupts where a gap has no end yet. */
#define OPEN_GAP_CPUS 128
/* Between a completion that is shown and its time in the counters: the ends of its bios. */
#define GAP_SLACK_NS 100000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
/* 6.12, commit 5f89154e8e9e: flags are an enum, so BTF has their values. Before, the counters are not used. */
enum rqf_flags {
	__RQF_FLUSH_SEQ = 1,
	__RQF_IO_STAT = 8,
};
struct blk_mq_ctx {
	unsigned int cpu;
};
struct disk_stats {
	__u64 nsecs[STAT_GROUPS];
	unsigned long ios[STAT_GROUPS];
};
struct block_device___accounts {
	struct disk_stats *bd_stats; /* per CPU */
};
struct gendisk___accounts {
	struct block_device___accounts *part0;
};
struct request_queue___accounts {
	struct blk_mq_ctx *queue_ctx; /* per CPU */
};
struct request___accounts {
	struct request_queue___accounts *q;
	struct blk_mq_ctx *mq_ctx;
	__u64 start_time_ns;
	unsigned int rq_flags;
};
#pragma clang attribute pop

/* Where a CPU's part of what is per CPU begins: no helper says, but the queue of a request that it allocated does. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} cpu_offsets SEC(".maps");

/* The counters at the last completion that a CPU showed, and what that itself was to add. */
struct account {
	__u64 at;
	__u64 ios;
	__u64 ns;
	__u64 own_ns;
	/* What requests have had of what was hidden since. */
	__u64 taken;
	__u64 taken_ns;
};

struct account_key {
	__u32 dev;
	__u16 cpu;
	__u16 group;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ACCOUNTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct account_key);
	__type(value, struct account);
} accounts SEC(".maps");

/* A time in which requests ended unseen: `ns` is what all of them took. */
struct gap {
	__u64 from;
	__u64 to;
	__u64 ns;
	__u32 ended;
	__u32 taken;
};

struct gaps {
	struct gap gap[GAPS];
	__u64 next;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_DISKS *STAT_GROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* disk << 8 | group */
	__type(value, struct gaps);
} gaps SEC(".maps");

static const struct gaps no_gaps = {};

static __always_inline __u32 group_of(__u32 op)
{
	/* include/linux/blk_types.h: REQ_OP_FLUSH, REQ_OP_DISCARD, and that writes are odd. */
	return op == 2 ? STAT_FLUSH : op == 3 ? STAT_DISCARD : op & 1;
}

/* Whether the counters can be used: before 6.12 BTF has no request flags, and before 5.11 the counters are elsewhere. */
static __always_inline bool has_accounts(void)
{
	return bpf_core_enum_value_exists(enum rqf_flags, __RQF_IO_STAT);
}

/* The kernel adds a request to its disk's counters when it ends, unless it is one that is not counted. */
static __always_inline bool is_counted(struct request *rq)
{
	struct request___accounts *own = (void *)rq;

	if (!has_accounts())
		return false;
	if (own->rq_flags & 1U << bpf_core_enum_value(enum rqf_flags, __RQF_FLUSH_SEQ))
		return group_of(rq->cmd_flags & 0xff) ==
		       STAT_FLUSH; /* of others the part that is counted is the last */
	return own->rq_flags & 1U << bpf_core_enum_value(enum rqf_flags, __RQF_IO_STAT);
}

/* When it was allocated, from where the counters take its time. */
static __always_inline __u64 allocated(struct request *rq)
{
	return ((struct request___accounts *)rq)->start_time_ns;
}

/* The counters of one CPU, of what a disk has of each. */
static __always_inline bool read_counters(struct gendisk___accounts *disk, __u32 cpu, __u32 group, __u64 *ios,
					  __u64 *ns)
{
	struct disk_stats *stats;
	unsigned long *number;
	__u64 *offset, *time;

	if (!has_accounts())
		return false;
	offset = bpf_map_lookup_elem(&cpu_offsets, &cpu);
	if (!offset || !disk)
		return false;
	stats = (void *)((__u64)BPF_CORE_READ(disk, part0, bd_stats) + *offset);
	number = stats->ios;
	time = stats->nsecs;
	barrier_var(number);
	barrier_var(time);
	return !bpf_probe_read_kernel(ios, sizeof(*ios), number + group) &&
	       !bpf_probe_read_kernel(ns, sizeof(*ns), time + group);
}

/* At a request's allocation its queue's part for one CPU is at hand, beside where the parts begin. */
static __always_inline void learn_cpu(struct request *rq)
{
	struct request___accounts *own = untrusted(rq, compat.request_type);
	__u64 offset;
	__u32 cpu;

	if (!has_accounts())
		return;
	cpu = own->mq_ctx->cpu;
	if (bpf_map_lookup_elem(&cpu_offsets, &cpu))
		return;
	offset = (__u64)own->mq_ctx - (__u64)own->q->queue_ctx;
	bpf_map_update_elem(&cpu_offsets, &cpu, &offset, BPF_ANY);
}

static __always_inline void add_gap(__u32 dev, __u32 group, struct account *before, __u64 now, __u64 ended, __u64 ns)
{
	__u64 key = (__u64)dev << 8 | group;
	struct gaps *all = bpf_map_lookup_elem(&gaps, &key);
	struct gap *gap;

	if (!all) {
		bpf_map_update_elem(&gaps, &key, &no_gaps, BPF_NOEXIST);
		all = bpf_map_lookup_elem(&gaps, &key);
	}
	if (!all)
		return;
	gap = &all->gap[all->next++ % GAPS];
	gap->from = before->at;
	gap->to = now;
	gap->ns = ns - before->ns - before->own_ns - before->taken_ns;
	gap->ended = ended;
	gap->taken = 0;
}

/* A completion is shown: whether others were not since the one before it on this CPU. The kernel adds this one a moment later. */
static __always_inline void completion_shown(struct request *rq, __u32 dev, __u64 now)
{
	struct request___accounts *own = (void *)rq;
	struct account_key key = {
		.dev = dev, .cpu = bpf_get_smp_processor_id(), .group = group_of(rq->cmd_flags & 0xff)};
	struct account *account, fresh = {.at = now, .own_ns = now - own->start_time_ns};
	__s64 ended;

	if (!read_counters((void *)request_disk(rq), key.cpu, key.group, &fresh.ios, &fresh.ns))
		return;
	account = bpf_map_lookup_elem(&accounts, &key);
	if (!account) {
		bpf_map_update_elem(&accounts, &key, &fresh, BPF_NOEXIST);
		return;
	}
	ended = fresh.ios - account->ios - 1 - account->taken;
	if (ended > 0)
		add_gap(dev, key.group, account, now, ended, fresh.ns);
	*account = fresh;
}

/* `at` where it lies between the two. */
static __always_inline __u64 within(__u64 at, __u64 from, __u64 to)
{
	return at < from ? from : at > to ? to : at;
}

/*
 * An end in what the counters of one CPU gained since the last completion that it showed; 0: none. Neither this nor the next two
 * functions are static: such a function is verified once by itself, not for each state in which it is called, which took seconds.
 */
__noinline __u64 end_on_cpu(__u64 disk, __u64 account_number, __u64 started, __u64 issued)
{
	struct account_key key;
	struct account *account;
	__u64 ios, ns, end;
	__s64 ended;

	__builtin_memcpy(&key, &account_number, sizeof(key));
	account = bpf_map_lookup_elem(&accounts, &key);
	if (!account || !read_counters((void *)disk, key.cpu, key.group, &ios, &ns))
		return 0;
	ended = ios - account->ios - 1 - account->taken;
	if (ended <= 0)
		return 0;
	end = started + (ns - account->ns - account->own_ns - account->taken_ns) / ended;
	end = within(end, account->at > issued ? account->at : issued + 1, bpf_ktime_get_ns());
	account->taken++;
	account->taken_ns += end - started;
	return end;
}

/* In a gap that is still open: a request may be used again while the task that hides its end still runs. */
__noinline __u64 end_in_open_gap(__u64 disk, __u32 dev, __u32 group, __u64 started, __u64 issued)
{
#pragma clang loop unroll(disable)
	for (__u32 cpu = 0; cpu < OPEN_GAP_CPUS; cpu++) {
		struct account_key key = {.dev = dev, .cpu = cpu, .group = group};
		__u64 number, end;

		__builtin_memcpy(&number, &key, sizeof(number));
		end = end_on_cpu(disk, number, started, issued);
		if (end)
			return end;
	}
	return 0;
}

/*
 * When a request ended whose end was not shown: by its start and what it took where it was the only one of a gap; in a gap of
 * several by the mean, within the gap. 0: not known.
 */
__noinline __u64 end_by_counters(__u64 disk, __u32 dev, __u32 group, __u64 started, __u64 issued)
{
	__u64 key = (__u64)dev << 8 | group;
	struct gaps *all = bpf_map_lookup_elem(&gaps, &key);

	if (!started)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; all && i < GAPS; i++) {
		struct gap *gap = &all->gap[i];
		__u64 end, from = gap->from > issued ? gap->from : issued + 1;

		if (gap->taken >= gap->ended || gap->to <= issued)
			continue;
		end = started + gap->ns / gap->ended;
		/* The kernel reads the clock some microseconds after it shows a completion. */
		if (gap->ended == 1 && (end + GAP_SLACK_NS < from || end > gap->to + GAP_SLACK_NS))
			continue;
		gap->taken++;
		return within(end, from, gap->to);
	}
	return end_in_open_gap(disk, dev, group, started, issued);
}

#endif
