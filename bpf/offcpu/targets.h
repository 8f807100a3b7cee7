/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a thread that goes to sleep waits for: the futex, pipe, socket or file, by the arguments of its system call, and for a futex
 * whether its word says that threads contend for it.
 */
#ifndef EBREC_OFFCPU_TARGETS_H
#define EBREC_OFFCPU_TARGETS_H

#include "ebrec.h"

#include "knobs.h"
#include "stack.h"
#include "state.h"
#include "wait_cause.h"

/* include/uapi/linux/futex.h */
#define FUTEX_WAITERS  0x80000000
#define FUTEX_OWNER    0x3fffffff
#define FUTEX_LOCK_PI  6
#define FUTEX_LOCK_PI2 13
#define FUTEX_COMMAND  0x7f
#define NR_FUTEX_WAITV 449
/* include/linux/threads.h: PID_MAX_LIMIT */
#define LARGEST_TID (4 << 20)

#if defined(__TARGET_ARCH_x86)
#define NR_FUTEX    202
#define NR_POLL	    7
#define NR_PPOLL    271
#define NR_SELECT   23
#define NR_PSELECT6 270
#elif defined(__TARGET_ARCH_arm64)
#define NR_FUTEX    98
#define NR_POLL	    -1
#define NR_PPOLL    73
#define NR_SELECT   -1
#define NR_PSELECT6 72
#endif

/* include/uapi/linux/futex.h */
struct futex_waitv {
	__u64 value;
	__u64 address;
};

/* What a futex's word and the eight bytes behind it say; of a pthread mutex these are its lock, count and owner. */
struct futex_words {
	__u32 word;
	__u32 count;
	__u32 owner;
};

/* `here`: the thread's memory is at hand, since it is the current one. */
static __always_inline void wait_for_futex(struct task_state *state, struct open_call *call, bool here)
{
	struct futex_words words = {};
	struct futex_waitv first = {};
	__u32 command = call->arguments[1] & FUTEX_COMMAND, value = call->arguments[2];
	bool is_pi = false;

	state->target = call->arguments[0];
	if (call->number == NR_FUTEX) {
		is_pi = command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2;
	} else if (call->number == NR_FUTEX_WAITV) {
		if (!here || bpf_probe_read_user(&first, sizeof(first), (void *)call->arguments[0]))
			return;
		state->target = first.address;
		value = first.value;
	} else {
		/* futex_wait(2), 6.7: address, value, mask, flags */
		value = call->arguments[1];
	}
	state->value = value;
	/* The word may be swapped out: then nothing is known of it. */
	if (!here || bpf_probe_read_user(&words, sizeof(words), (void *)state->target))
		return;
	if (is_pi)
		value = words.word;
	/*
	 * 2 is the contended state of glibc's, Rust's and most other locks (Drepper, Futexes Are Tricky), and bit 31 that of locks
	 * whose word has the owner's id. A parked thread of Rust's has all bits set, a semaphore of musl's only that one.
	 */
	if (value == 2 && words.word == 2) {
		state->flags |= WAIT_CONTENDED;
		state->owner = words.owner;
	} else if (value & FUTEX_WAITERS && value & FUTEX_OWNER && (value & FUTEX_OWNER) <= LARGEST_TID) {
		state->flags |= WAIT_CONTENDED;
		state->owner = value & FUTEX_OWNER;
	}
	if (state->owner > LARGEST_TID)
		state->owner = 0;
}

/* A descriptor as a target: what is behind it, by its inode if it has one of its own. */
static __always_inline __u8 wait_for_descriptor(struct task_state *state, struct task_struct *task, __u32 fd, bool disk)
{
	struct fdtable *table = task->files->fdt;
	struct inode *inode;

	if (fd >= table->max_fds)
		return disk ? ON_DISK : ON_OTHER;
	state->fd = fd + 1;
	state->target = fd;
	switch (mode_of_file(table->fd + fd, &inode) & S_IFMT) {
	case S_IFIFO:
		state->target = BPF_CORE_READ(inode, i_ino);
		return ON_PIPE;
	case S_IFSOCK:
		state->target = BPF_CORE_READ(inode, i_ino);
		return ON_SOCKET;
	case S_IFCHR:
		state->target = BPF_CORE_READ(inode, i_ino);
		return ON_DEVICE;
	case S_IFREG:
		/* 6.16, commit cfd86ef7e8e7: what has no file behind it claims to be a regular one. */
		if (BPF_CORE_READ(inode, i_sb, s_magic) == ANON_INODE_FS_MAGIC)
			return ON_EVENT_FILE;
		/* fall through */
	case S_IFDIR:
	case S_IFBLK:
		state->target = BPF_CORE_READ(inode, i_ino);
		return disk ? ON_DISK : ON_FILE;
	default:
		return ON_EVENT_FILE;
	}
}

