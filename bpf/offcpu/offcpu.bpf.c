// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What threads waited for: the time from the switch-out of a thread that went to sleep to its next switch-in, in
 * nanoseconds, by the stacks and the system call it slept in. A thread that was still runnable did not wait for
 * anything but a CPU, which sched measures.
 */
/* All of them run with interrupts off. */
#define HOOKS_DO_NOT_NEST
#include "ebrec.h"

#include "stack.h"
#include "records.h"
#include "seen_stacks.h"

/*
 * A thread that goes to sleep has its stacks taken: about 1 us, as much as the switch itself. One that has slept
 * SHORT_RUN times in a row for less than SHORT_NS, as both ends of a pipe do, has them taken one time in 8.
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

struct task_state {
	__u64 since; /* 0: not asleep */
	__u64 kstack;
	__u64 ustack;
	__u64 woken; /* 0: not yet */
	__u64 waker_kstack;
	__u64 waker_ustack;
	__u32 waker_pid;
	__u32 waker_tid;
	__s32 syscall;
	__u16 sleep;
	__u16 short_run; /* sleeps under SHORT_NS since the last longer one */
	__u8 waker_comm[TASK_COMM_LEN];
};
DEFINE_TASK_STATE(struct task_state)

/* include/linux/sched.h, the same since 4.14 */
static __always_inline enum sleep sleep_of(__u32 state)
{
	if (state & (0x4 | 0x8))
		return SLEEP_STOPPED;
	if (state & 0x2)
		return state & 0x400 ? SLEEP_IDLE : SLEEP_UNINTERRUPTIBLE;
	return state & 0x1 ? SLEEP_INTERRUPTIBLE : SLEEP_OTHER;
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
	if (state->short_run < SHORT_RUN || !(bpf_get_prandom_u32() & 7)) {
		state->kstack = kernel_stack(ctx);
		state->ustack = seen_user_stack(ctx, now);
	}
	state->syscall = task_syscall(task);
	if (state->syscall >= 0)
		state->syscall = (state->syscall & CALL_NUMBER) | (is_compat(task) ? CALL_COMPAT : 0);
	state->sleep = sleep_of(left_in);
	state->woken = 0;
	state->waker_kstack = 0;
	state->waker_ustack = 0;
	state->waker_pid = 0;
	state->waker_tid = 0;
	state->since = now;
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

static __always_inline void awoke(struct task_struct *task, __u64 now)
{
	struct task_state *state = state_of(task, false);
	struct total_key key = {};
	__u64 off;

	if (!state || !state->since)
		return;
	off = now - state->since;
	state->since = 0;
	if (off >= SHORT_NS)
		state->short_run = 0;
	else if (state->short_run < SHORT_RUN)
		state->short_run++;
	hist_add(OFFCPU_TIME, task->tgid, state->sleep, off);
	key.kstack = state->kstack;
	key.ustack = state->ustack;
	key.pid = task->tgid;
	key.syscall = state->syscall;
	key.sleep = state->sleep;
	if (is_odd())
		add_total(&totals_odd, &key, off);
	else
		add_total(&totals_even, &key, off);
	if (config.stream == STREAM_ALL || (config.stream == STREAM_SLOW && off >= config.slow_ns))
		stream_block(task, state, now, off);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(offcpu_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns();

	if (!preempt && prev->pid && in_scope(prev))
		fell_asleep(ctx, prev, compat.sched_switch_has_state ? ctx[3] : task_state(prev), now);
	if (next->pid && in_scope(next))
		awoke(next, now);
	return 0;
}

/* Only where the state is in a hash: task storage goes with its task. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(offcpu_free, struct task_struct *task)
{
	state_forget(task);
	return 0;
}
