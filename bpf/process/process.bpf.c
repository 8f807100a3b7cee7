// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Processes from birth to death: every fork of a process, every exec with its arguments, every exit with its status,
 * lifetime (fork to exit), CPU time and peak memory. Times in nanoseconds, memory in pages.
 */
#include "ebrec.h"
#include "ended.h"
#include "runtime.h"

#define FILENAME_BYTES 512
/* What exec lines of build systems need; longer ones are cut and marked. A power of two, so that a mask bounds it. */
#define ARGV_BYTES 4096
enum process_event {
	PROCESS_FORK,
	PROCESS_EXEC,
	PROCESS_EXIT,
};

enum process_metric {
	PROCESS_STARTS,	  /* by parent */
	PROCESS_EXITS,	  /* by parent */
	PROCESS_LIFETIME, /* by parent; ns */
};

struct fork_record {
	struct event_header header;
	__u32 ppid;
	__u32 uid;
	__u64 cgroup_id;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct fork_record) == 56, "no holes");

struct exec_record {
	struct event_header header;
	__u32 ppid;
	__u32 uid;
	__u64 cgroup_id;
	__u8 comm[TASK_COMM_LEN];
	__u32 argv_len; /* bytes that follow the record */
	__u32 argv_cut; /* 1: there was more */
	__u8 filename[FILENAME_BYTES];
};
_Static_assert(sizeof(struct exec_record) == 64 + FILENAME_BYTES, "no holes");

struct exit_record {
	struct event_header header;
	__u32 ppid;
	__u32 uid;
	__u64 cgroup_id;
	__u64 lifetime_ns;
	__u64 cpu_ns;
	__u64 max_rss_pages;
	__u32 status; /* as wait(2) gives it */
	__u32 pad;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct exit_record) == 88, "no holes");

struct fork_record *export_fork_record;
struct exec_record *export_exec_record;
struct exit_record *export_exit_record;
enum process_event export_process_event;
enum process_metric export_process_metric;

/* Too large for the stack. */
struct exec_with_argv {
	struct exec_record record;
	__u8 argv[ARGV_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_with_argv);
} exec_scratch SEC(".maps");

/*
 * The command that ebrec was asked to run. Its process is started before the probes are attached and waits until they are: what it did until
 * its exec is no part of the command's life.
 */
struct command {
	__u64 began;
	__u64 cpu_ns; /* used before that */
	__u32 tgid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct command);
} commands SEC(".maps");

/* The command's first exec; a program that it executes later goes on with its life. */
static __always_inline void command_begins(struct task_struct *task)
{
	struct command *command;
	__u32 zero = 0;

	if (BPF_CORE_READ(task, real_parent, tgid) != config.self_tgid)
		return;
	command = bpf_map_lookup_elem(&commands, &zero);
	if (!command || command->tgid == task->tgid)
		return;
	command->began = bpf_ktime_get_ns();
	command->cpu_ns = task->se.sum_exec_runtime + unaccounted(task, command->began);
	command->tgid = task->tgid;
}

static __always_inline struct command *command_of(__u32 tgid)
{
	__u32 zero = 0;
	struct command *command = bpf_map_lookup_elem(&commands, &zero);

	return command && command->tgid == tgid ? command : NULL;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(process_clocks, struct task_struct *task)
{
	clocks_read(task);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct fork_record *record;
	void *ring;

	if (child->pid != child->tgid || !in_scope(child))
		return 0;
	counter_add(PROCESS_STARTS, parent->tgid, 0, 1);
	if (config.stream == STREAM_NONE)
		return 0;
	ring = ring_of_this_cpu();
	if (!ring)
		return 0;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return 0;
	fill_header(&record->header, PROCESS_FORK, bpf_ktime_get_ns(), child->tgid, child->pid);
	record->ppid = parent->tgid;
	record->uid = BPF_CORE_READ(child, cred, uid.val);
	record->cgroup_id = BPF_CORE_READ(child, cgroups, dfl_cgrp, kn, id);
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), child->comm);
	ring_submit(ring, record);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct exec_with_argv *scratch;
	struct exec_record *record;
	unsigned long start, end;
	__u32 zero = 0, len;
	void *ring;

	if (!in_scope(task))
		return 0;
	command_begins(task);
	if (config.stream == STREAM_NONE)
		return 0;
	ring = ring_of_this_cpu();
	scratch = bpf_map_lookup_elem(&exec_scratch, &zero);
	if (!ring || !scratch)
		return 0;
	record = &scratch->record;
	fill_header(&record->header, PROCESS_EXEC, bpf_ktime_get_ns(), task->tgid, task->pid);
	record->ppid = BPF_CORE_READ(task, real_parent, tgid);
	record->uid = BPF_CORE_READ(task, cred, uid.val);
	record->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), task->comm);
	if (bpf_probe_read_kernel_str(record->filename, sizeof(record->filename), bprm->filename) < 0) {
		record->filename[0] = 0;
		count_loss(LOSS_UNREADABLE);
	}
	start = BPF_CORE_READ(task, mm, arg_start);
	end = BPF_CORE_READ(task, mm, arg_end);
	record->argv_cut = end - start > ARGV_BYTES;
	len = record->argv_cut ? ARGV_BYTES : end - start;
	if (len > ARGV_BYTES)
		len = ARGV_BYTES;
	if (bpf_probe_read_user(scratch->argv, len, (void *)start)) {
		len = 0;
		count_loss(LOSS_UNREADABLE);
	}
	record->argv_len = len;
	ring_output(ring, scratch, sizeof(*record) + len);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct exit_record *record;
	struct command *command;
	__u64 now, lifetime, cpu;
	__u32 ppid;
	void *ring;

	if (!in_scope(task) || !ends_process(task))
		return 0;
	now = bpf_ktime_get_ns();
	ppid = BPF_CORE_READ(leader, real_parent, tgid);
	command = command_of(task->tgid);
	lifetime = now - (command ? command->began : BPF_CORE_READ(leader, start_time));
	counter_add(PROCESS_EXITS, ppid, 0, 1);
	hist_add(PROCESS_LIFETIME, ppid, 0, lifetime);
	if (config.stream == STREAM_NONE || (config.stream == STREAM_SLOW && lifetime < config.slow_ns))
		return 0;
	ring = ring_of_this_cpu();
	if (!ring)
		return 0;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return 0;
	fill_header(&record->header, PROCESS_EXIT, now, task->tgid, task->tgid);
	record->ppid = ppid;
	record->uid = BPF_CORE_READ(leader, cred, uid.val);
	record->cgroup_id = BPF_CORE_READ(leader, cgroups, dfl_cgrp, kn, id);
	record->lifetime_ns = lifetime;
	/* Threads that are gone are in signal; this one, and a leader that waits as a zombie, are not yet. */
	cpu = BPF_CORE_READ(signal, sum_sched_runtime) + task->se.sum_exec_runtime + unaccounted(task, now);
	if (leader != task)
		cpu += BPF_CORE_READ(leader, se.sum_exec_runtime);
	record->cpu_ns = command && command->cpu_ns < cpu ? cpu - command->cpu_ns : cpu;
	record->max_rss_pages = BPF_CORE_READ(signal, maxrss);
	record->status = BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT ? BPF_CORE_READ(signal, group_exit_code) :
									    BPF_CORE_READ(leader, exit_code);
	record->pad = 0;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), leader->comm);
	ring_submit(ring, record);
	return 0;
}
