// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * System calls: how long each took, from its entry to its return, and what it returned. Times are in nanoseconds.
 */
/* One of them counts, and the kernel runs none within itself. */
#define HOOKS_DO_NOT_NEST
#include "ebrec.h"
#include "unfinished.h"

/* The highest number of any architecture is 471 in Linux 7.0; the sets have room for those to come. */
#define SYSCALL_NUMBERS 1024
/* Returns from here to -1 are errors: MAX_ERRNO of include/linux/err.h. */
#define MAX_ERRNO 4095
/* arch/x86/include/uapi/asm/unistd.h: set in the number of an x32 call. */
#define X32_SYSCALL_BIT 0x40000000

const volatile struct syscall_knobs {
	__u64 waits[SYSCALL_NUMBERS / 64];  /* calls that wait by design, by number */
	__u64 reads[SYSCALL_NUMBERS / 64];  /* calls that do where they read what others have yet to send */
	__u64 writes[SYSCALL_NUMBERS / 64]; /* and where they sleep until others make room, or answer */
	__u64 opens[SYSCALL_NUMBERS / 64];  /* and where they open a FIFO, which waits for its other end */
	__u32 futex;			    /* its number: only some of its operations wait */
	__u32 fcntl;			    /* likewise */
	__u32 sigreturn;		    /* its number: what it returns is another call's */
	__u8 errors;			    /* stream calls that fail */
	__u8 pad[3];
} knobs SEC(".rodata.knobs") = {};

#include "slot.h"

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

/* Of a thread that may be called otherwise than its process. */
struct thread_record {
	struct syscall_record call;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct thread_record) == 56, "no holes");

struct syscall_record *export_syscall_record;
struct thread_record *export_thread_record;
struct syscall_knobs *export_syscall_knobs;
enum syscall_event export_syscall_event;
enum syscall_metric export_syscall_metric;
enum call_bits export_call_bits;

/*
 * Calls that leave their CPU are the fewest and the longest, and most of a total of time: they are thinned only as far as
 * others would be 2^THINNED_ASLEEP times less, from one draw for both.
 */
#define THINNED_ASLEEP 4

static __always_inline __u32 shift_asleep(__u32 shift)
{
	return shift > THINNED_ASLEEP ? shift - THINNED_ASLEEP : 0;
}

/* 0 for a call that is taken. */
static __always_inline __u64 passed_over(__u32 shift)
{
	__u32 random = bpf_get_prandom_u32();

	if (is_drawn(random, shift))
		return 0;
	return is_drawn(random, shift_asleep(shift)) ? PASSED_UNLESS_IT_SLEEPS : PASSED;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_enter, struct pt_regs *regs, long number)
{
	__u64 who = who_is(current_task()), passed = 0;
	__u32 shift = thin_shift();
	struct slot *slot;

	if (shift)
		passed = passed_over(shift);
	/* Filters cost more than all else of a call that is passed over: they are asked when it sleeps. */
	if (passed ? !window_start() : !current_in_scope_as(who >> 32))
		return 0;
	slot = slot_of_this_cpu();
	if (!slot)
		return 0;
	if (slot->call.start && slot->who != who)
		slot_clear(slot);
	slot->who = who;
	slot->call.number = number;
	slot->call.shift = shift;
	/* Last, as behind a call it is: a switch takes along what has a start. */
	slot->call.start = passed ?: bpf_ktime_get_ns();
	return 0;
}

/* The thread takes its call along. One that was passed over until here begins here. */
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
	if (slot->call.start > PASSED || (slot->call.start == PASSED_UNLESS_IT_SLEEPS && in_scope(prev))) {
		call = state_of(prev, true);
		if (call) {
			*call = slot->call;
			call->shift = shift_asleep(call->shift);
			if (call->start == PASSED_UNLESS_IT_SLEEPS)
				call->start = bpf_ktime_get_ns();
		}
	}
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

/* F_SETLKW of include/uapi/asm-generic/fcntl.h, F_OFD_SETLKW of include/uapi/linux/fcntl.h */
static __always_inline bool fcntl_waits(struct pt_regs *regs)
{
	__u32 command = syscall_argument_2(regs);

	return command == 7 || command == 38;
}

/*
 * Whether others have a part in what is behind a descriptor: a pipe, a socket, a terminal, and what has no file, as an eventfd or a
 * timerfd. Not files, directories and disks, nor /dev/null and /dev/urandom.
 */
