// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Keeps the scope of the recording and the names in it: which processes descend from a filtered one, what every process in
 * scope is called, and which programs they run, in whose files functions are looked up. Always loaded; it hooks only what happens once in a process's life, and it closes the
 * window when its time has come.
 */
#include "ebrec.h"
#include "frame_types.h"
#include "io_calls.h"
#include "pid_namespace.h"
#include "stack_types.h"
#include "python_types.h"
#include "unwind_types.h"
#include "unwind_wanted.h"

const volatile struct scope_names {
	__u8 comms[MAX_SCOPE_COMMS][TASK_COMM_LEN];
	/* The recorder's PID namespace. */
	__u32 pid_ns_inum;
	__u32 pid_ns_level; /* 0: the machine's own */
	/* The place of this object's own ring among the rings. */
	__u32 ring;
} names SEC(".rodata.knobs") = {};

enum scope_event {
	SCOPE_BORN,
	SCOPE_NAMED,
	SCOPE_RAN,
};

struct scope_record {
	struct event_header header; /* pad: which holder of its id the process is, as in holder_of() */
	__u64 cgroup_id;
	__u64 born; /* when the process was, CLOCK_BOOTTIME: with its id it is like no other */
	__u32 ppid;
	__u32 uid;
	__u32 ns_pid;	/* in the process's own PID namespace */
	__u32 here_pid; /* in the recorder's; 0: it is not in it */
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct scope_record) == 72, "no holes");

#define PROGRAM_BYTES 512

/* A process that began to run a program. */
struct program_record {
	struct event_header header;
	__u32 ppid;
	__u32 uid;
	__u8 path[PROGRAM_BYTES];
};
_Static_assert(sizeof(struct program_record) == 32 + PROGRAM_BYTES, "no holes");

struct scope_record *export_scope_record;
struct scope_task *export_scope_task;
struct program_record *export_program_record;
enum scope_event export_scope_event;
enum loss_cause export_loss_cause;
enum io_call export_io_call;
struct cell_key *export_cell_key;
struct cell *export_cell;
struct hot_cell *export_hot_cell;
enum stream_mode export_stream_mode;
enum frame_place export_frame_place;
struct frame_key *export_frame_key;
struct frame *export_frame;
enum stack_end export_stack_end;
enum unwind_cfa export_unwind_cfa;
enum unwind_frame_pointer export_unwind_frame_pointer;
enum unwind_mapping_kind export_unwind_mapping_kind;
struct unwind_rule *export_unwind_rule;
struct unwind_page *export_unwind_page;
struct unwind_mapping *export_unwind_mapping;
struct unwind_process *export_unwind_process;
struct unwind_file *export_unwind_file;
struct python_interpreter *export_python_interpreter;
struct python_code *export_python_code;
enum python_entry export_python_entry;
struct python_thread *export_python_thread;
struct python_seen *export_python_seen;

/*
 * Ids of processes that have ended. Of an id that is given again later than after so many others, both processes are in one
 * interval only where as many end within it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u8);
} ended_ids SEC(".maps");

/*
 * One ring for all CPUs, apart from those of the probes: user space empties it before it names the records of any CPU, and a
 * storm of events does not fill it.
 */
static __always_inline void *ring_of_scope(void)
{
	__u32 place = names.ring;
	void *ring = bpf_map_lookup_elem(&rings, &place);

	if (!ring)
		count_loss(LOSS_NO_RING);
	return ring;
}

static __always_inline void announce(struct task_struct *task, enum scope_event what, const char *comm)
{
	void *ring = ring_of_scope();
	struct scope_record *record;

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, what, bpf_ktime_get_ns(), task->tgid, task->pid);
	record->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	record->born = BPF_CORE_READ(task, start_boottime);
	record->ppid = BPF_CORE_READ(task, real_parent, tgid);
	record->uid = BPF_CORE_READ(task, cred, uid.val);
	record->ns_pid = pid_in_own_namespace(task);
	record->header.pad = holder_of(task->tgid) >> PID_BITS;
	record->here_pid =
		names.pid_ns_level ? pid_in_namespace(task, names.pid_ns_inum, names.pid_ns_level) : task->tgid;
	__builtin_memset(record->comm, 0, sizeof(record->comm));
	bpf_probe_read_kernel_str(record->comm, sizeof(record->comm), comm);
	ring_submit(ring, record);
}

/* From the moment that the object is attached, so that no process is missed, until the window ends. */
static __always_inline bool is_announced(struct task_struct *task)
{
	return !*(volatile __u64 *)&epoch.end_ns && task_matches(task);
}

