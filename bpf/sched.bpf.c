// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The scheduler: how long runnable threads waited for a CPU (wake-up or preemption to switch-in), how long they then
 * ran (switch-in to switch-out), how each slice ended, and moves between CPUs. All times in nanoseconds.
 */
#include "ebrec.h"

enum sched_event {
	SCHED_WAKEUP,
	SCHED_SLICE,
	SCHED_MIGRATION,
};

enum sched_metric {
	SCHED_RUNQUEUE_LATENCY, /* by process */
	SCHED_SLICE_TIME,	/* by process and enum slice_end; whole slices */
	SCHED_ON_CPU,		/* likewise, a counter; of slices that began before the window, their part inside */
	SCHED_SWITCHES,		/* user space derives it from the two above */
	SCHED_MIGRATIONS,	/* counter by process */
};

/* As the kernel counts context switches: a thread that is still runnable did not want to go. */
enum slice_end {
	SLICE_VOLUNTARY,
	SLICE_INVOLUNTARY,
};

struct wakeup_record {
	struct event_header header; /* the thread that waited; ts is when it got the CPU */
	__u64 waited_ns;
	__u32 prio;
	__u32 waker_pid;
	__u32 waker_tid;
	__u32 prev_pid; /* who had the CPU until now */
	__u32 prev_tid;
	__u32 pad;
	__u8 comm[TASK_COMM_LEN];
	__u8 prev_comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct wakeup_record) == 88, "no holes");

struct slice_record {
	struct event_header header;
	__u64 ran_ns;
	__u32 state; /* the thread's state when it left the CPU; 0: still runnable */
	__u32 prio;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct slice_record) == 56, "no holes");

struct migration_record {
	struct event_header header;
	__u32 from_cpu;
	__u32 to_cpu;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct migration_record) == 48, "no holes");

struct wakeup_record *export_wakeup_record;
struct slice_record *export_slice_record;
struct migration_record *export_migration_record;
enum sched_event export_sched_event;
enum sched_metric export_sched_metric;
enum slice_end export_slice_end;

/* When a thread became runnable, and who made it so (0: it was preempted). */
struct task_state {
	__u64 runnable_since;
	__u32 waker_pid;
	__u32 waker_tid;
};
DEFINE_TASK_STATE(struct task_state)

/* The thread that each CPU runs, since when. */
struct running {
	__u64 since;
	__u32 pid; /* 0: idle, or not in scope */
	__u32 tid;
};
struct running *export_running;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct running);
} running SEC(".maps");

static __always_inline void became_runnable(struct task_struct *task)
{
	struct task_state *state;
	__u64 waker;

	/* Woken before it had left its CPU: it does not wait for one. */
	if (task->on_cpu || !in_scope(task))
		return;
	state = state_of(task, true);
	if (!state)
		return;
	waker = bpf_get_current_pid_tgid();
	state->waker_pid = waker >> 32;
	state->waker_tid = waker;
	state->runnable_since = bpf_ktime_get_ns();
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_wakeup, struct task_struct *task)
{
	became_runnable(task);
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(sched_wakeup_new, struct task_struct *task)
{
	became_runnable(task);
	return 0;
}

static __always_inline void stream_slice(struct task_struct *task, __u64 now, __u64 ran, __u32 left_in)
{
	void *ring = ring_of_this_cpu();
	struct slice_record *record;

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, SCHED_SLICE, now, task->tgid, task->pid);
	record->ran_ns = ran;
	record->state = left_in;
	record->prio = task->prio;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), task->comm);
	ring_submit(ring, record);
}

static __always_inline void stream_wakeup(struct task_struct *task, struct task_struct *prev, struct task_state *state,
					  __u64 now, __u64 waited)
{
	void *ring = ring_of_this_cpu();
	struct wakeup_record *record;

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, SCHED_WAKEUP, now, task->tgid, task->pid);
	record->waited_ns = waited;
	record->prio = task->prio;
	record->waker_pid = state->waker_pid;
	record->waker_tid = state->waker_tid;
	record->prev_pid = prev->tgid;
	record->prev_tid = prev->pid;
	record->pad = 0;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), task->comm);
	bpf_probe_read_kernel(record->prev_comm, sizeof(record->prev_comm), prev->comm);
	ring_submit(ring, record);
}

/* The slice of the thread that leaves the CPU. */
static __always_inline void left_cpu(struct task_struct *task, struct running *here, __u64 now, bool preempted,
				     __u32 left_in)
{
	bool runnable = preempted || left_in == TASK_RUNNING;
	enum slice_end end = runnable ? SLICE_INVOLUNTARY : SLICE_VOLUNTARY;
	struct task_state *state;

	if (here->since < window_start()) {
		counter_add(SCHED_ON_CPU, task->tgid, end, now - window_start());
	} else if (here->tid != task->pid) {
		count_loss(LOSS_START_UNSEEN);
	} else {
		hist_add(SCHED_SLICE_TIME, task->tgid, end, now - here->since);
		if (config.stream == STREAM_ALL)
			stream_slice(task, now, now - here->since, runnable ? TASK_RUNNING : left_in);
	}
	if (runnable) {
		state = state_of(task, true);
		if (state) {
			state->waker_pid = 0;
			state->waker_tid = 0;
			state->runnable_since = now;
		}
	}
}

static __always_inline void got_cpu(struct task_struct *task, struct task_struct *prev, __u64 now)
{
	struct task_state *state = state_of(task, false);
	__u64 waited;

	if (!state || !state->runnable_since)
		return;
	waited = now - state->runnable_since;
	state->runnable_since = 0;
	hist_add(SCHED_RUNQUEUE_LATENCY, task->tgid, 0, waited);
	if (config.stream == STREAM_ALL || (config.stream == STREAM_SLOW && waited >= config.slow_ns))
		stream_wakeup(task, prev, state, now, waited);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 zero = 0;
	struct running *here = bpf_map_lookup_elem(&running, &zero);
	bool known;
	__u64 now;

	if (!here)
		return 0;
	now = bpf_ktime_get_ns();
	if (prev->pid && in_scope(prev))
		left_cpu(prev, here, now, preempt, compat.sched_switch_has_state ? ctx[3] : task_state(prev));
	known = next->pid && in_scope(next);
	here->tid = next->pid;
	here->pid = known ? next->tgid : 0;
	here->since = now;
	if (known)
		got_cpu(next, prev, now);
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(sched_migrate_task, struct task_struct *task, int dest_cpu)
{
	struct migration_record *record;
	void *ring;

	if (!in_scope(task))
		return 0;
	counter_add(SCHED_MIGRATIONS, task->tgid, 0, 1);
	if (config.stream != STREAM_ALL)
		return 0;
	ring = ring_of_this_cpu();
	if (!ring)
		return 0;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return 0;
	fill_header(&record->header, SCHED_MIGRATION, bpf_ktime_get_ns(), task->tgid, task->pid);
	record->from_cpu = task_cpu(task);
	record->to_cpu = dest_cpu;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), task->comm);
	ring_submit(ring, record);
	return 0;
}

/* Only where start times are in a hash: task storage goes with its task. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(sched_free, struct task_struct *task)
{
	state_forget(task);
	return 0;
}
