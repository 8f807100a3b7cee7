/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who ended a sleep. sched_waking runs in whatever context the wake-up came from: an interrupt's is the thread that it met. A thread
 * counts as the waker only if the system call that it is in can have ended such a sleep.
 */
#ifndef EBREC_OFFCPU_WAKERS_H
#define EBREC_OFFCPU_WAKERS_H

#include "ebrec.h"

#include "state.h"
#include "wait_cause.h"

/* What a waker is in: one of enum ledger_cause, or one of these. */
enum waker_call {
	CALL_SIGNAL = CAUSES, /* kill(2) and its like */
	CALL_KERNEL,	      /* a thread of the kernel */
	CALL_NONE,	      /* user space, or a page fault: an interrupt's victim, if nothing else fits */
	CALL_UNKNOWN,	      /* one of 32-bit code */
	WAKER_CALLS,
};
_Static_assert(WAKER_CALLS < 32, "one bit each, and one more");

#define BIT(n) (1U << (n))
/* What any sleep can be ended by. */
#define ANY_WAKER (BIT(CALL_SIGNAL) | BIT(CALL_UNKNOWN))
/* What moves bytes, or closes a descriptor. */
#define IO_WAKERS                                                                                                      \
	(ANY_WAKER | BIT(CAUSE_READ) | BIT(CAUSE_WRITE) | BIT(CAUSE_COPY) | BIT(CAUSE_SOCKET) | BIT(CAUSE_FILES) |     \
	 BIT(CAUSE_EXIT) | BIT(CAUSE_EXEC) | BIT(CAUSE_ASYNC_IO) | BIT(CAUSE_IOCTL))
#define KERNEL_WAKERS (BIT(WAKER_CALLS) - 1 - BIT(CALL_NONE))
/* No interrupt ends such a wait but a timer's. */
#define TIMED BIT(31)

/* clang-format off */
static const __u32 can_end[32] = {
	[ON_OTHER] = KERNEL_WAKERS,
	[ON_FUTEX] = TIMED | ANY_WAKER | BIT(CAUSE_FUTEX) | BIT(CAUSE_EXIT) | BIT(CAUSE_EXEC),
	[ON_PIPE] = TIMED | IO_WAKERS,
	[ON_SOCKET] = IO_WAKERS,
	[ON_EVENT_FILE] = IO_WAKERS | BIT(CAUSE_FORK) | BIT(CAUSE_FUTEX),
	[ON_EPOLL] = IO_WAKERS | BIT(CAUSE_FORK),
	[ON_POLL] = IO_WAKERS | BIT(CAUSE_FORK),
	[ON_FILE] = KERNEL_WAKERS,
	[ON_DEVICE] = KERNEL_WAKERS,
	[ON_CHILD] = TIMED | ANY_WAKER | BIT(CAUSE_EXIT),
	[ON_TIMER] = TIMED | ANY_WAKER,
	[ON_SIGNAL] = TIMED | ANY_WAKER | BIT(CAUSE_EXIT),
	[ON_PAGE] = BIT(CALL_KERNEL),
	[ON_KERNEL_LOCK] = BIT(WAKER_CALLS) - 1,
	[ON_DISK] = BIT(CALL_KERNEL),
	[ON_IO_URING] = KERNEL_WAKERS,
	[ON_SEMAPHORE] = TIMED | ANY_WAKER | BIT(CAUSE_IPC) | BIT(CAUSE_EXIT),
};
/* clang-format on */

#if defined(__TARGET_ARCH_x86)
/* kill rt_sigqueueinfo tkill tgkill rt_tgsigqueueinfo pidfd_send_signal */
#define SENDS_SIGNAL(nr) ((nr) == 62 || (nr) == 129 || (nr) == 200 || (nr) == 234 || (nr) == 297 || (nr) == 424)
#else
/* kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal */
#define SENDS_SIGNAL(nr) (((nr) >= 129 && (nr) <= 131) || (nr) == 138 || (nr) == 240 || (nr) == 424)
#endif

/* What the current thread is in; `current` is NULL before 5.11. */
static __always_inline __u32 waker_call(struct task_struct *current)
{
	struct task_struct *task;
	struct pt_regs *regs;
	__u32 flags, fd;
	int nr;

	if (current) {
		flags = current->flags;
		nr = syscall_of(current, &fd);
	} else {
		task = (void *)bpf_get_current_task();
		flags = BPF_CORE_READ(task, flags);
		regs = BPF_CORE_READ(task, stack) + THREAD_SIZE - bpf_core_type_size(struct pt_regs);
		nr = BPF_CORE_READ(regs, REGS_SYSCALL_FIELD);
	}
	if (flags & PF_KTHREAD)
		return CALL_KERNEL;
	if (flags & (PF_IO_WORKER | PF_USER_WORKER))
		return CAUSE_ASYNC_IO;
	if (flags & PF_EXITING)
		return CAUSE_EXIT;
	if (nr < 0)
		return CALL_NONE;
	if (current && is_compat(current))
		return CALL_UNKNOWN;
	if (SENDS_SIGNAL(nr))
		return CALL_SIGNAL;
	return native_cause(nr);
}

/* Whether the current thread ended the sleep, or a timer or another interrupt did. */
static __always_inline enum wait_by ended_by(struct task_state *state, struct task_struct *current)
{
	__u32 call = waker_call(current), on = state->on;

	if (on >= WAIT_ONS)
		return BY_UNSEEN;
	barrier_var(on);
	if (can_end[on & 31] >> (call & 31) & 1)
		return BY_THREAD;
	/* A child that stops, as one that is traced does at each call, has its new state before it tells its parent or tracer. */
	if (on == ON_CHILD && current && task_state(current) & TASK_STOPPED_OR_TRACED)
		return BY_THREAD;
	return can_end[on & 31] & TIMED ? BY_TIMER : BY_INTERRUPT;
}

/* Whether a waker had waited for this futex itself. */
static __always_inline bool waited_there(struct task_state *waker, __u64 futex)
{
	return waker->futexes[0] == futex || waker->futexes[1] == futex || waker->futexes[2] == futex ||
	       waker->futexes[3] == futex;
}

static __always_inline void remember_futex(struct task_state *state, __u64 futex)
{
	__u32 next = state->next_futex & (FUTEXES_KEPT - 1);

	if (waited_there(state, futex))
		return;
	state->futexes[next] = futex;
	state->next_futex = next + 1;
}

#endif