static __always_inline bool is_of_others(struct task_struct *current, __u32 fd)
{
	struct inode *inode;

	switch (mode_of_fd(current, fd, &inode) & S_IFMT) {
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	case S_IFCHR:
		/* MKDEV of include/linux/kdev_t.h, MEM_MAJOR of include/uapi/linux/major.h */
		return BPF_CORE_READ(inode, i_rdev) >> 20 != 1;
	case S_IFREG:
		/* 6.16, commit cfd86ef7e8e7: what has no file behind it claims to be a regular one. */
		return BPF_CORE_READ(inode, i_sb, s_magic) == ANON_INODE_FS_MAGIC;
	case 0:
		return inode;
	}
	return false;
}

static __always_inline bool is_fifo(struct task_struct *current, __u32 fd)
{
	struct inode *inode;

	return (mode_of_fd(current, fd, &inode) & S_IFMT) == S_IFIFO;
}

/* Whether a call of native number waited for others. Of writes only those that left their CPU: most find room. */
static __always_inline bool waited(__u64 number, struct task_struct *current, struct pt_regs *regs, long ret, bool left)
{
	if (number == knobs.futex)
		return futex_waits(regs);
	if (number == knobs.fcntl)
		return fcntl_waits(regs);
	if (is_in(knobs.reads, number) || (left && is_in(knobs.writes, number)))
		return is_of_others(current, syscall_argument_1(regs));
	return ret >= 0 && is_in(knobs.opens, number) && is_fifo(current, ret);
}

static __always_inline __u32 describe(__u64 number, struct task_struct *current, struct pt_regs *regs, long ret,
				      bool left)
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
	return waited(number, current, regs, ret, left) ? number | CALL_WAITS : number;
}

static __always_inline bool waits_by_design(__u32 call)
{
	return call & CALL_WAITS || (!(call & CALL_COMPAT) && is_in(knobs.waits, call & CALL_NUMBER));
}

static __always_inline void fill_call(struct syscall_record *record, __u32 call, __u64 who, __u64 now, __u64 took,
				      long ret)
{
	fill_header(&record->header, SYSCALL_DONE, now, who >> 32, who);
	record->header.pad = call;
	record->took_ns = took;
	record->ret = ret;
}

/* User space knows the name of a process, which is its leader's. */
static __always_inline void stream(__u32 call, __u64 who, __u64 now, __u64 took, long ret)
{
	void *ring = ring_of_this_cpu(), *place;
	bool leads = who >> 32 == (__u32)who;

	if (!ring)
		return;
	if (leads) {
		place = ring_reserve(ring, sizeof(struct syscall_record));
		if (!place)
			return;
	} else {
		struct thread_record *record = ring_reserve(ring, sizeof(*record));

		if (!record)
			return;
		bpf_get_current_comm(record->comm, sizeof(record->comm));
		place = record;
	}
	fill_call(place, call, who, now, took, ret);
	ring_submit(ring, place);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *current = current_task();
	struct slot *slot = slot_of_this_cpu();
	struct call call, *kept;
	__u64 who, now, took;
	__u32 described;
	bool failed, left = false;

	if (!slot)
		return 0;
	who = who_is(current);
	if (!slot_take(slot, who, &call)) {
		kept = call_taken_along(current, who);
		if (!kept)
			return 0;
		call = *kept;
		kept->start = 0;
		left = true;
	}
	if (call.start <= PASSED)
		return 0;
	now = bpf_ktime_get_ns();
	took = now - call.start;
	if (!window_start()) {
		count_unfinished();
		return 0;
	}
	described = describe(call.number, current, regs, ret, left);
	failed = ret < 0 && ret >= -MAX_ERRNO && described != knobs.sigreturn;
	hist_add_weighted(SYSCALL_LATENCY, who >> 32, described, took, call.shift);
	if (failed)
		counter_add_weighted(SYSCALL_ERRORS, who >> 32, described | (__u64)-ret << CALL_ERROR_SHIFT, 1,
				     call.shift);
	if (config.stream == STREAM_ALL || (failed && knobs.errors) ||
	    (config.stream == STREAM_SLOW && took >= config.slow_ns && !waits_by_design(described)))
		stream(described, who, now, took, ret);
	return 0;
}

/* After the window: a word for each thread that is in a call which began in it. */
SEC("iter/task")
int syscall_walk(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct call *call;

	if (!task)
		return 0;
	call = state_of(task, false);
	if (!call || !call->start)
		return 0;
	/* A full buffer: again, with an empty one. */
	return bpf_seq_write(ctx->meta->seq, &call->start, sizeof(call->start)) ? 1 : 0;
}
