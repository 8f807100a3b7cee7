/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The registers that a thread entered the kernel with: which system call it is in, and with which arguments. Which register
 * holds what, and how a call of 32-bit code is told from others, is each architecture's own.
 */
#ifndef EBREC_REGISTERS_H
#define EBREC_REGISTERS_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "compat.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long bx;
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long cx;
	unsigned long r8;
	unsigned long r9;
	unsigned long r10;
	unsigned long ax;
	unsigned long sp;
	unsigned long ip;
	unsigned long orig_ax;
};
struct thread_info___x86 {
	__u32 status;
};
struct task_struct___x86 {
	struct thread_info___x86 thread_info;
};
/* arch/x86/include/asm/thread_info.h: in a 32-bit system call. */
#define TS_COMPAT 0x0002
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
	__u64 orig_x0;
	__s32 syscallno;
};
/* arch/arm64/include/uapi/asm/ptrace.h: it came from 32-bit code. */
#define PSR_MODE32_BIT 0x00000010
#endif

#pragma clang attribute pop

/* The helpers that the running kernel has. */
enum bpf_func_id___regs {
	BPF_FUNC_task_pt_regs___regs = 175,
};

/* The registers that a thread entered the kernel with, at the far end of its kernel stack. */
#if defined(__TARGET_ARCH_x86)
/* -1: an exception or interrupt (idtentry, since 5.8). */
#define REGS_SYSCALL_FIELD orig_ax
#define REGS_FD_FIELD	   di
#elif defined(__TARGET_ARCH_arm64)
/* -1: an exception or interrupt. */
#define REGS_SYSCALL_FIELD syscallno
#define REGS_FD_FIELD	   orig_x0
#endif
#define REGS_SYSCALL(regs) ((int)(regs)->REGS_SYSCALL_FIELD)
#define REGS_FD(regs)	   ((__u32)(regs)->REGS_FD_FIELD)

/* 16 KiB on both, where the page size is 4 KiB. Kernels before 5.15 only. */
#define THREAD_SIZE 16384

/* Where the registers are that the current thread entered the kernel with; those of a kernel thread mean nothing. */
static __always_inline void *current_registers(void)
{
	struct task_struct *task;

	if (bpf_core_enum_value_exists(enum bpf_func_id___regs, BPF_FUNC_task_pt_regs___regs))
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, stack) + THREAD_SIZE - bpf_core_type_size(struct pt_regs);
}

static __always_inline bool in_kernel_thread(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, flags) & PF_KTHREAD;
}

/* The system call that a thread is in; negative: none. For a current thread, or one that is off its CPU. */
static __always_inline int syscall_of(struct task_struct *task, __u32 *fd)
{
	struct pt_regs *regs;

	if (bpf_core_enum_value_exists(enum bpf_func_id___regs, BPF_FUNC_task_pt_regs___regs)) {
		regs = (struct pt_regs *)bpf_task_pt_regs(task);
		*fd = REGS_FD(regs);
		return REGS_SYSCALL(regs);
	}
	/* Before 5.15 (commit dd6e10fbd9fb) there was no helper. */
	regs = task->stack + THREAD_SIZE - bpf_core_type_size(struct pt_regs);
	*fd = BPF_CORE_READ(regs, REGS_FD_FIELD);
	return BPF_CORE_READ(regs, REGS_SYSCALL_FIELD);
}

/* The number and the first three arguments of the system call that a thread is in; not for calls of 32-bit code. */
struct open_call {
	__u64 arguments[3];
	__s32 number; /* negative: none */
};

