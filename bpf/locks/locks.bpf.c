// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Waits for locks, in nanoseconds: of the kernel's own by kind (contention begin to end), and of threads in futex(2), on
 * which user space builds its locks (system call entry to exit), by address.
 */
#include "ebrec.h"
#include "unfinished.h"

/* Threads that wait at one time: a default pid_max of 32,768, twice. */
#define MAX_WAITS 65536
/* A spinning CPU can be interrupted by a soft interrupt, a hard one and an NMI, and each may spin. */
#define MAX_NESTED 4

enum locks_event {
	LOCKS_KERNEL,
	LOCKS_FUTEX,
};

enum locks_metric {
	LOCKS_CONTENTION,    /* by process and the tracepoint's flags; ns */
	LOCKS_FUTEX_WAIT,    /* by process; ns */
	LOCKS_FUTEX_ADDRESS, /* counter by process and address; ns */
};

/* include/uapi/linux/futex.h: the commands that wait. */
enum futex_command {
	FUTEX_WAIT = 0,
	FUTEX_LOCK_PI = 6,
	FUTEX_WAIT_BITSET = 9,
	FUTEX_WAIT_REQUEUE_PI = 11,
	FUTEX_LOCK_PI2 = 13,
	FUTEX_COMMANDS = 0x7f,
	FUTEX_WAITV = 0x80, /* none of futex(2)'s: a call of its own, as is the plain wait of Linux 6.7 */
};
#if defined(__TARGET_ARCH_x86)
#define NR_FUTEX 202
#else
#define NR_FUTEX 98
#endif
/* The same on all architectures: Linux 5.16, Linux 6.7. */
#define NR_FUTEX_WAITV 449
#define NR_FUTEX_WAIT  455
/* futex and futex_time64 of 32-bit code: arch/x86/entry/syscalls/syscall_32.tbl, arch/arm64/tools/syscall_32.tbl */
#define NR_COMPAT_FUTEX	       240
#define NR_COMPAT_FUTEX_TIME64 422
#define EAGAIN		       11

struct lock_record {
	struct event_header header; /* ts is the end of the wait */
	__u64 dur_ns;
	__u64 address; /* the futex's; a kernel lock's stays in the kernel */
	__s64 ret;
	__u32 kind; /* enum lock_flags or enum futex_command */
	__u32 pad;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct lock_record) == 72, "no holes");

struct lock_record *export_lock_record;
enum locks_event export_locks_event;
enum locks_metric export_locks_metric;
enum lock_flags export_lock_flags;
enum futex_command export_futex_command;

struct wait {
	__u64 since;
	__u64 lock;
	__u32 kind;
	__u32 pad;
};

/* Threads that sleep for a kernel lock, and threads in futex(2): one may do the former inside the latter. */
struct waits {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_WAITS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct wait);
};
struct waits sleepers SEC(".maps");
struct waits futexes SEC(".maps");

/* CPUs that spin: a spinning thread keeps its CPU. */
struct spinning {
	__u32 depth;
	__u32 pad;
	struct wait waits[MAX_NESTED];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct spinning);
} spinners SEC(".maps");

static __always_inline void waited(enum locks_event event, struct wait *wait, __s64 ret)
{
	__u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns(), dur = now - wait->since;
	struct lock_record *record;
	__u32 pid = id >> 32;
	void *ring;

	if (!window_start()) {
		count_unfinished();
		return;
	}
	if (event == LOCKS_KERNEL) {
		hist_add(LOCKS_CONTENTION, pid, wait->kind, dur);
	} else {
		hist_add(LOCKS_FUTEX_WAIT, pid, 0, dur);
		counter_add(LOCKS_FUTEX_ADDRESS, pid, wait->lock, dur);
	}
	if (config.stream == STREAM_NONE || (config.stream == STREAM_SLOW && dur < config.slow_ns) ||
	    (config.stream == STREAM_ALL && !row_is_drawn()))
		return;
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, event, now, pid, id);
	record->dur_ns = dur;
	record->address = event == LOCKS_FUTEX ? wait->lock : 0;
	record->ret = ret;
	record->kind = wait->kind;
	record->pad = 0;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	ring_submit(ring, record);
}

static __always_inline struct spinning *spinning_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&spinners, &zero);
}

