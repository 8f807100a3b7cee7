/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is kept of each thread: the sleep that it is in, and what it did before, so that a thread that it wakes knows what it
 * waited for.
 */
#ifndef EBREC_OFFCPU_STATE_H
#define EBREC_OFFCPU_STATE_H

#include "ebrec.h"

enum sleep {
	SLEEP_INTERRUPTIBLE,
	SLEEP_UNINTERRUPTIBLE,
	SLEEP_STOPPED, /* or traced */
	SLEEP_IDLE,    /* a kernel thread without work */
	SLEEP_OTHER,
};

/* A system call's number; negative: in none. */
enum call_bits {
	CALL_NUMBER = 0x3fff,
	CALL_COMPAT = 0x4000, /* of 32-bit code, whose numbers are others */
};

/* What a sleep is spent on, as far as the kernel shows it; user space names sockets and event files. */
enum wait_on {
	ON_OTHER,
	ON_FUTEX,
	ON_PIPE,
	ON_SOCKET,
	ON_EVENT_FILE, /* an eventfd, timerfd, inotify… */
	ON_EPOLL,
	ON_POLL, /* several descriptors at once */
	ON_FILE, /* a regular file, but no disk: a lock on it, or a file system that a process serves */
	ON_DEVICE,
	ON_CHILD,
	ON_TIMER,
	ON_SIGNAL,
	ON_PAGE,
	ON_KERNEL_LOCK,
	ON_DISK,
	ON_IO_URING,
	ON_SEMAPHORE,
	WAIT_ONS,
};

/* What ended a sleep. */
enum wait_by {
	BY_UNSEEN, /* the kernel did not show it */
	BY_THREAD,
	BY_INTERRUPT, /* of a device, or the network's */
	BY_TIMER,
	BY_NOBODY, /* the window ended first */
};

enum wait_flags {
	WAIT_CONTENDED = 0x1,	  /* the futex word says that threads wait for a lock */
	WAIT_HANDED = 0x2,	  /* the waker had itself waited there */
	WAIT_BEFORE_WINDOW = 0x4, /* it began before the window, which is as long as it counts */
	WAIT_JUDGED = 0x8,	  /* it is known whether something was open, as follows */
	WAIT_REQUEST = 0x10,	  /* on an accepted socket whose request is not answered */
	WAIT_QUESTION = 0x20,	  /* on a connecting socket whose question is not answered */
	WAIT_TALKER = 0x40,	  /* of a thread that has talked: what it had open until then is in the marks */
};

/*
 * Neighbouring sleeps of like share are one, so that four reach back further than most waits; where they don't, the rest is
 * unknown. Shares are in 1/65536.
 */
#define PAST_SLEEPS 4
#define SHARE_BITS  16
#define SHARE_WHOLE (1 << SHARE_BITS)
#define SHARE_LIKE  (SHARE_WHOLE / 16)

struct past_sleep {
	__u64 start;
	__u64 end;
	__u32 active; /* the part in which those that it waited for were active */
	__u32 unknown;
};

/* Waits for one futex with no more than this between them are one, if time-outs ended all but the last. */
#define SAME_WAIT_NS 1000000

/* Futexes that a thread waited for: more than one that hands locks on waits for in turn. */
#define FUTEXES_KEPT 4

struct task_state {
	__u64 since; /* 0: not asleep */
	__u64 kstack;
	__u64 ustack;
	__u64 woken; /* 0: not yet */
	__u64 waker_kstack;
	__u64 waker_ustack;
	__u64 target;	  /* what tells it from others that the process waits for: an address, an inode, a descriptor */
	__u64 active_ns;  /* part of the wait in which the waker was active */
	__u64 unknown_ns; /* part of the wait of which that is not known */
	__u64 contends;	  /* the lock of the kernel that it is about to wait for, or does; 0: none */
	__u64 known_since;     /* since when its sleeps are known; 0: the window's start or its birth */
	__u64 timed_out_since; /* waits for a futex that timed out and may go on; 0: there are none */
	__u64 timed_out_until; /* when the thread ran again */
	__u64 timed_out_futex;
	/* The last wait for a futex that a thread ended, and its shares: those of waits for the same one that timed out are taken to be like it. */
	__u64 ended_futex;
	__u32 ended_active;
	__u32 ended_unknown;
	__u64 request_mark;
	__u64 question_mark;
	struct past_sleep past[PAST_SLEEPS];
	__u64 futexes[FUTEXES_KEPT];
	__u32 waker_pid;
	__u32 waker_tid;
	__s32 syscall;
	__u32 owner; /* of the lock, by what the lock says; 0: it does not */
	__u32 fd;
	__u16 sleep;
	__u16 short_run;  /* sleeps under SHORT_NS since the last longer one */
	__u32 value;	  /* that the futex had when it fell asleep */
	__u32 lock_owner; /* of `contends` */
	__u8 on;	  /* enum wait_on */
	__u8 by;	  /* enum wait_by */
	__u8 cause;	  /* enum ledger_cause */
	__u8 flags;	  /* enum wait_flags */
	__u8 newest;	  /* of `past` */
	__u8 next_futex;
	__u8 pad[2];
	__u8 waker_comm[TASK_COMM_LEN];
};

/* Threads that are followed before 6.4, where they are in a hash, 408 bytes each. */
#define STATES_IN_HASH 16384

DEFINE_TASK_STATE_OF(struct task_state, STATES_IN_HASH)

/* The state of the current task, which is NULL before 5.11. */
static __always_inline struct task_state *state_of_current(struct task_struct *current)
{
	__u32 tid;

	if (config.task_storage)
		return current ? bpf_task_storage_get(&state_by_task, current, 0, 0) : NULL;
	tid = bpf_get_current_pid_tgid();
	return bpf_map_lookup_elem(&state_by_tid, &tid);
}

#endif
