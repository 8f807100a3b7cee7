// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Signals: each that is sent, by number, sender and target; each that a thread takes, with the time since it was sent,
 * in nanoseconds; each process that a signal ends, with who sent it.
 *
 * A signal that ends a process reaches its threads as SIGKILL, whatever it was: the process's exit code tells.
 */
#include "ebrec.h"
#include "child_signals.h"
#include "ended.h"
#include "pending_signals.h"
#include "pointer.h"

/* arch/<arch>/include/uapi/asm/signal.h */
#define SIGKILL 9
/* Whose default is to dump core and end: QUIT ILL TRAP ABRT BUS FPE SEGV XCPU XFSZ SYS. */
#define DUMPS_CORE                                                                                                     \
	(1U << 3 | 1U << 4 | 1U << 5 | 1U << 6 | 1U << 7 | 1U << 8 | 1U << 11 | 1U << 24 | 1U << 25 | 1U << 31)
/* include/linux/signal.h: in place of a pointer to what is known of a signal. */
#define SEND_SIG_PRIV 1

enum signals_event {
	SIGNALS_SENT,
	SIGNALS_TAKEN,
	SIGNALS_DEATH,
};

enum signals_metric {
	SIGNALS_SENDS,	   /* counter by target, signal, sender, origin, outcome */
	SIGNALS_DELIVERED, /* counter by target and signal */
	SIGNALS_DELAY,	   /* by target and signal; ns */
	SIGNALS_DEATHS,	   /* counter by target and signal */
};

/* `sub` of SIGNALS_SENDS: the sender below. */
enum send_shift {
	SEND_SIGNAL_SHIFT = 32,
	SEND_ORIGIN_SHIFT = 40,
	SEND_OUTCOME_SHIFT = 48,
};

struct signal_record {
	struct event_header header; /* the target */
	__u64 delay_ns;		    /* since it was sent, when it is taken */
	__u32 signal;
	__u32 sender_pid; /* 0: none known */
	__u32 origin;
	__u32 outcome; /* include/trace/events/signal.h: 0 delivered, 1 ignored, 2 already pending, 3 and 4 overflown */
	__u32 dumped;  /* of a death: core was dumped */
	__u32 pad;
	__u8 comm[TASK_COMM_LEN];
	__u8 sender_comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct signal_record) == 88, "no holes");

struct signal_record *export_signal_record;
enum signals_event export_signals_event;
enum signals_metric export_signals_metric;
enum signal_origin export_signal_origin;
enum send_shift export_send_shift;

static __always_inline __u32 origin_of(struct kernel_siginfo *info, __u32 signal)
{
	int code = 0;

	info = (void *)number_of(info);
	/* 0: from a process, and no more is known. */
	if ((__u64)info == SEND_SIG_PRIV)
		return ORIGIN_KERNEL;
	if (info)
		code = BPF_CORE_READ(info, si_code);
	/* include/uapi/asm-generic/siginfo.h: SI_TIMER; above 0 the kernel, CLD_EXITED to CLD_CONTINUED among it. */
	if (code == -2)
		return ORIGIN_TIMER;
	if (code <= 0)
		return ORIGIN_PROCESS;
	return signal == 17 && code <= 6 ? ORIGIN_CHILD : ORIGIN_KERNEL;
}

static __always_inline struct signal_record *new_record(void *ring, __u8 event, __u32 pid, __u32 tid, __u32 signal)
{
	struct signal_record *record = ring_reserve(ring, sizeof(*record));

	if (!record)
		return NULL;
	__builtin_memset(record, 0, sizeof(*record));
	fill_header(&record->header, event, bpf_ktime_get_ns(), pid, tid);
	record->signal = signal;
	return record;
}

static __always_inline void put_sender(struct signal_record *record, struct sender *sender)
{
	record->sender_pid = sender->pid;
	record->origin = sender->origin;
	__builtin_memcpy(record->sender_comm, sender->comm, sizeof(record->sender_comm));
}

static __always_inline void put_current(struct sender *sender)
{
	sender->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(sender->comm, sizeof(sender->comm));
}

static __always_inline void put_child(struct sender *sender, struct task_struct *parent, struct kernel_siginfo *info)
{
	__u32 id = BPF_CORE_READ(info, _sifields._sigchld._pid);
	struct task_struct *child = child_of_signal(parent, id);

	if (child) {
		sender->pid = BPF_CORE_READ(child, tgid);
		bpf_probe_read_kernel(sender->comm, sizeof(sender->comm), &child->comm);
	} else if (!BPF_CORE_READ(parent, thread_pid, level)) {
		/* The machine's own ids; user space knows the name. */
		sender->pid = id;
	}
}

