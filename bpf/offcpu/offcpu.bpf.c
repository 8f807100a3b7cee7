// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What threads waited for: the time from the switch-out of a thread that went to sleep to its next switch-in, in
 * nanoseconds, by the stacks and the system call it slept in. A thread that was still runnable did not wait for
 * anything but a CPU, which sched measures.
 */
/* All of them run with interrupts off. */
#define HOOKS_DO_NOT_NEST
#include "ebrec.h"

#include "edges.h"
#include "kernel_locks.h"
#include "past.h"
#include "records.h"
#include "runtime.h"
#include "seen_stacks.h"
#include "state.h"
#include "targets.h"
#include "wakers.h"

/*
 * A thread that goes to sleep has its stacks taken: about 1 us, as much as the switch itself. One that has slept
 * SHORT_RUN times in a row for less than SHORT_NS, as both ends of a pipe do, has them taken one time in 16.
 */
#define SHORT_NS  100000
#define SHORT_RUN 16

struct total_key *export_total_key;
struct total *export_total;
struct block_record *export_block_record;
enum offcpu_event export_offcpu_event;
enum offcpu_metric export_offcpu_metric;
enum sleep export_sleep;
enum call_bits export_call_bits;
struct edge_key *export_edge_key;
struct edge *export_edge;
struct open_wait *export_open_wait;
enum wait_on export_wait_on;
enum wait_by export_wait_by;
enum wait_flags export_wait_flags;
enum tcp_state export_tcp_state;
struct offcpu_knobs *export_offcpu_knobs;

/* include/linux/sched.h, the same since 4.14 */
static __always_inline enum sleep sleep_of(__u32 state)
{
	if (state & (0x4 | 0x8))
		return SLEEP_STOPPED;
	if (state & 0x2)
		return state & 0x400 ? SLEEP_IDLE : SLEEP_UNINTERRUPTIBLE;
	return state & 0x1 ? SLEEP_INTERRUPTIBLE : SLEEP_OTHER;
}

/* What it sleeps for; `here`: it is the current thread. */
static __always_inline void begin_wait(struct task_struct *task, struct task_state *state, __u32 left_in, bool here,
				       __u64 now)
{
	state->sleep = sleep_of(left_in);
	state->by = BY_UNSEEN;
	state->flags = 0;
	state->woken = 0;
	state->waker_pid = 0;
	state->waker_tid = 0;
	state->active_ns = 0;
	state->unknown_ns = 0;
	find_target(state, task, here);
	if (!(task->flags & PF_KTHREAD))
		note_turn(state, task->pid, now);
	if (state->timed_out_since && now - state->timed_out_until > SAME_WAIT_NS)
		remember_time_out(state);
	if (state->on == ON_FUTEX)
		remember_futex(state, state->target & FUTEX_MASK);
}

static __always_inline void fell_asleep(void *ctx, struct task_struct *task, __u32 left_in, __u64 now)
{
	struct task_state *state;

	/* EXIT_DEAD, EXIT_ZOMBIE, TASK_DEAD: it will not come back. */
	if (left_in == TASK_RUNNING || left_in & (0x10 | 0x20 | 0x80))
		return;
	state = state_of(task, true);
	if (!state)
		return;
	state->kstack = 0;
	state->ustack = 0;
	state->waker_kstack = 0;
	state->waker_ustack = 0;
	begin_wait(task, state, left_in, true, now);
	state->since = now;
	if (state->short_run < SHORT_RUN || !(bpf_get_prandom_u32() & 15)) {
		state->kstack = kernel_stack(ctx);
		state->ustack = seen_user_stack(ctx, now);
	}
}

/* Who wakes it, and what that did while it slept. */
static __always_inline void end_wait(struct task_state *state, __u32 tgid, __u64 now)
{
	struct task_struct *current = current_task();
	struct task_state *waker;
	struct parts parts;
	__u64 born = now;

	state->by = ended_by(state, current);
	if (state->by != BY_THREAD)
		return;
	waker = state_of_current(current);
	if (!process_matches(state->waker_pid))
		waker = NULL; /* It is not followed. */
	else if (current)
		born = current->start_time;
	else
		born = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), start_time);
	parts_of_past(&parts, waker, born, continues(state) ? state->timed_out_since : state->since, now);
	state->active_ns = parts.active;
	state->unknown_ns = parts.unknown;
	if (waker && state->on == ON_FUTEX && state->waker_pid == tgid &&
	    waited_there(waker, state->target & FUTEX_MASK))
		state->flags |= WAIT_HANDED;
}

