/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stacks, each kept once, under the hash of its content: user_stack(ctx) and kernel_stack(ctx) give that hash, which
 * is all that a record or a key holds. User space empties both maps once per interval; a stack that comes again is put
 * back, and its hash is still the same, so that nothing has to be kept in step.
 *
 * The kernel's own stack-trace map has numbers of slots instead: two stacks that fall into one slot lose one of them
 * (one in ten is lost when a tenth of the slots is taken), and a slot can't be emptied while its number is in use.
 *
 * Frames of files are (build id, file offset), found while the process lives: they need no look at /proc/PID/maps of a
 * process that is gone by then, and are alike in all processes of a program wherever it was loaded.
 *
 * Included by the probes that have stacks; ebrec.h does not, for each object that does has the buffers.
 */
#ifndef EBREC_STACK_H
#define EBREC_STACK_H

/* The kernel stops at 127 too, unless the sysctl kernel.perf_event_max_stack says otherwise. */
#define MAX_FRAMES 127

/* uapi/linux/bpf.h */
#define BPF_F_USER_STACK    (1ULL << 8)
#define BPF_F_USER_BUILD_ID (1ULL << 11)
#define FRAME_IN_FILE	    1 /* BPF_STACK_BUILD_ID_VALID */

/* struct bpf_stack_build_id */
struct user_frame {
	__s32 status;
	__u8 build_id[20];
	__u64 offset; /* in the file; else the address */
};

struct user_stack {
	__u32 count;
	__u32 pad;
	struct user_frame frames[MAX_FRAMES];
};
_Static_assert(sizeof(struct user_stack) == 8 + 32 * MAX_FRAMES, "no holes");

struct kernel_stack {
	__u32 count;
	__u32 pad;
	__u64 frames[MAX_FRAMES];
};

/* Bit 0 of a user stack's hash: it has addresses that mean something in their process only. */
#define STACK_IS_PRIVATE 1ULL

/* Both are made by user space, sized by the number of CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct user_stack);
} user_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct kernel_stack);
} kernel_stacks SEC(".maps");

/* Too large for the stack. No program of an object interrupts another of it with these in use. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct user_stack);
} user_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kernel_stack);
} kernel_scratch SEC(".maps");

static __always_inline __u64 hash_word(__u64 hash, __u64 word)
{
	/* 2^64 / the golden ratio: each bit of a word reaches the upper half, and the shift brings it down again. */
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 32;
}

static __always_inline void keep_stack(void *map, __u64 *hash, void *stack)
{
	if (bpf_map_lookup_elem(map, hash))
		return;
	/* -EEXIST: another CPU was faster. */
	if (bpf_map_update_elem(map, hash, stack, BPF_NOEXIST) && !bpf_map_lookup_elem(map, hash)) {
		count_loss(LOSS_STACK_NOT_KEPT);
		*hash = 0;
	}
}

/* The kernel stack of the current thread; 0: none, as in a sample of user code. */
static __always_inline __u64 kernel_stack(void *ctx)
{
	struct kernel_stack *stack;
	__u64 hash = 1;
	__u32 zero = 0;
	long bytes;

	stack = bpf_map_lookup_elem(&kernel_scratch, &zero);
	if (!stack)
		return 0;
	bytes = bpf_get_stack(ctx, stack->frames, sizeof(stack->frames), 0);
	if (bytes <= 0)
		return 0;
	stack->count = (__u32)bytes / sizeof(stack->frames[0]);
	stack->pad = 0;
	for (__u32 i = 0; i < MAX_FRAMES; i++) {
		if (i >= stack->count)
			break;
		hash = hash_word(hash, stack->frames[i]);
	}
	keep_stack(&kernel_stacks, &hash, stack);
	return hash;
}

/* The user stack of the current thread, by frame pointers; 0: none, as in a kernel thread. */
static __always_inline __u64 user_stack(void *ctx)
{
	struct user_stack *stack;
	__u64 hash = 1, private = 0;
	__u32 zero = 0;
	long bytes;

	stack = bpf_map_lookup_elem(&user_scratch, &zero);
	if (!stack)
		return 0;
	bytes = bpf_get_stack(ctx, stack->frames, sizeof(stack->frames), BPF_F_USER_STACK | BPF_F_USER_BUILD_ID);
	if (bytes <= 0)
		return 0;
	stack->count = (__u32)bytes / sizeof(stack->frames[0]);
	stack->pad = 0;
	for (__u32 i = 0; i < MAX_FRAMES; i++) {
		__u64 *words = (__u64 *)&stack->frames[i];

		if (i >= stack->count)
			break;
		if (stack->frames[i].status != FRAME_IN_FILE) {
			private = STACK_IS_PRIVATE;
			hash = hash_word(hash, words[3]);
			continue;
		}
		/* The build id is a hash itself: eight bytes of it tell files apart. */
		hash = hash_word(hash, words[1]);
		hash = hash_word(hash, words[3]);
	}
	hash = (hash & ~STACK_IS_PRIVATE) | private;
	if (hash)
		keep_stack(&user_stacks, &hash, stack);
	return hash;
}

#endif
