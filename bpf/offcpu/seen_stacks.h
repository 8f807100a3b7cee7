/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The user stack of a thread that was there a moment ago: seen_user_stack(ctx, now) gives what user_stack(ctx) does.
 * That one takes microseconds: for each frame a search for the mapping and a read in its file. Here the frames are
 * addresses first, and their files are looked up only when the addresses are not those of a stack that was seen.
 *
 * For stacks that come again and again, as those of sleeps. Samples of code that runs differ in their innermost address.
 */
#ifndef EBREC_OFFCPU_SEEN_STACKS_H
#define EBREC_OFFCPU_SEEN_STACKS_H

#include "ebrec.h"

#include "stack.h"

/*
 * Addresses mean one thing in one process between two execs: both are in the hash. There a process may still map
 * another file where one was, with the same return addresses all the way up, such as a library that was rebuilt and is
 * loaded again: its stacks are the old file's until SEEN_NS are over. A thread that sleeps within exec may have the new
 * mappings and the old number of execs, but then it is the last that has it.
 */
struct seen_stack {
	__u64 addresses; /* hash of the addresses, the process and its execs; 0: none */
	__u64 stack;	 /* what user_stack() gave */
	__u64 until;
};

#define SEEN_NS 1000000000

/*
 * The same where the innermost frame has no file. The kernel gives mere addresses also when the mappings are locked, or
 * when this CPU has yet to unlock those of the stack before; the next look may find the files.
 */
#define SEEN_WITHOUT_FILE_NS 10000000

/* 12 KiB on each CPU. Stacks that share a slot drive each other out, which costs time only. */
#define SEEN_STACKS 512

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SEEN_STACKS);
	__type(key, __u32);
	__type(value, struct seen_stack);
} seen_stacks SEC(".maps");

/* The same for the threads of a process, until it runs another program, and never again. */
static __always_inline __u64 current_program(void)
{
	struct task_struct *task = current_task();
	__u64 born, execs;

	if (task) {
		born = task->group_leader->start_time;
		execs = task->self_exec_id;
	} else {
		task = (void *)bpf_get_current_task();
		born = BPF_CORE_READ(task, group_leader, start_time);
		execs = BPF_CORE_READ(task, self_exec_id);
	}
	return hash_word(born, execs << 32 ^ bpf_get_current_pid_tgid() >> 32);
}

/* Only the frames that user_stack() has just left there tell. */
static __always_inline bool innermost_has_file(void)
{
	struct user_stack *stack;
	__u32 zero = 0;

	stack = bpf_map_lookup_elem(&user_scratch, &zero);
	return stack && !(stack->found_frames[0].status & FRAME_IS_ADDRESS);
}

/* The user stack of the current thread; 0: none, as in a kernel thread. */
static __always_inline __u64 seen_user_stack(void *ctx, __u64 now)
{
	struct kernel_stack *addresses;
	struct seen_stack *seen;
	__u32 slot = 0;
	__u64 hash;
	long bytes;

	/* The walk by tables takes no longer than the look for the addresses. */
	if (config.unwinds)
		return user_stack(ctx);
	addresses = bpf_map_lookup_elem(&address_scratch, &slot);
	if (!addresses)
		return 0;
	bytes = bpf_get_stack(ctx, addresses->frames, sizeof(addresses->frames), BPF_F_USER_STACK);
	if (bytes <= 0)
		return 0;
	hash = hash_word(hash_addresses((__u32)bytes / sizeof(addresses->frames[0])), current_program());
	slot = hash % SEEN_STACKS;
	seen = bpf_map_lookup_elem(&seen_stacks, &slot);
	if (!seen)
		return 0;
	/* User space may have emptied the map since: then it wants the frames again. */
	if (seen->addresses == hash && now < seen->until &&
	    (bpf_map_lookup_elem(&user_stacks, &seen->stack) || bpf_map_lookup_elem(&deep_user_stacks, &seen->stack)))
		return seen->stack;
	seen->stack = user_stack(ctx);
	seen->addresses = seen->stack ? hash : 0;
	seen->until = now + (innermost_has_file() ? SEEN_NS : SEEN_WITHOUT_FILE_NS);
	return seen->stack;
}

#endif
