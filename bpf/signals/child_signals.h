/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which process a SIGCHLD is about. Mostly it is the current one, which ends or stops. But a process that ends hands its dead
 * children over to another parent (reparent_leader() of kernel/exit.c), and a debugger its dead debuggee to the real one: then
 * the current process only passes the signal on, and siginfo says whose it is, by its id in the namespace of the parent.
 */
#ifndef EBREC_SIGNALS_CHILD_SIGNALS_H
#define EBREC_SIGNALS_CHILD_SIGNALS_H

#include "ebrec.h"

#include "pid_namespace.h"

/* Children that are looked at; of a parent with more, one that is further back is told by its id alone. */
#define MAX_CHILDREN 128

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct___family {
	struct list_head children;
	struct list_head sibling;
};

#pragma clang attribute pop

/* Whether a thread, or its process, has this id in the namespace at that level. */
static __always_inline bool is_called(struct task_struct *task, __u32 level, __u32 id)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct upid own = {};

	if (pid_at_level(task, level) == id)
		return true;
	if (level > BPF_CORE_READ(pid, level))
		return false;
	bpf_core_read(&own, sizeof(own), &pid->numbers[level]);
	return own.nr == id;
}

/* The child of a thread that has this id; NULL: there is none among the first. */
static __always_inline struct task_struct *child_called(struct task_struct *parent, __u32 level, __u32 id)
{
	struct task_struct___family *family = (void *)parent;
	__u64 head = (__u64)parent + bpf_core_field_offset(struct task_struct___family, children);
	__u64 at = (__u64)BPF_CORE_READ(family, children.next);

	for (int i = 0; i < MAX_CHILDREN; i++) {
		if (!at || at == head)
			return NULL;
		family = (void *)(at - bpf_core_field_offset(struct task_struct___family, sibling));
		if (is_called((void *)family, level, id))
			return (void *)family;
		at = (__u64)BPF_CORE_READ(family, sibling.next);
	}
	return NULL;
}

/* The process that a SIGCHLD for `parent` is about, by the id that siginfo has; NULL: it is not found. */
static __always_inline struct task_struct *child_of_signal(struct task_struct *parent, __u32 id)
{
	struct task_struct *task = (void *)bpf_get_current_task(), *child;
	__u32 level = BPF_CORE_READ(parent, thread_pid, level);

	if (is_called(task, level, id))
		return task;
	child = child_called(task, level, id);
	return child ?: child_called(parent, level, id);
}

#endif