static __always_inline bool comm_matches(const char *comm)
{
	char name[TASK_COMM_LEN] = {};

	bpf_probe_read_kernel_str(name, sizeof(name), comm);
	for (int i = 0; i < MAX_SCOPE_COMMS; i++) {
		bool same = true;

		if (i >= config.comm_count)
			break;
		for (int j = 0; j < TASK_COMM_LEN; j++) {
			if (name[j] != names.comms[i][j]) {
				same = false;
				break;
			}
			if (!name[j])
				break;
		}
		if (same)
			return true;
	}
	return false;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(scope_fork, struct task_struct *parent, struct task_struct *child)
{
	struct scope_task own = {.born = child->start_boottime}, *inherited;
	__u32 ppid = parent->tgid, pid = child->tgid;

	if (ppid == pid)
		return 0;
	/* Before the child runs, and after the process that had the id is gone: two CPUs that count at once count for other ids. */
	if (bpf_map_lookup_elem(&ended_ids, &pid)) {
		epoch.reused[pid & (REUSED_IDS - 1)]++;
		bpf_map_delete_elem(&ended_ids, &pid);
	}
	if (config.task_filters && config.follow) {
		inherited = bpf_map_lookup_elem(&scope_tasks, &ppid);
		own.matched = inherited ? inherited->matched : 0;
	}
	/* Until it runs another program a child has its parent's name. */
	if (config.comm_count && comm_matches(child->comm))
		own.matched |= SCOPE_COMM;
	if (own.matched)
		update_or_count(&scope_tasks, &pid, &own, LOSS_STATE_FULL);
	else if (config.task_filters)
		/* The process that had the id may not be freed yet. */
		bpf_map_delete_elem(&scope_tasks, &pid);
	if (is_announced(child))
		announce(child, SCOPE_BORN, child->comm);
	return 0;
}

/* execve and prctl(PR_SET_NAME); the name is not in the task yet. */
SEC("tp_btf/task_rename")
int BPF_PROG(scope_rename, struct task_struct *task, const char *comm)
{
	struct scope_task own = {.born = task->start_boottime}, *known;
	__u32 pid = task->tgid, before;

	if (task->pid != task->tgid)
		return 0;
	if (config.comm_count) {
		known = bpf_map_lookup_elem(&scope_tasks, &pid);
		before = known ? known->matched : 0;
		own.matched = before;
		if (comm_matches(comm))
			own.matched |= SCOPE_COMM;
		else if (!config.follow)
			own.matched &= ~SCOPE_COMM;
		if (own.matched != before)
			update_or_count(&scope_tasks, &pid, &own, LOSS_STATE_FULL);
	}
	if (is_announced(task))
		announce(task, SCOPE_NAMED, comm);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(scope_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct program_record *record;
	void *ring;

	if (!is_announced(task))
		return 0;
	ring = ring_of_scope();
	if (!ring)
		return 0;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return 0;
	fill_header(&record->header, SCOPE_RAN, bpf_ktime_get_ns(), task->tgid, task->pid);
	record->ppid = BPF_CORE_READ(task, real_parent, tgid);
	record->uid = BPF_CORE_READ(task, cred, uid.val);
	__builtin_memset(record->path, 0, sizeof(record->path));
	/* A path that can't be read stays empty: no file is found by it. */
	bpf_probe_read_kernel_str(record->path, sizeof(record->path), bprm->filename);
	ring_submit(ring, record);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(scope_exit, struct task_struct *task)
{
	__u32 pid = task->tgid;
	__u8 yes = 1;

	/* The leader's end is enough: its id is free only when all of its threads are gone. An old entry makes room. */
	if (task->pid == task->tgid)
		bpf_map_update_elem(&ended_ids, &pid, &yes, BPF_ANY);
	return 0;
}

/* After the last hook that could ask for the process: its exit is still in scope for every probe. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(scope_free, struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct scope_task *known;

	if (task->pid != task->tgid || !config.task_filters)
		return 0;
	/* The kernel frees it a while after its parent has waited for it: another process may have its id by now. */
	known = bpf_map_lookup_elem(&scope_tasks, &pid);
	if (known && (!known->born || known->born == task->start_boottime))
		bpf_map_delete_elem(&scope_tasks, &pid);
	return 0;
}

/*
 * Closes the window for all programs. A timer of the kernel's own is not late where every CPU has more to do than it can,
 * as any thread would be.
 */
SEC("perf_event")
int close_window(void *ctx)
{
	__u64 now = bpf_ktime_get_ns();

	/* A CPU that was first has closed it; a timer that was set early comes again. */
	if (!window_start() || now < *(volatile __u64 *)&epoch.due_ns)
		return 0;
	*(volatile __u64 *)&epoch.end_ns = now;
	*(volatile __u64 *)&epoch.open_ns = 0;
	return 0;
}

/* Once, before the window: asks for the mappings of all processes that are there. */
SEC("iter/task")
int scope_programs(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task && task->pid == task->tgid && !(task->flags & PF_KTHREAD) && task_matches(task))
		want_mappings(task->tgid, program_of((void *)task));
	return 0;
}
