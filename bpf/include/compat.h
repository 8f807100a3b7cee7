/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ledger of kernel changes that the probes meet: what changed, in which commit and release, and one accessor that
 * serves both shapes.
 */
#ifndef EBREC_COMPAT_H
#define EBREC_COMPAT_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* 5.14, commit 2f064a59a11f: task_struct.state (long) became __state (unsigned int). */
struct task_struct___before_5_14 {
	long state;
};
struct task_struct___since_5_14 {
	unsigned int __state;
};

/* 5.16, commit bcf9033e5449: task_struct.cpu moved back into thread_info. */
struct task_struct___before_5_16 {
	unsigned int cpu;
};
struct thread_info {
	unsigned int cpu;
	unsigned long flags;
	__u32 status; /* x86 */
};
struct task_struct___since_5_16 {
	struct thread_info thread_info;
};

/* 5.17, commit f3fa33acca9f: request.rq_disk went; the disk is the queue's. */
struct request___before_5_17 {
	struct gendisk *rq_disk;
};

/* 6.1, commit 7f203bc89eb6: cgroup.ancestor_ids[] (numbers) became ancestors[] (pointers). */
struct cgroup___before_6_1 {
	__u64 ancestor_ids[0];
};
struct cgroup___since_6_1 {
	struct cgroup *ancestors[0];
};

/* Which registers hold what, and how a call of 32-bit code is told from others, is each architecture's own. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
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
	__u64 pstate;
	__u64 orig_x0;
	__s32 syscallno;
};
/* arch/arm64/include/uapi/asm/ptrace.h: it came from 32-bit code. */
#define PSR_MODE32_BIT 0x00000010
#endif

/* 5.11, commit 3ca1032ab7ab: the helper that gives the current task as a typed pointer. */
enum bpf_func_id___task_btf {
	BPF_FUNC_get_current_task_btf___task_btf = 158,
};

/* 6.2, commit f1a7941243c1: mm_rss_stat with atomics became an array of per-CPU counters. */
struct mm_rss_stat {
	atomic64_t count[4];
};
struct mm_struct___before_6_2 {
	struct mm_rss_stat rss_stat;
};
struct percpu_counter {
	__s64 count;
};
struct list_head {
	struct list_head *next;
};
struct mm_struct___since_6_2 {
	struct percpu_counter rss_stat[4];
};

/* 6.9, commit 72ba14deb40a, and stable kernels that took it: mark_victim passes the task, and no longer its number. */
struct trace_event_raw_mark_victim {
	__u32 uid;
};

/* 6.17, commit ad892e912b84: tcp_retransmit_skb passes the error, and comes for attempts that were not sent too. */
struct trace_event_raw_tcp_retransmit_skb {
	int err;
};

#pragma clang attribute pop

/* 0: still runnable. The task is one of the tracepoint's own arguments, so it is read without a helper. */
static __always_inline __u32 task_state(struct task_struct *task)
{
	struct task_struct___since_5_14 *new = (void *)task;
	struct task_struct___before_5_14 *old = (void *)task;

	if (bpf_core_field_exists(new->__state))
		return new->__state;
	return old->state;
}

static __always_inline __u32 task_cpu(struct task_struct *task)
{
	struct task_struct___since_5_16 *new = (void *)task;
	struct task_struct___before_5_16 *old = (void *)task;

	if (bpf_core_field_exists(old->cpu))
		return old->cpu;
	return new->thread_info.cpu;
}

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

/* The system call that a thread is in; negative: none. For a current thread, or one that is off its CPU. */
static __always_inline int syscall_of(struct task_struct *task, __u32 *fd)
{
	struct pt_regs___entry *regs;

	if (bpf_core_enum_value_exists(enum bpf_func_id___regs, BPF_FUNC_task_pt_regs___regs)) {
		regs = (struct pt_regs___entry *)bpf_task_pt_regs(task);
		*fd = REGS_FD(regs);
		return REGS_SYSCALL(regs);
	}
	/* Before 5.15 (commit dd6e10fbd9fb) there was no helper. */
	regs = task->stack + THREAD_SIZE - bpf_core_type_size(struct pt_regs);
	*fd = BPF_CORE_READ(regs, REGS_FD_FIELD);
	return BPF_CORE_READ(regs, REGS_SYSCALL_FIELD);
}

/* The same of any thread: one of the kernel has no such registers, and what is in their place means nothing. */
static __always_inline __s32 task_syscall(struct task_struct *task)
{
	__u32 fd;

	return task->flags & PF_KTHREAD ? -1 : syscall_of(task, &fd);
}

static __always_inline struct gendisk *request_disk(struct request *rq)
{
	struct request___before_5_17 *old = (void *)rq;

	if (bpf_core_field_exists(old->rq_disk))
		return BPF_CORE_READ(old, rq_disk);
	return BPF_CORE_READ(rq, q, disk);
}

