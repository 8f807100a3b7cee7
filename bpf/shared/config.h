/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What user space tells every object before it is loaded. Constant to the verifier, which drops the branches that a
 * value rules out.
 */
#ifndef EBREC_CONFIG_H
#define EBREC_CONFIG_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

/* More users, control groups or names than this are refused on the command line. */
#define MAX_SCOPE_UIDS	  8
#define MAX_SCOPE_CGROUPS 8
#define MAX_SCOPE_COMMS	  8
/* Probes that can be thinned; what is left of the epoch's first cache line. */
#define MAX_THINNED 24

/* Bits of a scope_tasks value: which filters the process, or an ancestor of it, matched. */
#define SCOPE_PID  0x1
#define SCOPE_COMM 0x2

enum stream_mode {
	STREAM_NONE = 0, /* histograms only */
	STREAM_SLOW = 1, /* events at or over slow_ns */
	STREAM_ALL = 2,
};

struct scope_cgroup {
	__u64 id;
	__u32 level;
	__u32 pad;
};

struct config {
	__u64 ring_wake_bytes; /* wake the reader past this fill */
	__u64 slow_ns;
	__u32 self_tgid;
	__u8 probe;	   /* index of the probe, echoed in each event */
	__u8 stream;	   /* enum stream_mode */
	__u8 task_storage; /* 0: start times in a hash by thread id */
	__u8 task_filters; /* SCOPE_* bits that a process must have; 0: no such filter */
	__u8 follow;	   /* children of a process in scope are in scope */
	__u8 uid_count;
	__u8 cgroup_count;
	__u8 comm_count;
	__u32 never;	 /* 0: what only the verifier is to see */
	__u32 hot_cells; /* of one set, of all CPUs */
	__u32 unwinds;	 /* user stacks by unwind tables, else by frame pointers */
	__u32 uids[MAX_SCOPE_UIDS];
	struct scope_cgroup cgroups[MAX_SCOPE_CGROUPS];
};

const volatile struct config config SEC(".rodata.config") = {};

/*
 * The window, and which of two sets of histogram maps takes new values: swapped once per interval, so that reading one
 * never races writing it. One map for all objects, written by user space while programs run; the end is written by
 * scope.bpf.c, when its time has come, or by user space, whichever is first.
 */
#define REUSED_IDS 1024

struct epoch {
	__u64 open_ns;	/* when the window began, while it is open; else 0 */
	__u64 start_ns; /* likewise, and after its end until all totals are read */
	__u64 due_ns;	/* when it is to end; ~0: not known */
	__u64 end_ns;	/* when it was closed; 0 before */
	__u64 parity;
	/* How much each probe is thinned, by its number: thin.h. */
	__u8 thin[MAX_THINNED];
	/* Stacks that were put into the maps so far, on a cache line of its own: each event reads the other. */
	__u64 stacks;
	__u64 pad[7];
	/* How often an id was given to another process, by the id's lowest bits: scope.bpf.c counts, hist.h keeps them apart by it. */
	__u8 reused[REUSED_IDS];
};
_Static_assert(sizeof(struct epoch) == 64 + 64 + REUSED_IDS, "the stacks are on the second line, and nothing else is");

struct epoch epoch SEC(".data.epoch") = {};

/* Which of the two sets takes new values. */
static __always_inline bool is_odd(void)
{
	return *(volatile __u64 *)&epoch.parity;
}

/* 0 outside of the window, when nothing is recorded. */
static __always_inline __u64 window_start(void)
{
	return *(volatile __u64 *)&epoch.open_ns;
}

/*
 * As window_start(), and after the end still the start until user space has read the totals that are kept by thread or
 * socket: those of what ends in between would be lost otherwise.
 */
static __always_inline __u64 totals_start(void)
{
	return *(volatile __u64 *)&epoch.start_ns;
}

/* The kernel's PID_MAX_LIMIT is 4 Mi: the bits of an id above these say which of its holders it was. */
#define PID_BITS 22
#define PID_MASK ((1 << PID_BITS) - 1)

/*
 * A process id and which of its holders has it now: processes that share an id, one after the other, differ. 0 stays 0, and
 * what a connection remembers of its owner stays as it is.
 */
static __always_inline __u32 holder_of(__u32 pid)
{
	if (!pid || pid >> PID_BITS)
		return pid;
	return pid | (1U + *(volatile __u8 *)&epoch.reused[pid & (REUSED_IDS - 1)]) << PID_BITS;
}

/* A time for totals: none is after the window's end. */
static __always_inline __u64 within_window(__u64 now)
{
	__u64 end = *(volatile __u64 *)&epoch.end_ns;

	return end && now > end ? end : now;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#endif