/* Of a current thread, or one that is off its CPU. */
static __always_inline void read_call(struct task_struct *task, struct open_call *call)
{
	struct pt_regs *regs;

	if (bpf_core_enum_value_exists(enum bpf_func_id___regs, BPF_FUNC_task_pt_regs___regs)) {
		regs = (struct pt_regs *)bpf_task_pt_regs(task);
		call->number = REGS_SYSCALL(regs);
#if defined(__TARGET_ARCH_x86)
		call->arguments[0] = regs->di;
		call->arguments[1] = regs->si;
		call->arguments[2] = regs->dx;
#elif defined(__TARGET_ARCH_arm64)
		call->arguments[0] = regs->orig_x0;
		call->arguments[1] = regs->regs[1];
		call->arguments[2] = regs->regs[2];
#endif
		return;
	}
	regs = task->stack + THREAD_SIZE - bpf_core_type_size(struct pt_regs);
	call->number = BPF_CORE_READ(regs, REGS_SYSCALL_FIELD);
#if defined(__TARGET_ARCH_x86)
	call->arguments[0] = BPF_CORE_READ(regs, di);
	call->arguments[1] = BPF_CORE_READ(regs, si);
	call->arguments[2] = BPF_CORE_READ(regs, dx);
#elif defined(__TARGET_ARCH_arm64)
	call->arguments[0] = BPF_CORE_READ(regs, orig_x0);
	call->arguments[1] = BPF_CORE_READ(regs, regs[1]);
	call->arguments[2] = BPF_CORE_READ(regs, regs[2]);
#endif
}

/* The same of any thread: one of the kernel has no such registers, and what is in their place means nothing. */
static __always_inline __s32 task_syscall(struct task_struct *task)
{
	__u32 fd;

	return task->flags & PF_KTHREAD ? -1 : syscall_of(task, &fd);
}

/* The number of the system call that `regs` entered the kernel with; -1: none. */
static __always_inline __u64 syscall_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#elif defined(__TARGET_ARCH_arm64)
	return regs->syscallno;
#else
	return -1;
#endif
}

/* Its arguments, also where it returns; not for calls of 32-bit code. */
static __always_inline __u64 syscall_argument_1(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->di;
#elif defined(__TARGET_ARCH_arm64)
	return regs->orig_x0;
#else
	return 0;
#endif
}

static __always_inline __u64 syscall_argument_3(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->dx;
#elif defined(__TARGET_ARCH_arm64)
	return regs->regs[2];
#else
	return 0;
#endif
}

static __always_inline __u64 syscall_argument_4(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->r10;
#elif defined(__TARGET_ARCH_arm64)
	return regs->regs[3];
#else
	return 0;
#endif
}

/* The second argument of the system call that `regs` entered the kernel with; not for calls of 32-bit code. */
static __always_inline __u64 syscall_argument_2(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->si;
#elif defined(__TARGET_ARCH_arm64)
	return regs->regs[1];
#else
	return 0;
#endif
}

/* One of the first four arguments of a call of 32-bit code, also where it returns: syscall_32.tbl's convention, and AArch32's. */
static __always_inline __u32 compat_argument(struct pt_regs *regs, int number)
{
#if defined(__TARGET_ARCH_x86)
	switch (number) {
	case 1:
		return regs->bx;
	case 2:
		return regs->cx;
	case 3:
		return regs->dx;
	case 4:
		return regs->si;
	}
#elif defined(__TARGET_ARCH_arm64)
	switch (number) {
	case 1:
		return regs->orig_x0;
	case 2:
		return regs->regs[1];
	case 3:
		return regs->regs[2];
	case 4:
		return regs->regs[3];
	}
#endif
	return 0;
}

/* The first argument of the 32-bit call that a thread is in. For a current thread, or one that is off its CPU. */
static __always_inline __u32 compat_fd(struct task_struct *task)
{
	struct pt_regs *regs;

	if (bpf_core_enum_value_exists(enum bpf_func_id___regs, BPF_FUNC_task_pt_regs___regs))
		return compat_argument((struct pt_regs *)bpf_task_pt_regs(task), 1);
	regs = task->stack + THREAD_SIZE - bpf_core_type_size(struct pt_regs);
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(regs, bx);
#elif defined(__TARGET_ARCH_arm64)
	return BPF_CORE_READ(regs, orig_x0);
#else
	return 0;
#endif
}

/* Whether a task is in a system call of 32-bit code, whose numbers are others. */
static __always_inline bool is_compat(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return ((struct task_struct___x86 *)task)->thread_info.status & TS_COMPAT;
#else
	return ((struct task_struct___since_5_16 *)task)->thread_info.flags & 1 << 22; /* TIF_32BIT */
#endif
}

/* The same of the current task, which may be NULL. */
static __always_inline bool task_in_compat_call(struct task_struct *current, struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct___x86 *task;

	if (current)
		return is_compat(current);
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
#elif defined(__TARGET_ARCH_arm64)
	return regs->pstate & PSR_MODE32_BIT;
#else
	return false;
#endif
}

#endif
