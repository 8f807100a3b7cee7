/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wall-clock ledger: what state each thread is in and why, since when, and how long it was in each so far. Nothing
 * is reset while the window lasts: a reader takes differences, so that a reading that races a switch is made up for by
 * the next one.
 */
#ifndef EBREC_SCHED_LEDGER_H
#define EBREC_SCHED_LEDGER_H

#include "ebrec.h"

#include "causes.h"
#include "compat_causes.h"

/* States, and for the two kinds of sleep a slot for each cause. */
enum ledger_slot {
	SLOT_NONE, /* no event of the thread was seen yet */
	SLOT_ON_CPU,
	SLOT_RUNNABLE,
	SLOT_STOPPED, /* by a signal, a tracer or the freezer */
	SLOT_GONE,    /* dead: not counted */
	SLOT_UNSEEN,  /* it left its CPU and the kernel did not show when */
	SLOT_INTERRUPTIBLE,
	SLOT_UNINTERRUPTIBLE = SLOT_INTERRUPTIBLE + CAUSES,
	SLOTS = SLOT_UNINTERRUPTIBLE + CAUSES,
};

/* A thread that is on no CPU but was last seen on one has left it unseen, unless it is just being switched in. */
#define SWITCH_IN_NS 1000000

struct ledger {
	__u64 since;	 /* of the slot; 0: no event yet */
	__u32 slot;	 /* enum ledger_slot: what it is in */
	__u32 waker_pid; /* who made it runnable; 0: it was preempted */
	__u32 waker_tid;
	__u32 first;	/* what it was in before any event, where the iterator asked; else SLOT_NONE */
	__u32 contends; /* what tells the lock of the kernel that it is about to wait for, or does; 0: none */
	__u32 pad;
	__u64 ns[SLOTS];
	__u32 count[SLOTS]; /* times it went into the slot */
};
_Static_assert(SLOTS % 2 == 0, "no holes");

/* include/linux/sched.h: the same since 4.14, the last two since 5.15 and 6.1. */
#define TASK_UNINTERRUPTIBLE   0x0002
#define TASK_STOPPED_OR_TRACED 0x000c
#define TASK_DEAD_OR_ZOMBIE    0x00b0
#define TASK_NOLOAD	       0x0400 /* with uninterruptible: a kernel thread that idles */
#define TASK_RTLOCK_WAIT       0x1000
#define TASK_FROZEN	       0x8000

#define PF_IO_WORKER   0x00000010 /* 5.12 */
#define PF_USER_WORKER 0x00004000 /* 6.4 */

/* What reading or writing waits for depends on what is behind the descriptor. */
static __always_inline __u32 cause_by_file(struct task_struct *task, __u32 fd, __u32 cause)
{
	struct fdtable *table = task->files->fdt;
	struct inode *inode;

	if (fd >= table->max_fds)
		return cause;
	switch (mode_of_file(table->fd + fd, &inode) & S_IFMT) {
	case S_IFIFO:
		return CAUSE_PIPE;
	case S_IFSOCK:
		return CAUSE_SOCKET;
	case S_IFCHR:
		return CAUSE_DEVICE;
	case S_IFREG:
		/* 6.16, commit cfd86ef7e8e7: what has no file behind it claims to be a regular one. */
		return BPF_CORE_READ(inode, i_sb, s_magic) == ANON_INODE_FS_MAGIC ? CAUSE_ANONYMOUS : cause;
	case S_IFBLK:
		return cause;
	default:
		return CAUSE_ANONYMOUS;
	}
}

/* Of a call of 32-bit code, whose first argument is elsewhere. */
static __always_inline __u32 compat_cause(struct task_struct *task, __u32 nr, __u32 *fd)
{
	if (nr >= SYSCALL_NUMBERS)
		return CAUSE_OTHER;
	*fd = compat_fd(task);
	/* The compiler knows the bound and would leave the mask out, which older verifiers need. */
	barrier_var(nr);
	return cause_of_compat_syscall[nr & (SYSCALL_NUMBERS - 1)];
}

static __always_inline __u32 native_cause(__u32 nr)
{
	if (nr >= SYSCALL_NUMBERS)
		return CAUSE_OTHER;
	barrier_var(nr);
	return cause_of_syscall[nr & (SYSCALL_NUMBERS - 1)];
}

static __always_inline __u32 cause_of_wait(struct task_struct *task)
{
	__u32 flags = task->flags, fd = 0, cause;
	bool io = BPF_CORE_READ_BITFIELD(task, in_iowait);
	int nr;

	if (flags & PF_IO_WORKER)
		return CAUSE_ASYNC_IO;
	if (flags & (PF_KTHREAD | PF_USER_WORKER))
		return io ? CAUSE_BLOCK_IO : CAUSE_KERNEL;
	if (flags & PF_EXITING)
		return CAUSE_EXIT;
	nr = syscall_of(task, &fd);
	if (nr < 0)
		return CAUSE_PAGE_FAULT;
	if (is_compat(task))
		cause = compat_cause(task, nr, &fd);
	else
		cause = native_cause(nr);
	if (cause == CAUSE_READ || cause == CAUSE_WRITE)
		return cause_by_file(task, fd, cause);
	/* A call that says nothing of storage, stopped by it: a page of its arguments, most often. */
	if (io && (cause == CAUSE_OTHER || cause == CAUSE_MEMORY || cause == CAUSE_IOCTL))
		return CAUSE_BLOCK_IO;
	return cause;
}

/* `bits` is the task's state, other than running; `ledger` may be NULL. */
static __always_inline __u32 slot_of_sleep(struct task_struct *task, __u32 bits, struct ledger *ledger)
{
	__u32 cause;

	if (bits & TASK_DEAD_OR_ZOMBIE)
		return SLOT_GONE;
	if (bits & (TASK_STOPPED_OR_TRACED | TASK_FROZEN))
		return SLOT_STOPPED;
	cause = ledger && ledger->contends ? CAUSE_LOCK : cause_of_wait(task);
	if (bits & (TASK_UNINTERRUPTIBLE | TASK_RTLOCK_WAIT) && !(bits & TASK_NOLOAD))
		return SLOT_UNINTERRUPTIBLE + cause;
	return SLOT_INTERRUPTIBLE + cause;
}

/* Where the ledger of a thread begins: at its birth or with the window. */
static __always_inline __u64 ledger_start(struct task_struct *task)
{
	__u64 born = task->start_time, start = totals_start();

	return born > start ? born : start;
}

/* Ends the state that the thread was in; `was` is what that must have been if no event told. */
static __always_inline void ledger_move(struct ledger *ledger, struct task_struct *task, __u32 was, __u32 to, __u64 now)
{
	__u64 from = ledger->slot, since = ledger->since;

	if (!since) {
		since = ledger_start(task);
		from = ledger->first ? ledger->first : was;
	}
	/* All 64 bits are compared: the verifier of 6.1 forgets that the upper half is zero once it is kept on the stack. */
	barrier_var(from);
	if (from < SLOTS)
		ledger->ns[from] += now - since;
	ledger->slot = to;
	ledger->since = now;
	if (to < SLOTS && window_start())
		ledger->count[to]++;
}

/*
 * Before 6.4 the ledgers are in a hash, 1 KiB for each thread, made at the start: a thread beyond these is not in the
 * ledger while it has no place, and each of its events counts as a loss ("state full").
 */
#define LEDGERS_IN_HASH 16384

DEFINE_TASK_STATE_OF(struct ledger, LEDGERS_IN_HASH)

#endif
