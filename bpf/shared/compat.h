/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ledger of kernel changes that the probes meet: what changed, in which commit and release, and one accessor that
 * serves both shapes.
 */
#ifndef EBREC_COMPAT_H
#define EBREC_COMPAT_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

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

/* 6.18, commit e1fad12dcb66: a throttled thread leaves its run queue, when it would return to user space. */
struct task_struct___since_6_18 {
	bool throttled;
};

struct list_head {
	struct list_head *next;
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
	__u32 task_type;
	__u32 request_type;
	__u32 pad_end;
} compat SEC(".rodata.compat") = {};

/*
 * A structure of the kernel's without the verifier's trust, for reading pointers in it. For each pointer that is read out of what it
 * trusts, the verifier goes through the names of all types of the kernel up to four times (btf_nested_type_is_trusted() in
 * kernel/bpf/verifier.c), which takes a millisecond at every visit.
 */
#define untrusted(pointer, number)                                                                                     \
	(bpf_ksym_exists(bpf_rdonly_cast) && (number) ? bpf_rdonly_cast(pointer, number) : (void *)(pointer))

static __always_inline struct task_struct *untrusted_task(struct task_struct *task)
{
	return untrusted(task, compat.task_type);
}

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

/* include/uapi/linux/stat.h */
#define S_IFMT	 0170000
#define S_IFIFO	 0010000
#define S_IFCHR	 0020000
#define S_IFDIR	 0040000
#define S_IFBLK	 0060000
#define S_IFREG	 0100000
#define S_IFSOCK 0140000
/* include/uapi/linux/magic.h */
#define ANON_INODE_FS_MAGIC 0x09041934

/* The mode and the inode of what is behind a descriptor of the current task, which may be NULL; 0 and NULL: nothing. */
static __always_inline __u16 mode_of_fd(struct task_struct *current, __u32 fd, struct inode **inode)
{
	struct task_struct *task;
	struct fdtable *table;

	*inode = NULL;
	if (current) {
		table = untrusted_task(current)->files->fdt;
		return fd < table->max_fds ? mode_of_file(table->fd + fd, inode) : 0;
	}
	task = (void *)bpf_get_current_task();
	table = BPF_CORE_READ(task, files, fdt);
	return fd < BPF_CORE_READ(table, max_fds) ? mode_of_file(BPF_CORE_READ(table, fd) + fd, inode) : 0;
}

#endif