/* In the waker's context; sched_wakeup may be on the woken thread's CPU, where something else is current. */
SEC("tp_btf/sched_waking")
int BPF_PROG(offcpu_waking, struct task_struct *task)
{
	struct task_state *state;
	__u64 waker, now;

	if (!in_scope(task))
		return 0;
	state = state_of(task, false);
	if (!state || !state->since || state->woken)
		return 0;
	now = bpf_ktime_get_ns();
	waker = bpf_get_current_pid_tgid();
	state->woken = now;
	state->waker_pid = waker >> 32;
	state->waker_tid = waker;
	end_wait(state, task->tgid, now);
	if (config.stream == STREAM_NONE || (config.stream == STREAM_SLOW && now - state->since < config.slow_ns))
		return 0;
	bpf_get_current_comm(state->waker_comm, sizeof(state->waker_comm));
	state->waker_kstack = kernel_stack(ctx);
	state->waker_ustack = seen_user_stack(ctx, now);
	return 0;
}

static __always_inline void stream_block(struct task_struct *task, struct task_state *state, __u64 now, __u64 off)
{
	void *ring = ring_of_this_cpu();
	struct block_record *record;

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, OFFCPU_BLOCK, now, task->tgid, task->pid);
	record->off_ns = off;
	record->runnable_ns = state->woken && state->woken < now ? now - state->woken : 0;
	record->kstack = state->kstack;
	record->ustack = state->ustack;
	record->waker_kstack = state->waker_kstack;
	record->waker_ustack = state->waker_ustack;
	record->waker_pid = state->waker_pid;
	record->waker_tid = state->waker_tid;
	record->syscall = state->syscall;
	record->sleep = state->sleep;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), task->comm);
	__builtin_memcpy(record->waker_comm, state->waker_comm, sizeof(record->waker_comm));
	ring_submit(ring, record);
}

static __always_inline __u64 part_of(__u64 ns, __u64 part, __u64 whole)
{
	return whole ? ((ns << SHARE_BITS) / whole) * part >> SHARE_BITS : 0;
}

/* A wait for a futex that nobody ended in time: it may go on. */
static __always_inline void waited_in_vain(struct task_state *state, __u64 since, __u64 now)
{
	if (!continues(state)) {
		if (state->timed_out_since)
			remember_time_out(state);
		state->timed_out_since = since;
		state->timed_out_futex = state->target;
	}
	state->timed_out_until = now;
}

/* A wait that went on after time-outs: all of it is known now. Its edge has the last part of it, `slept`. */
static __always_inline void waited_on(struct task_state *state, __u64 slept, __u64 until)
{
	__u64 since = state->timed_out_since;

	state->timed_out_since = 0;
	state->timed_out_until = 0;
	remember_end(state, until - since);
	remember_sleep(state, since, until, state->active_ns, state->unknown_ns);
	state->active_ns = part_of(state->active_ns, slept, until - since);
	state->unknown_ns = part_of(state->unknown_ns, slept, until - since);
}

static __always_inline void waited_once(struct task_state *state, __u64 since, __u64 until)
{
	__u64 active = state->active_ns, unknown = state->unknown_ns;

	if (state->timed_out_since)
		remember_time_out(state);
	if (state->on == ON_FUTEX && state->by == BY_THREAD && ended_before(state))
		remember_end(state, until - since);
	/* Who is blocked or stopped holds up those that wait for it, as does who waits for another machine's answer. */
	if (state->sleep == SLEEP_UNINTERRUPTIBLE || state->sleep == SLEEP_STOPPED ||
	    (state->flags & WAIT_QUESTION && state->by == BY_INTERRUPT)) {
		active = until - since;
		unknown = 0;
	}
	remember_sleep(state, since, until, active, unknown);
}

/* A wait is over: until it was woken, and not until it had a CPU. There is one call of add_edge, which the verifier walks through. */
static __always_inline void waited(struct task_struct *task, struct task_state *state, __u64 since, __u64 now)
{
	__u64 until = state->woken ?: now, slept = until - since;

	if (state->by == BY_UNSEEN)
		state->unknown_ns = slept;
	if (state->on == ON_FUTEX && state->by == BY_TIMER)
		waited_in_vain(state, since, now);
	else if (continues(state))
		waited_on(state, slept, until);
	else if (state->timed_out_since && now - since < SAME_WAIT_NS)
		state->timed_out_until = now; /* For the mutex of the condition variable that it waits on. */
	else
		waited_once(state, since, until);
	if (state->sleep != SLEEP_STOPPED && !(task->flags & PF_KTHREAD && state->sleep != SLEEP_UNINTERRUPTIBLE))
		add_edge(task, state, slept, until);
}

