/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the probe signals remembers of a thread that was sent a signal, and of its process: since when each signal is
 * pending, and who sent the last one of each number.
 */
#ifndef EBREC_SIGNALS_PENDING_SIGNALS_H
#define EBREC_SIGNALS_PENDING_SIGNALS_H

#include "ebrec.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/linux/sched/signal.h, include/uapi/asm-generic/siginfo.h */
union __sifields {
	struct {
		int _pid;
	} _sigchld;
};

struct kernel_siginfo {
	int si_code;
	union __sifields _sifields;
};

struct sigaction {
	void *sa_handler;
};

struct k_sigaction {
	struct sigaction sa;
};

#pragma clang attribute pop

/* Numbers are 1 to 64; a mask makes 64 the place 0, which is free. */
#define SIGNALS 64
/* Below it a signal is pending once or not at all; those above queue up, and no start belongs to an end. */
#define FIRST_QUEUED 32

/* Names in src/probes/signals.rs. */
enum signal_origin {
	ORIGIN_PROCESS, /* a process asked for it */
	ORIGIN_KERNEL,	/* a fault, a terminal, the end of memory… */
	ORIGIN_TIMER,
	ORIGIN_CHILD, /* a child's end, stop or continuation */
};

struct sender {
	__u32 pid;
	__u32 origin;
	__u8 comm[TASK_COMM_LEN];
};

/* What a thread was sent; what its process was, is its leader's. */
struct pending {
	__u64 since[FIRST_QUEUED];
	struct sender last[SIGNALS];
	__u64 ended; /* its process takes the signal that ends it */
};
/* 2 KiB each; only those that are sent a signal have one. */
DEFINE_TASK_STATE_OF(struct pending, 4096)

/* The state of the current thread, or of its process. */
static __always_inline struct pending *pending_of_current(bool process)
{
	__u64 who = bpf_get_current_pid_tgid();
	struct task_struct *task;
	__u32 tid = process ? who >> 32 : who;

	if (!config.task_storage)
		return bpf_map_lookup_elem(&state_by_tid, &tid);
	task = current_task();
	if (task && process)
		task = task->group_leader;
	return task ? bpf_task_storage_get(&state_by_task, task, 0, 0) : NULL;
}

/* The verifier wants to see the bound on the very register that is added. */
static __always_inline struct sender *last_of(struct pending *pending, __u64 signal)
{
	asm volatile("%0 &= %1" : "+r"(signal) : "i"(SIGNALS - 1));
	return &pending->last[signal];
}

static __always_inline __u64 *since_of(struct pending *pending, __u64 signal)
{
	asm volatile("%0 &= %1" : "+r"(signal) : "i"(FIRST_QUEUED - 1));
	return &pending->since[signal];
}

static __always_inline bool is_known(struct sender *sender)
{
	return sender->pid || sender->origin != ORIGIN_PROCESS;
}

static __always_inline void remember(struct task_struct *task, __u32 signal, struct sender *sender)
{
	struct pending *pending = state_of(task, true);

	if (!pending)
		return;
	if (signal < FIRST_QUEUED)
		*since_of(pending, signal) = bpf_ktime_get_ns();
	*last_of(pending, signal) = *sender;
}

/* Takes the start of a signal that is pending, of the thread first, as the kernel does; 0: none was seen. */
static __always_inline __u64 take_start(struct pending *own, struct pending *process, __u32 signal)
{
	__u64 *start, since = 0;

	if (own) {
		start = since_of(own, signal);
		since = *start;
		*start = 0;
	}
	if (!since && process) {
		start = since_of(process, signal);
		since = *start;
		*start = 0;
	}
	return since;
}

#endif
