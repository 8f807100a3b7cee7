/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a thread that is off its CPU waits: the cause of its system call, and for calls on descriptors of what is behind them.
 */
#ifndef EBREC_WAIT_CAUSE_H
#define EBREC_WAIT_CAUSE_H

#include "ebrec.h"

#include "causes.h"
#include "compat_causes.h"

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
	struct fdtable *table = untrusted_task(task)->files->fdt;
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

/* The cause by the call alone: `nr` and `fd` are those of its registers. */
static __always_inline __u32 cause_of_call(struct task_struct *task, int nr, __u32 *fd)
{
	__u32 flags = task->flags, cause;
	bool io = BPF_CORE_READ_BITFIELD(task, in_iowait);

	if (flags & PF_IO_WORKER)
		return CAUSE_ASYNC_IO;
	if (flags & (PF_KTHREAD | PF_USER_WORKER))
		return io ? CAUSE_BLOCK_IO : CAUSE_KERNEL;
	if (flags & PF_EXITING)
		return CAUSE_EXIT;
	if (nr < 0)
		return CAUSE_PAGE_FAULT;
	if (is_compat(task))
		cause = compat_cause(task, nr, fd);
	else
		cause = native_cause(nr);
	/* A call that says nothing of storage, stopped by it: a page of its arguments, most often. */
	if (io && (cause == CAUSE_OTHER || cause == CAUSE_MEMORY || cause == CAUSE_IOCTL))
		return CAUSE_BLOCK_IO;
	return cause;
}

static __always_inline __u32 cause_of_wait(struct task_struct *task)
{
	__u32 fd = 0, cause;
	int nr = syscall_of(task, &fd);

	cause = cause_of_call(task, nr, &fd);
	if (cause == CAUSE_READ || cause == CAUSE_WRITE)
		return cause_by_file(task, fd, cause);
	return cause;
}

#endif
