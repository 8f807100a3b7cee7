/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which tasks a recording is about. The same filter stands before every probe; what it rules out costs one branch per
 * filter that is set, and nothing where none is.
 */
#ifndef EBREC_FILTER_H
#define EBREC_FILTER_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "compat.h"
#include "config.h"

struct scope_task {
	__u64 born;    /* CLOCK_BOOTTIME ns; 0: before the recording */
	__u32 matched; /* SCOPE_* bits */
	__u32 pad;
};

/*
 * Processes that matched --pid or --comm, or descend from one that did (SCOPE_* bits by process id). Filled by user
 * space at the start and kept by scope.bpf.c; one map for all objects. 65,536 is more than a machine runs at once
 * under the default pid_max of 32,768 or a container's pids.max.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct scope_task);
} scope_tasks SEC(".maps");

/* Whatever the time: within the window and after it. */
static __always_inline bool process_matches(__u32 tgid)
{
	struct scope_task *known;

	if (tgid == config.self_tgid)
		return false;
	if (!config.task_filters)
		return true;
	known = bpf_map_lookup_elem(&scope_tasks, &tgid);
	return known && (known->matched & config.task_filters) == config.task_filters;
}

static __always_inline bool process_in_scope(__u32 tgid)
{
	return window_start() && process_matches(tgid);
}

static __always_inline bool uid_in_scope(__u32 uid)
{
	for (int i = 0; i < MAX_SCOPE_UIDS; i++)
		if (i < config.uid_count && config.uids[i] == uid)
			return true;
	return false;
}

/* Whatever the time: within the window and after it. */
static __always_inline bool task_matches(struct task_struct *task)
{
	if (!process_matches(task->tgid))
		return false;
	if (config.uid_count && !uid_in_scope(BPF_CORE_READ(task, cred, uid.val)))
		return false;
	if (config.cgroup_count) {
		struct cgroup *cgrp = BPF_CORE_READ(task, cgroups, dfl_cgrp);
		__u32 depth = BPF_CORE_READ(cgrp, level);

		for (int i = 0; i < MAX_SCOPE_CGROUPS; i++)
			if (i < config.cgroup_count && config.cgroups[i].level <= depth &&
			    cgroup_ancestor_id(cgrp, config.cgroups[i].level) == config.cgroups[i].id)
				return true;
		return false;
	}
	return true;
}

/* Any task that the tracepoint handed over; for the current one, current_in_scope() is as good and needs no pointer. */
static __always_inline bool in_scope(struct task_struct *task)
{
	return window_start() && task_matches(task);
}

/* Any task whose totals are kept, as totals_start() has it. */
static __always_inline bool in_totals(struct task_struct *task)
{
	return totals_start() && task_matches(task);
}

/* The current task, by a caller that has its process at hand, whatever the time. */
static __always_inline bool current_matches_as(__u32 tgid)
{
	if (!process_matches(tgid))
		return false;
	if (config.uid_count && !uid_in_scope(bpf_get_current_uid_gid()))
		return false;
	if (config.cgroup_count) {
		for (int i = 0; i < MAX_SCOPE_CGROUPS; i++)
			if (i < config.cgroup_count &&
			    bpf_get_current_ancestor_cgroup_id(config.cgroups[i].level) == config.cgroups[i].id)
				return true;
		return false;
	}
	return true;
}

/* The current task, by a caller that has its process at hand: asking for it twice costs as much as a filter. */
static __always_inline bool current_in_scope_as(__u32 tgid)
{
	return window_start() && current_matches_as(tgid);
}

/* What belongs to no process is in scope when no process is chosen. */
static __always_inline bool nobody_matches(void)
{
	return !config.task_filters && !config.uid_count && !config.cgroup_count;
}

/* The current task, whatever the time. */
static __always_inline bool current_matches(void)
{
	return current_matches_as(bpf_get_current_pid_tgid() >> 32);
}

static __always_inline bool current_in_scope(void)
{
	return window_start() && current_matches();
}

#endif