/* Since 5.19. A mutex reports again whenever it changes between spinning and sleeping: the wait began the first time. */
SEC("?tp_btf/contention_begin")
int BPF_PROG(contention_begin, void *lock, unsigned int flags)
{
	struct wait wait = {.lock = (__u64)lock, .kind = flags & ~LCB_F_SPIN}, *known;
	struct spinning *spinning;
	__u32 tid, depth;

	if (!current_in_scope())
		return 0;
	wait.since = bpf_ktime_get_ns();
	if (!(flags & LCB_F_SPIN) || flags & LCB_F_MUTEX) {
		tid = bpf_get_current_pid_tgid();
		known = bpf_map_lookup_elem(&sleepers, &tid);
		if (!known || known->lock != wait.lock)
			update_or_count(&sleepers, &tid, &wait, LOSS_STATE_FULL);
		return 0;
	}
	wait.kind = flags;
	spinning = spinning_here();
	if (!spinning)
		return 0;
	depth = spinning->depth;
	if (depth >= MAX_NESTED) { /* ends were not seen: start over */
		count_loss(LOSS_STATE_FULL);
		depth = 0;
	}
	spinning->waits[depth] = wait;
	spinning->depth = depth + 1;
	return 0;
}

SEC("?tp_btf/contention_end")
int BPF_PROG(contention_end, void *lock, int ret)
{
	__u32 tid = bpf_get_current_pid_tgid(), depth;
	struct spinning *spinning = spinning_here();
	struct wait *wait, done;

	if (!spinning)
		return 0;
	depth = spinning->depth - 1;
	if (depth < MAX_NESTED && spinning->waits[depth].lock == (__u64)lock) {
		done = spinning->waits[depth];
		spinning->depth = depth;
		waited(LOCKS_KERNEL, &done, ret);
		return 0;
	}
	wait = bpf_map_lookup_elem(&sleepers, &tid);
	if (!wait || wait->lock != (__u64)lock)
		return 0;
	done = *wait;
	bpf_map_delete_elem(&sleepers, &tid);
	waited(LOCKS_KERNEL, &done, ret);
	return 0;
}

static __always_inline bool is_wait(__u32 command)
{
	return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI ||
	       command == FUTEX_LOCK_PI2 || command == FUTEX_WAIT_REQUEUE_PI;
}

/* Calls that may wait for a futex, in 32-bit code or not. */
static __always_inline bool is_futex_call(__u64 number)
{
	return number == NR_FUTEX || number == NR_FUTEX_WAITV || number == NR_FUTEX_WAIT || number == NR_COMPAT_FUTEX ||
	       number == NR_COMPAT_FUTEX_TIME64;
}

/* struct futex_waitv of include/uapi/linux/futex.h */
struct waitv {
	__u64 value;
	__u64 address;
};

/* The address that a call waits for, the first of several, and how; false where it does not wait. */
static __always_inline bool read_wait(struct wait *wait, struct pt_regs *regs, __u64 number)
{
	bool compat = task_in_compat_call(current_task(), regs);
	struct waitv first = {};

	wait->lock = compat ? compat_argument(regs, 1) : syscall_argument_1(regs);
	switch (number) {
	case NR_FUTEX_WAIT:
		wait->kind = FUTEX_WAIT;
		return true;
	case NR_FUTEX_WAITV:
		if (bpf_probe_read_user(&first, sizeof(first), (void *)wait->lock))
			count_loss(LOSS_MEMORY_UNREADABLE);
		wait->lock = first.address;
		wait->kind = FUTEX_WAITV;
		return true;
	case NR_FUTEX:
		if (compat)
			return false;
		break;
	default:
		if (!compat)
			return false;
	}
	wait->kind = (compat ? compat_argument(regs, 2) : syscall_argument_2(regs)) & FUTEX_COMMANDS;
	return is_wait(wait->kind);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(futex_enter, struct pt_regs *regs, long id)
{
	struct wait wait = {};
	__u32 tid;

	if (!is_futex_call(id) || !current_in_scope() || !read_wait(&wait, regs, id))
		return 0;
	tid = bpf_get_current_pid_tgid();
	wait.since = bpf_ktime_get_ns();
	update_or_count(&futexes, &tid, &wait, LOSS_STATE_FULL);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(futex_exit, struct pt_regs *regs, long ret)
{
	struct wait *wait, done;
	__u32 tid;

	if (!is_futex_call(syscall_number(regs)))
		return 0;
	tid = bpf_get_current_pid_tgid();
	wait = bpf_map_lookup_elem(&futexes, &tid);
	if (!wait)
		return 0;
	done = *wait;
	bpf_map_delete_elem(&futexes, &tid);
	/* The value had changed before the call looked: it did not wait. */
	if (ret != -EAGAIN)
		waited(LOCKS_FUTEX, &done, ret);
	return 0;
}
