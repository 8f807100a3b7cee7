// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * System calls: how long each took, from its entry to its return, and what it returned. Times are in nanoseconds.
 */
/* One of them counts, and the kernel runs none within itself. */
#define HOOKS_DO_NOT_NEST
#include "ebrec.h"

/* The highest number of any architecture is 471 in Linux 7.0; the sets have room for those to come. */
#define SYSCALL_NUMBERS 1024
/* Returns from here to -1 are errors: MAX_ERRNO of include/linux/err.h. */
#define MAX_ERRNO 4095
/* arch/x86/include/uapi/asm/unistd.h: set in the number of an x32 call. */
#define X32_SYSCALL_BIT 0x40000000

const volatile struct syscall_knobs {
	__u64 waits[SYSCALL_NUMBERS / 64]; /* calls that wait by design, by number */
	__u64 reads[SYSCALL_NUMBERS / 64]; /* calls that do where they read what others have yet to send */
	__u32 futex;			   /* its number: only some of its operations wait */
	__u32 sigreturn;		   /* its number: what it returns is another call's */
	__u8 errors;			   /* stream calls that fail */
	__u8 pad[7];
} knobs SEC(".rodata.knobs") = {};

#include "syscall_slot.h"

enum syscall_event {
	SYSCALL_DONE,
};

enum syscall_metric {
	SYSCALL_LATENCY, /* by process and call */
	SYSCALL_ERRORS,	 /* counter by process, call and error */
};

/* A call as the metrics' `sub` and the records have it; above it, in `sub`, the error. */
enum call_bits {
	CALL_NUMBER = 0xffff, /* this very number: none that fits */
	CALL_COMPAT = 1 << 16,
	CALL_WAITS = 1 << 17, /* by design, unlike others of its number */
	CALL_ERROR_SHIFT = 32,
};

struct syscall_record {
	struct event_header header; /* pad: the call_bits */
	__u64 took_ns;
	__s64 ret;
};
_Static_assert(sizeof(struct syscall_record) == 40, "no holes");

struct syscall_record *export_syscall_record;
struct syscall_knobs *export_syscall_knobs;
enum syscall_event export_syscall_event;
enum syscall_metric export_syscall_metric;
enum call_bits export_call_bits;

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_enter, struct pt_regs *regs, long number)
{
	__u64 who = who_is(current_task());
	struct slot *slot;

	if (!current_in_scope_as(who >> 32))
		return 0;
	slot = slot_of_this_cpu();
	if (!slot)
		return 0;
	if (slot->call.start && slot->who != who)
		slot_clear(slot);
	slot->who = who;
	slot->call.number = number;
	/* Last, as behind a call it is: a switch takes along what has a start. */
	slot->call.start = bpf_ktime_get_ns();
	return 0;
}

/* The thread takes its call along. */
SEC("tp_btf/sched_switch")
int BPF_PROG(syscall_switch, bool preempt, struct task_struct *prev)
{
	struct slot *slot = slot_of_this_cpu();
	struct call *call;

	if (!slot || !slot->call.start)
		return 0;
	if ((__u32)slot->who != prev->pid) {
		slot_clear(slot);
		return 0;
	}
	call = state_of(prev, true);
	if (call)
		*call = slot->call;
	slot->call.start = 0;
	return 0;
}

/* Only where calls are in a hash: task storage goes with its task, which may have ended inside a call. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(syscall_free, struct task_struct *task)
{
	state_forget(task);
	return 0;
}

/* The futex operations that wait: WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2 of uapi/linux/futex.h. */
static __always_inline bool futex_waits(struct pt_regs *regs)
{
	const __u32 waits = 1 << 0 | 1 << 6 | 1 << 9 | 1 << 11 | 1 << 13;

	return waits >> (syscall_argument_2(regs) & 0xf) & 1;
}

static __always_inline bool is_in(const volatile __u64 *set, __u64 number)
{
	return number < SYSCALL_NUMBERS && set[number / 64] >> number % 64 & 1;
}

/* From a pipe, a socket, a terminal, an eventfd…: from all but files, directories and disks. */
static __always_inline bool read_waits(struct task_struct *current, struct pt_regs *regs)
{
	__u16 kind = mode_of_fd(current, syscall_argument_1(regs)) & S_IFMT;

	return kind == S_IFIFO || kind == S_IFSOCK || kind == S_IFCHR;
}

static __always_inline __u32 describe(__u64 number, struct task_struct *current, struct pt_regs *regs)
{
	bool compat = task_in_compat_call(current, regs);

	if (number & X32_SYSCALL_BIT && number >> 31 == 0) {
		number &= ~(__u64)X32_SYSCALL_BIT;
		compat = true;
	}
	if (number >= CALL_NUMBER)
		number = CALL_NUMBER;
	if (compat)
		return number | CALL_COMPAT;
	if (number == knobs.futex ? futex_waits(regs) : is_in(knobs.reads, number) && read_waits(current, regs))
		return number | CALL_WAITS;
	return number;
}

static __always_inline bool waits_by_design(__u32 call)
{
	return call & CALL_WAITS || (!(call & CALL_COMPAT) && is_in(knobs.waits, call & CALL_NUMBER));
}

static __always_inline void stream(__u32 call, __u64 who, __u64 now, __u64 took, long ret)
{
	struct syscall_record *record;
	void *ring = ring_of_this_cpu();

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, SYSCALL_DONE, now, who >> 32, who);
	record->header.pad = call;
	record->took_ns = took;
	record->ret = ret;
	ring_submit(ring, record);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *current = current_task();
	struct slot *slot = slot_of_this_cpu();
	struct call call, *kept;
	__u64 who, now, took;
	__u32 described;
	bool failed;

	if (!slot)
		return 0;
	who = who_is(current);
	if (!slot_take(slot, who, &call)) {
		kept = call_taken_along(current, who);
		if (!kept)
			return 0;
		call = *kept;
		kept->start = 0;
	}
	now = bpf_ktime_get_ns();
	took = now - call.start;
	if (!window_start())
		return 0;
	described = describe(call.number, current, regs);
	failed = ret < 0 && ret >= -MAX_ERRNO && described != knobs.sigreturn;
	hist_add(SYSCALL_LATENCY, who >> 32, described, took);
	if (failed)
		counter_add(SYSCALL_ERRORS, who >> 32, described | (__u64)-ret << CALL_ERROR_SHIFT, 1);
	if (config.stream == STREAM_ALL || (failed && knobs.errors) ||
	    (config.stream == STREAM_SLOW && took >= config.slow_ns && !waits_by_design(described)))
		stream(described, who, now, took, ret);
	return 0;
}