SEC("tp_btf/signal_generate")
int BPF_PROG(signal_sent, int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result)
{
	struct signal_record *record;
	struct sender sender = {};
	__u32 signal = sig;
	__u64 sub;
	void *ring;

	/* Of two processes one in scope is enough, but a signal for the recorder is its own affair. */
	if (task->tgid == config.self_tgid || (!in_scope(task) && !current_in_scope()))
		return 0;
	sender.origin = origin_of(info, signal);
	/* The thread that a timer or a device interrupted did not send it. */
	if (sender.origin == ORIGIN_PROCESS)
		put_current(&sender);
	else if (sender.origin == ORIGIN_CHILD)
		put_child(&sender, task, (void *)number_of(info));
	sub = sender.pid | (__u64)signal << SEND_SIGNAL_SHIFT | (__u64)sender.origin << SEND_ORIGIN_SHIFT |
	      (__u64)result << SEND_OUTCOME_SHIFT;
	counter_add(SIGNALS_SENDS, task->tgid, sub, 1);
	/* 0: queued; 4: likewise, without what is known of it. */
	if (result == 0 || result == 4)
		remember(group ? task->group_leader : task, signal, &sender);
	if (config.stream != STREAM_ALL)
		return 0;
	ring = ring_of_this_cpu();
	if (!ring)
		return 0;
	record = new_record(ring, SIGNALS_SENT, task->tgid, task->pid, signal);
	if (!record)
		return 0;
	record->outcome = result;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), task->comm);
	put_sender(record, &sender);
	ring_submit(ring, record);
	return 0;
}

static __always_inline void taken(__u32 tgid, __u32 signal, __u64 delay, struct pending *process)
{
	struct signal_record *record;
	void *ring;

	hist_add(SIGNALS_DELAY, tgid, signal, delay);
	if (config.stream == STREAM_NONE || (config.stream == STREAM_SLOW && delay < config.slow_ns))
		return;
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	record = new_record(ring, SIGNALS_TAKEN, tgid, bpf_get_current_pid_tgid(), signal);
	if (!record)
		return;
	record->delay_ns = delay;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	if (process)
		put_sender(record, last_of(process, signal));
	ring_submit(ring, record);
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(signal_taken, int sig, struct kernel_siginfo *info, struct k_sigaction *action)
{
	__u32 signal = sig, tgid = bpf_get_current_pid_tgid() >> 32;
	struct pending *own, *process;
	struct signal_struct *shared;
	struct task_struct *task;
	__u64 since;
	bool ends;

	if (!current_in_scope_as(tgid))
		return 0;
	own = pending_of_current(false);
	process = pending_of_current(true);
	ends = signal < FIRST_QUEUED && DUMPS_CORE >> signal & 1 && !BPF_CORE_READ(action, sa.sa_handler);
	if (signal == SIGKILL && !number_of(info)) {
		/* A thread hears that its process ends, by a signal or otherwise: the first one that hears it takes it. */
		task = (void *)bpf_get_current_task();
		shared = BPF_CORE_READ(task, signal);
		if (!(BPF_CORE_READ(shared, flags) & SIGNAL_GROUP_EXIT))
			return 0;
		signal = BPF_CORE_READ(shared, group_exit_code) & 0x7f;
		if (!signal || (process && process->ended))
			return 0;
		ends = true;
	}
	if (ends && process)
		process->ended = 1;
	counter_add(SIGNALS_DELIVERED, tgid, signal, 1);
	if (signal >= FIRST_QUEUED)
		return 0;
	since = take_start(own, process, signal);
	if (since)
		taken(tgid, signal, bpf_ktime_get_ns() - since, own && is_known(last_of(own, signal)) ? own : process);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(signal_death, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct signal_struct *shared = task->signal;
	struct pending *own, *process;
	struct signal_record *record;
	__u32 status, signal;
	void *ring;

	if (!in_scope(task) || !ends_process(task))
		return 0;
	status = shared->flags & SIGNAL_GROUP_EXIT ? shared->group_exit_code : leader->exit_code;
	signal = status & 0x7f;
	if (!signal)
		return 0;
	counter_add(SIGNALS_DEATHS, leader->tgid, signal, 1);
	if (config.stream == STREAM_NONE)
		return 0;
	ring = ring_of_this_cpu();
	if (!ring)
		return 0;
	own = pending_of_current(false);
	process = pending_of_current(true);
	record = new_record(ring, SIGNALS_DEATH, leader->tgid, leader->pid, signal);
	if (!record)
		return 0;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), leader->comm);
	record->dumped = status >> 7 & 1;
	record->origin = ORIGIN_KERNEL;
	if (process && is_known(last_of(process, signal)))
		put_sender(record, last_of(process, signal));
	else if (own && is_known(last_of(own, signal)))
		put_sender(record, last_of(own, signal));
	ring_submit(ring, record);
	return 0;
}

/* Only where what is pending is in a hash: task storage goes with its task. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(signals_free, struct task_struct *task)
{
	state_forget(task);
	return 0;
}
