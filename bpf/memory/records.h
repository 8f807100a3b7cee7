/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the probe memory gives to user space: its records, what a walk over all threads reads, and its metrics.
 */
#ifndef EBREC_MEMORY_RECORDS_H
#define EBREC_MEMORY_RECORDS_H

#include "ebrec.h"

enum memory_event {
	MEMORY_STALLED,
	MEMORY_OOM,
};

enum memory_metric {
	MEMORY_FAULTS,		 /* counter by process and enum fault_bits, with the thread's number */
	MEMORY_RECLAIM_STALL,	 /* by process and enum stall; ns */
	MEMORY_RECLAIMED,	 /* counter likewise; pages */
	MEMORY_COMPACTION_STALL, /* by process; ns */
	MEMORY_KSWAPD,		 /* by process; ns */
	MEMORY_OOM_KILLS,	 /* counter by process */
};

enum stall {
	STALL_RECLAIM,	      /* the machine is short of memory */
	STALL_RECLAIM_CGROUP, /* a memory control group is at its limit */
	STALL_COMPACTION,
	STALL_KSWAPD, /* no stall, but timed like one */
};

/* The low bits of MEMORY_FAULTS' sub; the thread's id stands above them. */
enum fault_bits {
	FAULT_MAJOR = 0x1,
	FAULT_OLD = 0x2, /* the thread is older than the window */
	FAULT_BITS = 2,
};

struct stall_record {
	struct event_header header;
	__u64 dur_ns;
	__u64 pages; /* reclaimed */
	__u32 stall; /* enum stall */
	__u32 pad;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct stall_record) == 64, "no holes");

struct oom_record {
	struct event_header header; /* the victim */
	__u64 cgroup_id;
	__u64 total_vm; /* pages, as all that follow but pgtables */
	__u64 anon;
	__u64 file;
	__u64 shmem;
	__u64 swap;
	__u64 pgtables; /* bytes */
	__u32 uid;
	__s32 oom_score_adj;
	__u32 sized;	 /* 0: this kernel gives the victim's number only */
	__u32 asker_pid; /* whose request could not be met */
	__u32 asker_tid;
	__u32 pad;
	__u8 comm[TASK_COMM_LEN];
	__u8 asker_comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct oom_record) == 136, "no holes");

/* What a walk over all threads reports for each. */
struct fault_reading {
	__u64 start_time; /* CLOCK_MONOTONIC ns */
	__u64 minor;
	__u64 major;
	__u32 pid;
	__u32 tid;
	__u32 exiting; /* 1: sched_process_exit has counted it, or will */
	__u32 pad;
};
_Static_assert(sizeof(struct fault_reading) == 40, "no holes");

#endif
