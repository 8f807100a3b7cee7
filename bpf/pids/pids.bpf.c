// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a reader of this can't see from within its namespaces: the machine's ids of processes, by which all other programs
 * know them, beside those of its PID namespace, and how deep in the machine's hierarchy its control group is. Loaded only where
 * the two differ.
 */
#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "pid_namespace.h"

struct pid_line {
	__u32 machine;
	__u32 here;
	__u32 level;	    /* of the reader's namespace; the machine's own has 0 */
	__u32 cgroup_level; /* of the reader's control group; the root's is 0 */
};
_Static_assert(sizeof(struct pid_line) == 16, "no holes");

struct pid_line *export_pid_line;

/* The kernel's own walk shows the processes of the reader's namespace and of those below it. */
SEC("iter/task")
int pids_walk(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *reader = (void *)bpf_get_current_task();
	struct pid_line line = {};

	if (!task || task->pid != task->tgid)
		return 0;
	line.level = BPF_CORE_READ(reader, thread_pid, level);
	line.cgroup_level = BPF_CORE_READ(reader, cgroups, dfl_cgrp, level);
	line.machine = task->tgid;
	line.here = pid_at_level(task, line.level);
	bpf_seq_write(ctx->meta->seq, &line, sizeof(line));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
