// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The scheduler: how long runnable threads waited for a CPU (wake-up or preemption to switch-in), how long they then
 * ran (switch-in to switch-out), how each slice ended, and moves between CPUs; and the ledger: for every thread and CPU,
 * how long it was in which state. All times in nanoseconds.
 */
/* All of them run with interrupts off. */
#define HOOKS_DO_NOT_NEST
#include "ebrec.h"

#include "runtime.h"
#include "cpu_ledger.h"
#include "ledger.h"
#include "ledger_locks.h"
#include "records.h"
#include "slices.h"

struct wakeup_record *export_wakeup_record;
struct slice_record *export_slice_record;
struct migration_record *export_migration_record;
struct death_record *export_death_record;
struct thread_line *export_thread_line;
struct ledger *export_ledger;
struct running *export_running;
enum sched_event export_sched_event;
enum sched_metric export_sched_metric;
enum slice_end export_slice_end;
enum ledger_slot export_ledger_slot;
enum ledger_cause export_ledger_cause;

static __always_inline void became_runnable(struct task_struct *task, bool born)
{
	struct ledger *ledger;
	__u64 now, waker;
	__u32 was;

	/* Woken before it had left its CPU: it does not wait for one. */
	if (task->on_cpu || !in_totals(task))
		return;
	ledger = state_of(task, true);
	if (!ledger || ledger->slot == SLOT_RUNNABLE || ledger->slot == SLOT_THROTTLED)
		return;
	now = within_window(bpf_ktime_get_ns());
	if (ledger->slot == SLOT_ON_CPU)
		ledger->slot = SLOT_UNSEEN;
	/* Only a thread without events needs to be asked what it did; its registers are those of its wait. */
	was = SLOT_RUNNABLE;
	if (!ledger->since && !born)
		was = cause_of_wait(task) +
		      (BPF_CORE_READ_BITFIELD(task, in_iowait) ? SLOT_UNINTERRUPTIBLE : SLOT_INTERRUPTIBLE);
	ledger_move(ledger, task, was, queued_in(task), now);
	waker = bpf_get_current_pid_tgid();
	ledger->waker_pid = waker >> 32;
	ledger->waker_tid = waker;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_wakeup, struct task_struct *task)
{
	became_runnable(task, false);
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(sched_wakeup_new, struct task_struct *task)
{
	clocks_read(task);
	became_runnable(task, true);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 zero = 0;
	struct running *here = bpf_map_lookup_elem(&running, &zero);
	__u64 now;

	if (!here || !totals_start())
		return 0;
	now = within_window(bpf_ktime_get_ns());
	if (prev->pid && here->task != (__u64)prev && here->since >= totals_start())
		make_up(here, prev, now);
	close_cpu(here, prev, now);
	if (prev->pid && in_totals(prev))
		left_cpu(prev, here, now, preempt, compat.sched_switch_has_state ? ctx[3] : task_state(prev));
	here->tid = next->pid;
	here->task = (__u64)next;
	here->since = now;
	if (next->pid && in_totals(next))
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
	if (config.stream != STREAM_ALL || !row_is_drawn())
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

/*
 * Tells every thread's ledger, also of threads that no event was seen of: those have been in one state since the
 * window began, or since their birth. The whole ledger goes out as it is; user space takes differences.
 */
SEC("iter/task")
int sched_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	struct thread_line line = {};
	const struct ledger *told = &no_state;
	struct ledger *ledger;
	__u32 slot = SLOT_NONE, bits;
	__u64 since = 0, now, ran;

	if (!task || !task_matches(task))
		return 0;
	bits = task_state(task);
	/* Also makes room here, where memory can be had, and not at a first event under a lock: all that goes on before the window. */
	ledger = state_of(task, true);
	if (!totals_start())
		return 0;
	if (ledger) {
		told = ledger;
		since = ledger->since;
		slot = ledger->slot;
	}
	if (slot == SLOT_GONE || bits & TASK_DEAD_OR_ZOMBIE)
		return 0;
	if (!since) {
		slot = ledger ? ledger->first : SLOT_NONE;
		if (slot == SLOT_NONE)
			slot = task->on_cpu ? SLOT_ON_CPU : bits ? slot_of_sleep(task, bits, ledger) : queued_in(task);
		/* What is told now must be what its first event adds. */
		if (ledger) {
			ledger->first = slot;
			ledger_is_of(ledger, task);
		}
	} else {
		now = bpf_ktime_get_ns();
		ran = slot == SLOT_RUNNABLE && task->on_cpu ? slice_by_account(task) : 0;
		if (ran)
			line.came = now - ran - unaccounted(task, now);
		slot = slot == SLOT_ON_CPU && !task->on_cpu && now - since > SWITCH_IN_NS ? SLOT_UNSEEN : SLOT_NONE;
	}
	fill_line(&line, task, slot);
	bpf_seq_write(seq, &line, sizeof(line));
	bpf_seq_write(seq, told, sizeof(*told));
	return 0;
}
