/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a process is called in PID namespaces: one id in its own and in each namespace above that, up to the machine's.
 */
#ifndef EBREC_PID_NAMESPACE_H
#define EBREC_PID_NAMESPACE_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* Its id in the namespace at that level of those that it is in; 0: it is in none. */
static __always_inline __u32 pid_at_level(struct task_struct *task, __u32 level)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	struct upid id = {};

	if (level > BPF_CORE_READ(pid, level))
		return 0;
	bpf_core_read(&id, sizeof(id), &pid->numbers[level]);
	return id.nr;
}

/* Its id in its own namespace. */
static __always_inline __u32 pid_in_own_namespace(struct task_struct *task)
{
	return pid_at_level(task, BPF_CORE_READ(task, group_leader, thread_pid, level));
}

/* Its id in the namespace of that number and level; 0: it is not in it. */
static __always_inline __u32 pid_in_namespace(struct task_struct *task, __u32 inum, __u32 level)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	struct upid id = {};

	if (level > BPF_CORE_READ(pid, level))
		return 0;
	bpf_core_read(&id, sizeof(id), &pid->numbers[level]);
	return BPF_CORE_READ(id.ns, ns.inum) == inum ? id.nr : 0;
}

#endif