/* In a frame of its own, which the verifier forgets when it ends: what comes after is walked half as often. */
static __noinline void awoke(struct task_struct *task, __u64 now)
{
	struct task_state *state = state_of(task, false);
	struct total_key key = {};
	__u64 since, off;

	if (!state || !state->since)
		return;
	since = state->since;
	state->since = 0;
	/* Of a thread that slept when the window began, no more than its waking is known. */
	if (state->flags & WAIT_BEFORE_WINDOW && !state->woken)
		return;
	waited(task, state, since, now);
	if (state->flags & WAIT_BEFORE_WINDOW)
		return;
	off = now - since;
	if (off >= SHORT_NS)
		state->short_run = 0;
	else if (state->short_run < SHORT_RUN)
		state->short_run++;
	hist_add(OFFCPU_TIME, task->tgid, state->sleep, off);
	key.kstack = state->kstack;
	key.ustack = state->ustack;
	key.pid = holder_of(task->tgid);
	key.syscall = state->syscall;
	key.sleep = state->sleep;
	if (is_odd())
		add_total(&totals_odd, &key, off);
	else
		add_total(&totals_even, &key, off);
	if ((config.stream == STREAM_ALL && row_is_drawn()) || (config.stream == STREAM_SLOW && off >= config.slow_ns))
		stream_block(task, state, now, off);
}

/* Whether the sleep of a thread that leaves its CPU is still open: the switch that brought it back was not shown. */
static __always_inline bool came_unseen(struct task_struct *task)
{
	struct task_state *state = state_of(task, false);

	return state && state->since;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(offcpu_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns(), came = now;
	struct task_struct *back = next;

	/*
	 * Then the sleep of the next ends when that leaves, since the verifier walks through one call with less work than through two. What
	 * it learns of `preempt` here would make it walk through that twice.
	 */
	if (!*(volatile __u64 *)ctx && prev->pid && in_scope(prev) && came_unseen(prev)) {
		back = prev;
		came = now - slice_by_account(prev);
	}
	/* In this order, since the verifier walks what comes second for each way through the first. */
	if (back->pid && in_scope(back))
		awoke(back, came);
	if (!preempt && prev->pid && in_scope(prev))
		fell_asleep(ctx, prev, compat.sched_switch_has_state ? ctx[3] : task_state(prev), now);
	return 0;
}

/* Only where the state is in a hash: task storage goes with its task. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(offcpu_free, struct task_struct *task)
{
	state_forget(task);
	return 0;
}

/* A thread that slept when the window began: its wait counts from there on. */
static __always_inline void found_asleep(struct task_struct *task, struct task_state *state, __u32 left_in)
{
	if (state->since || task->on_cpu || left_in == TASK_RUNNING || left_in & TASK_DEAD_OR_ZOMBIE)
		return;
	begin_wait(task, state, left_in, false, window_start());
	state->flags |= WAIT_BEFORE_WINDOW;
	state->since = window_start();
}

/*
 * Goes through all threads: before the window to make room for their states, when it begins to note who sleeps, and at its end to tell
 * of the waits that nobody has ended.
 */
SEC("iter/task")
int offcpu_threads(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct open_wait open = {};
	struct task_state *state;
	__u32 bits;

	if (!task || !task_matches(task))
		return 0;
	state = state_of(task, true);
	if (!state || !totals_start())
		return 0;
	bits = task_state(task);
	if (window_start()) {
		found_asleep(task, state, bits);
		return 0;
	}
	if (!state->since || bits & TASK_DEAD_OR_ZOMBIE || state->sleep == SLEEP_STOPPED ||
	    (task->flags & PF_KTHREAD && state->sleep != SLEEP_UNINTERRUPTIBLE))
		return 0;
	fill_key(&open.key, task, state);
	open.since = state->since;
	open.woken = state->woken;
	open.active = state->active_ns;
	open.unknown = state->unknown_ns;
	if (state->flags & WAIT_JUDGED)
		turns_of(state, task->pid, within_window(~0ULL) - state->since, within_window(~0ULL), &open.request,
			 &open.question);
	open.address = state->target;
	open.value = state->value;
	open.flags = state->flags;
	open.owner = state->owner;
	open.fd = state->fd;
	if (state->on == ON_SOCKET && state->fd)
		read_socket(&open.socket, task, state->fd - 1, state->target);
	bpf_probe_read_kernel(open.comm, sizeof(open.comm), task->comm);
	bpf_seq_write(seq, &open, sizeof(open));
	return 0;
}
