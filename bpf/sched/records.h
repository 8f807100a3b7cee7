/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What sched.bpf.c streams: a record's layout, and what fills it.
 */
#ifndef EBREC_SCHED_RECORDS_H
#define EBREC_SCHED_RECORDS_H

#include "ebrec.h"

#include "ledger.h"

enum sched_metric {
	SCHED_RUNQUEUE_LATENCY, /* by process */
	SCHED_SLICE_TIME,	/* by process and enum slice_end; whole slices */
	SCHED_ON_CPU,		/* by process; user space derives it from the ledger */
	SCHED_SWITCHES,		/* by process and enum slice_end; here of slices whose start was not seen */
	SCHED_MIGRATIONS,	/* counter by process */
};

enum sched_event {
	SCHED_WAKEUP,
	SCHED_SLICE,
	SCHED_MIGRATION,
	SCHED_DEATH,
};

struct wakeup_record {
	struct event_header header; /* the thread that waited; ts is when it got the CPU */
	__u64 waited_ns;
	__u32 prio;
	__u32 waker_pid;
	__u32 waker_tid;
	__u32 prev_pid; /* who had the CPU until now */
	__u32 prev_tid;
	__u32 prev_shown; /* 0: the switch was not shown, and the three prev_* say nothing */
	__u8 comm[TASK_COMM_LEN];
	__u8 prev_comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct wakeup_record) == 88, "no holes");

struct slice_record {
	struct event_header header;
	__u64 ran_ns;
	__u32 state; /* the thread's state when it left the CPU; 0: still runnable */
	__u32 prio;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct slice_record) == 56, "no holes");

struct migration_record {
	struct event_header header;
	__u32 from_cpu;
	__u32 to_cpu;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct migration_record) == 48, "no holes");

/* A thread and its ledger, as the iterator tells it and as the last that is heard of a thread. */
struct thread_line {
	__u64 born; /* CLOCK_MONOTONIC ns */
	__u64 came; /* when it got its CPU, where that was not shown; else 0 */
	__u32 pid;
	__u32 tid;
	__u32 slot; /* what it is in, where no event told or a switch was not shown; else SLOT_NONE */
	__u32 pad;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct thread_line) == 48, "no holes");

struct death_record {
	struct event_header header;
	struct thread_line thread;
	struct ledger ledger;
};

static __always_inline void stream_slice(struct task_struct *task, __u64 now, __u64 ran, __u32 left_in)
{
	void *ring = ring_of_this_cpu();
	struct slice_record *record;

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, SCHED_SLICE, now, task->tgid, task->pid);
	record->ran_ns = ran;
	record->state = left_in;
	record->prio = task->prio;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), task->comm);
	ring_submit(ring, record);
}

static __always_inline void stream_wakeup(struct task_struct *task, struct task_struct *prev, struct ledger *ledger,
					  __u64 now, __u64 waited)
{
	void *ring = ring_of_this_cpu();
	struct wakeup_record *record;

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, SCHED_WAKEUP, now, task->tgid, task->pid);
	record->waited_ns = waited;
	record->prio = task->prio;
	record->waker_pid = ledger->waker_pid;
	record->waker_tid = ledger->waker_tid;
	record->prev_pid = prev ? prev->tgid : 0;
	record->prev_tid = prev ? prev->pid : 0;
	record->prev_shown = prev != NULL;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), task->comm);
	if (prev)
		bpf_probe_read_kernel(record->prev_comm, sizeof(record->prev_comm), prev->comm);
	ring_submit(ring, record);
}

static __always_inline void fill_line(struct thread_line *line, struct task_struct *task, __u32 slot)
{
	line->born = task->start_time;
	line->pid = task->tgid;
	line->tid = task->pid;
	line->slot = slot;
	line->pad = 0;
	bpf_probe_read_kernel(line->comm, sizeof(line->comm), task->comm);
}

/* The last that is heard of a thread: its whole ledger. */
static __always_inline void stream_death(struct task_struct *task, struct ledger *ledger, __u64 now)
{
	void *ring = ring_of_this_cpu();
	struct death_record *record;

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, SCHED_DEATH, now, task->tgid, task->pid);
	fill_line(&record->thread, task, SLOT_NONE);
	bpf_probe_read_kernel(&record->ledger, sizeof(record->ledger), ledger);
	ring_submit(ring, record);
}

#endif