/* poll(2) of one descriptor is a wait for that. */
static __always_inline __u8 wait_for_poll(struct task_state *state, struct task_struct *task, struct open_call *call,
					  bool here)
{
	__u32 fd = call->arguments[0];

	if (call->number == NR_SELECT || call->number == NR_PSELECT6)
		return fd ? ON_POLL : ON_TIMER;
	if (call->number == NR_POLL || call->number == NR_PPOLL) {
		/* struct pollfd begins with the descriptor. */
		if (call->arguments[1] == 1 && here &&
		    !bpf_probe_read_user(&fd, sizeof(fd), (void *)call->arguments[0]))
			return wait_for_descriptor(state, task, fd, false);
		return call->arguments[1] ? ON_POLL : ON_TIMER;
	}
	state->fd = fd + 1;
	state->target = fd;
	return ON_EPOLL;
}

/* Kernel pointers do not leave the kernel: 32 bits of a hash with a number that user space drew tell two locks apart. */
static __always_inline __u32 veiled(__u64 pointer)
{
	return offcpu_knobs.secret ? hash_word(offcpu_knobs.secret, pointer) >> 32 : 0;
}

/* Reading or writing waits for what is behind the descriptor, as cause_by_file() has it. */
static __always_inline __u8 cause_by_target(__u8 on, __u8 cause)
{
	switch (on) {
	case ON_PIPE:
		return CAUSE_PIPE;
	case ON_SOCKET:
		return CAUSE_SOCKET;
	case ON_DEVICE:
		return CAUSE_DEVICE;
	case ON_EVENT_FILE:
		return CAUSE_ANONYMOUS;
	default:
		return cause;
	}
}

/* What a thread waits for, and why, that is about to leave its CPU or is off it; `here`: it is the current one. */
static __always_inline void find_target(struct task_state *state, struct task_struct *task, bool here)
{
	bool disk = BPF_CORE_READ_BITFIELD(task, in_iowait), compat = is_compat(task);
	struct open_call call = {.number = -1};
	__u32 fd;

	if (!(task->flags & PF_KTHREAD))
		read_call(task, &call);
	fd = call.arguments[0];
	state->syscall = call.number < 0 ? call.number : (call.number & CALL_NUMBER) | (compat ? CALL_COMPAT : 0);
	state->cause = state->contends ? CAUSE_LOCK : cause_of_call(task, call.number, &fd);
	state->target = 0;
	state->owner = 0;
	state->value = 0;
	state->fd = 0;
	state->on = disk ? ON_DISK : ON_OTHER;
	if (state->contends) {
		state->on = ON_KERNEL_LOCK;
		state->target = veiled(state->contends);
		state->owner = state->lock_owner;
		return;
	}
	if (task->flags & (PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER))
		return;
	if (state->cause == CAUSE_PAGE_FAULT) {
		state->on = ON_PAGE;
		return;
	}
	/* Arguments of 32-bit code are elsewhere, and words may be half as wide: the first one is all that is taken. */
	if (compat && (state->cause == CAUSE_FUTEX || state->cause == CAUSE_POLL)) {
		state->target = state->cause == CAUSE_FUTEX ? fd : 0;
		state->on = state->cause == CAUSE_FUTEX ? ON_FUTEX : ON_POLL;
		return;
	}
	switch (state->cause) {
	case CAUSE_FUTEX:
		state->on = ON_FUTEX;
		wait_for_futex(state, &call, here);
		break;
	case CAUSE_POLL:
		state->on = wait_for_poll(state, task, &call, here);
		break;
	case CAUSE_READ:
	case CAUSE_WRITE:
		state->on = wait_for_descriptor(state, task, fd, disk);
		state->cause = cause_by_target(state->on, state->cause);
		break;
	case CAUSE_SOCKET:
	case CAUSE_COPY:
	case CAUSE_FILE_LOCK:
	case CAUSE_IOCTL:
		state->on = wait_for_descriptor(state, task, fd, disk);
		break;
	case CAUSE_FSYNC:
		/* A file system's journal is waited for like any thread, and writes to the disk. */
		disk |= state->sleep == SLEEP_UNINTERRUPTIBLE;
		state->on = wait_for_descriptor(state, task, fd, disk);
		break;
	case CAUSE_SLEEP:
		state->on = ON_TIMER;
		break;
	case CAUSE_SIGNAL:
		state->on = ON_SIGNAL;
		break;
	case CAUSE_CHILD:
		state->on = ON_CHILD;
		break;
	case CAUSE_FILES:
		state->on = disk ? ON_DISK : ON_FILE;
		break;
	case CAUSE_ASYNC_IO:
		state->on = disk ? ON_DISK : ON_IO_URING;
		break;
	case CAUSE_IPC:
		state->on = ON_SEMAPHORE;
		break;
	}
}

#endif