static __always_inline __u64 cgroup_ancestor_id(struct cgroup *cgrp, __u32 level)
{
	struct cgroup___since_6_1 *new = (void *)cgrp;
	struct cgroup___before_6_1 *old = (void *)cgrp;
	struct cgroup *ancestor = NULL;
	__u64 id = 0;

	/* The barriers keep the compiler from computing both addresses first: one of them does not exist here. */
	if (bpf_core_field_exists(new->ancestors)) {
		barrier_var(new);
		bpf_core_read(&ancestor, sizeof(ancestor), &new->ancestors[level]);
		return BPF_CORE_READ(ancestor, kn, id);
	}
	barrier_var(old);
	bpf_core_read(&id, sizeof(id), &old->ancestor_ids[level]);
	return id;
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

/* The current task, whose members are then read as cheaply as those of a tracepoint's argument; before 5.11 there is none. */
static __always_inline struct task_struct *current_task(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id___task_btf, BPF_FUNC_get_current_task_btf___task_btf))
		return bpf_get_current_task_btf();
	return NULL;
}

/* As bpf_get_current_pid_tgid() gives it; reading it in the task costs no call. `current` may be NULL. */
static __always_inline __u64 who_is(struct task_struct *current)
{
	if (current)
		return (__u64)current->tgid << 32 | (__u32)current->pid;
	return bpf_get_current_pid_tgid();
}

/* Whether the current task is in a system call of 32-bit code, whose numbers are others. `current` may be NULL. */
static __always_inline bool task_in_compat_call(struct task_struct *current, struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct___x86 *task = (void *)current;

	if (task)
		return task->thread_info.status & TS_COMPAT;
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
#elif defined(__TARGET_ARCH_arm64)
	return regs->pstate & PSR_MODE32_BIT;
#else
	return false;
#endif
}

/* include/linux/mm_types_task.h */
enum mm_counter {
	MM_FILEPAGES,
	MM_ANONPAGES,
	MM_SWAPENTS,
	MM_SHMEMPAGES,
};

/* Pages of one sort, as the kernel's own messages give them: without what CPUs have not added up yet. */
static __always_inline __u64 mm_pages(struct mm_struct *mm, enum mm_counter sort)
{
	struct mm_struct___since_6_2 *new = (void *)mm;
	struct mm_struct___before_6_2 *old = (void *)mm;
	__s64 pages = 0;

	if (bpf_core_field_exists(old->rss_stat.count)) {
		barrier_var(old);
		bpf_core_read(&pages, sizeof(pages), &old->rss_stat.count[sort]);
	} else {
		barrier_var(new);
		/* The size of an element is the kernel's: only a constant index would be scaled by it. */
		bpf_probe_read_kernel(&pages, sizeof(pages),
				      (void *)new + bpf_core_field_offset(new->rss_stat) +
					      sort *bpf_core_type_size(struct percpu_counter) +
					      bpf_core_field_offset(struct percpu_counter, count));
	}
	return pages > 0 ? pages : 0;
}

static __always_inline bool mark_victim_has_task(void)
{
	struct trace_event_raw_mark_victim *entry = NULL;

	return bpf_core_field_exists(entry->uid);
}

static __always_inline bool tcp_retransmit_has_error(void)
{
	struct trace_event_raw_tcp_retransmit_skb *entry = NULL;

	return bpf_core_field_exists(entry->err);
}

/*
 * 6.2, commit a35b9af4ec2c: a number becomes a pointer to a type of the kernel's, whose members are then read without a
 * call. Where memory is none, the kernel reads zeroes.
 */
extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym __weak;

/*
 * 5.11, commit a54895fa057c, and later 5.10 kernels: block_rq_insert, _issue and _merge lost their first argument, the
 * queue. User space asks the kernel's type information how many there are (src/bpf/compat.rs).
 */
const volatile struct compat {
	__u8 block_rq_has_queue;
	__u8 sched_switch_has_state; /* 5.18, commit fa2c3254d7cf: sched_switch passes prev_state */
	__u8 pad[2];
	/* Numbers of types of the kernel's, where it can cast to them; else 0. */
	__u32 file_type;
	__u32 pointer_type; /* of a structure that begins with a pointer: struct list_head */
	__u32 pad_end;
} compat SEC(".rodata.compat") = {};

/* The mode and the inode of the file that a descriptor's place leads to. */
static __always_inline __u16 mode_of_file(struct file **place, struct inode **inode)
{
	struct file *file = NULL;
	struct list_head *start;

	if (bpf_ksym_exists(bpf_rdonly_cast) && compat.file_type) {
		start = bpf_rdonly_cast(place, compat.pointer_type);
		file = bpf_rdonly_cast(start->next, compat.file_type);
		*inode = file->f_inode;
		return (*inode)->i_mode;
	}
	bpf_probe_read_kernel(&file, sizeof(file), place);
	*inode = BPF_CORE_READ(file, f_inode);
	return BPF_CORE_READ(*inode, i_mode);
}

#endif
