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

/* arch/<arch>/include/asm/ptrace.h: where the entry code leaves the number of the system call; -1: entered otherwise. */
struct pt_regs___x86 {
	unsigned long orig_ax;
};
struct pt_regs___arm64 {
	__s32 syscallno;
};

/* 5.15, commit dd6e10fbd9fb: the helper bpf_task_pt_regs. */
enum bpf_func_id___since_5_15 {
	BPF_FUNC_task_pt_regs = 175,
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

/* The system call that the task is in; -1: none, or a kernel before 5.15. */
static __always_inline __s32 task_syscall(struct task_struct *task)
{
	struct pt_regs___x86 *x86;
	struct pt_regs___arm64 *arm64;

	if (!bpf_core_enum_value_exists(enum bpf_func_id___since_5_15, BPF_FUNC_task_pt_regs))
		return -1;
	/* A kernel thread has none, and what is where its registers would be means nothing. */
	if (task->flags & PF_KTHREAD)
		return -1;
	x86 = (void *)bpf_task_pt_regs(task);
	if (bpf_core_field_exists(x86->orig_ax))
		return BPF_CORE_READ(x86, orig_ax);
	arm64 = (void *)x86;
	if (bpf_core_field_exists(arm64->syscallno))
		return BPF_CORE_READ(arm64, syscallno);
	return -1;
}

static __always_inline struct gendisk *request_disk(struct request *rq)
{
	struct request___before_5_17 *old = (void *)rq;

	if (bpf_core_field_exists(old->rq_disk))
		return old->rq_disk;
	return rq->q->disk;
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

/*
 * 5.11, commit a54895fa057c: block_rq_insert and block_rq_issue lost their first argument, the queue. User space
 * knows how many arguments the running kernel's tracepoint has (BTF of btf_trace_block_rq_issue) and says so.
 */
const volatile struct compat {
	__u8 block_rq_has_queue;
	__u8 sched_switch_has_state; /* 5.18, commit fa2c3254d7cf: sched_switch passes prev_state */
	__u8 pad[6];
} compat SEC(".rodata.compat") = {};

#endif
