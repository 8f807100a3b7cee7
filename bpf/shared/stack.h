/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stacks, each kept once, under the hash of its content: user_stack(ctx) and kernel_stack(ctx) give that hash, which
 * is all that a record or a key holds. User space empties the maps once per interval, and whenever enough is in them; a
 * stack that comes again is put back, and its hash is still the same, so that nothing has to be kept in step.
 *
 * The kernel's own stack-trace map has numbers of slots instead: two stacks that fall into one slot lose one of them
 * (one in ten is lost when a tenth of the slots is taken), and a slot can't be emptied while its number is in use.
 *
 * Frames of files are (build id, file offset), found while the process lives: they need no look at /proc/PID/maps of a
 * process that is gone by then, and are alike in all processes of a program wherever it was loaded.
 *
 * The hash includes the user, so that two users never share a stack: a user may give a file the build id of another file,
 * so user space names a user's frames only by files that this user runs, and by those that only root can write.
 *
 * Included by the probes that have stacks; ebrec.h does not, for each object that does has the buffers.
 */
#ifndef EBREC_STACK_H
#define EBREC_STACK_H

#include "ebrec.h"

#include "stack_types.h"
#include "unwind.h"

/* The kernel stops at 127, unless the sysctl kernel.perf_event_max_stack says otherwise. */
#define MAX_FRAMES 128

/* Frames hashed in one step. The kernel clears what it does not fill, so a last step that is not full is zeroes. */
#define STEP 4
_Static_assert(MAX_FRAMES % STEP == 0 && MAX_USER_FRAMES % STEP == 0, "whole steps");

/* uapi/linux/bpf.h */
#define BPF_F_USER_STACK    (1ULL << 8)
#define BPF_F_USER_BUILD_ID (1ULL << 11)

struct kernel_stack {
	__u32 count;
	__u32 pad;
	__u64 frames[MAX_FRAMES];
};

/* Bit 0 of a user stack's hash: it has addresses that mean something in their process only. */
#define STACK_IS_PRIVATE 1ULL

/*
 * They are made by user space, sized by the number of CPUs. Most stacks have a tenth of the frames that a stack may have:
 * such have a map of their own, so that there is room for more of them.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct shallow_user_stack);
} user_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct user_stack);
} deep_user_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct kernel_stack);
} kernel_stacks SEC(".maps");

/* Of the kernel, or of user code before its files are known. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kernel_stack);
} address_scratch SEC(".maps");

/* The reader sleeps for longer than it takes to fill the maps: after so many stacks it is woken. `StackMaps` has room for three times as many. */
#define STACKS_PER_WAKE_UP 256

static __always_inline __u64 hash_word(__u64 hash, __u64 word)
{
	/* 2^64 / the golden ratio: each bit of a word reaches the upper half, and the shift brings it down again. */
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 32;
}

/*
 * Hashes of what is in the scratch. Global functions, because the verifier looks at each of those once and for itself:
 * inlined, with all that follows, each number of frames was a path of its own, 100,000 instructions in all, and with the
 * steps within their loops 7,000. They take numbers only: pointers are accepted since 5.13 (commit e5069b9c23b3).
 */
__noinline __u64 hash_addresses_from(__u64 hash, __u32 at)
{
	struct kernel_stack *stack;
	__u32 zero = 0;
	__u64 *frames;

	stack = bpf_map_lookup_elem(&address_scratch, &zero);
	if (!stack || at > MAX_FRAMES - STEP)
		return 0;
	frames = &stack->frames[at];
	hash = hash_word(hash, frames[0]);
	hash = hash_word(hash, frames[1]);
	hash = hash_word(hash, frames[2]);
	return hash_word(hash, frames[3]);
}

__noinline __u64 hash_addresses(__u32 count)
{
	__u64 hash = 1;

#pragma clang loop unroll(disable)
	for (__u32 at = 0; at < MAX_FRAMES && at < count; at += STEP)
		hash = hash_addresses_from(hash, at);
	return hash;
}

/* The build id is a hash itself: eight bytes of it tell files apart. */
static __always_inline __u64 hash_found_frame(__u64 hash, struct found_frame *frame, __u32 *status)
{
	*status |= frame->status;
	return hash_word(hash_word(hash, ((__u64 *)frame)[1]), frame->offset);
}

static __always_inline __u64 hash_user_frame(__u64 hash, struct user_frame *frame, __u32 *status)
{
	*status |= frame->status;
	return hash_word(hash, frame->offset ^ (__u64)frame->file << 40);
}

__noinline __u64 hash_frames_from(__u64 hash, __u32 at)
{
	struct user_stack *stack;
	__u32 zero = 0, status = 0;

	stack = bpf_map_lookup_elem(&user_scratch, &zero);
	if (!stack || at > MAX_USER_FRAMES - STEP)
		return 0;
	if (!stack->found) {
		struct user_frame *frames = &stack->frames[at];

		hash = hash_user_frame(hash, &frames[0], &status);
		hash = hash_user_frame(hash, &frames[1], &status);
		hash = hash_user_frame(hash, &frames[2], &status);
		hash = hash_user_frame(hash, &frames[3], &status);
	} else if (at <= MAX_FOUND_FRAMES - STEP) {
		struct found_frame *frames = &stack->found_frames[at];

		hash = hash_found_frame(hash, &frames[0], &status);
		hash = hash_found_frame(hash, &frames[1], &status);
		hash = hash_found_frame(hash, &frames[2], &status);
		hash = hash_found_frame(hash, &frames[3], &status);
	}
	if (status & FRAME_IS_ADDRESS)
		stack->is_private = true;
	return hash;
}

__noinline __u64 hash_frames(__u32 count)
{
	struct user_stack *stack;
	__u32 zero = 0;
	__u64 hash;

	stack = bpf_map_lookup_elem(&user_scratch, &zero);
	if (!stack)
		return 0;
	stack->is_private = false;
	hash = hash_word(stack->end + 1, stack->uid);
#pragma clang loop unroll(disable)
	for (__u32 at = 0; at < MAX_USER_FRAMES && at < count; at += STEP)
		hash = hash_frames_from(hash, at);
	return stack->is_private ? hash | STACK_IS_PRIVATE : hash & ~STACK_IS_PRIVATE;
}

static __always_inline void keep_stack(void *map, __u64 *hash, void *stack)
{
	if (bpf_map_lookup_elem(map, hash))
		return;
	if (!bpf_map_update_elem(map, hash, stack, BPF_NOEXIST)) {
		__sync_fetch_and_add(&epoch.stacks, 1);
		/* Two CPUs that add at once may both miss it: the next one comes before a map is full. */
		if (*(volatile __u64 *)&epoch.stacks % STACKS_PER_WAKE_UP == 0)
			wake_reader();
	} else if (!bpf_map_lookup_elem(map, hash)) { /* else -EEXIST: another CPU was faster */
		count_loss(LOSS_STACK_NOT_KEPT);
		*hash = 0;
	}
}

/* The kernel stack of the current thread; 0: none, as in a sample of user code. */
static __always_inline __u64 kernel_stack(void *ctx)
{
	struct kernel_stack *stack;
	__u32 zero = 0;
	__u64 hash;
	long bytes;

	stack = bpf_map_lookup_elem(&address_scratch, &zero);
	if (!stack)
		return 0;
	bytes = bpf_get_stack(ctx, stack->frames, sizeof(stack->frames), 0);
	if (bytes <= 0)
		return 0;
	stack->count = (__u32)bytes / sizeof(stack->frames[0]);
	stack->pad = 0;
	hash = hash_addresses(stack->count);
	if (hash)
		keep_stack(&kernel_stacks, &hash, stack);
	return hash;
}

/* By frame pointers, as many frames as `most` bytes hold; the kernel clears the rest of those. */
static __always_inline void follow_frame_pointers(void *ctx, struct user_stack *stack, __u32 most)
{
	long bytes = bpf_get_stack(ctx, stack->found_frames, most, BPF_F_USER_STACK | BPF_F_USER_BUILD_ID);

	stack->count = bytes <= 0 ? 0 : (__u32)bytes / sizeof(stack->found_frames[0]);
	stack->found = true;
}

/* A last step of hashing that is not full is zeroes. */
static __always_inline void clear_after(struct user_stack *stack)
{
	for (__u32 i = 0; i < STEP - 1; i++) {
		__u32 at = stack->count + i;

		if (stack->found && at < MAX_FOUND_FRAMES)
			__builtin_memset(&stack->found_frames[at], 0, sizeof(stack->found_frames[at]));
		if (!stack->found && at < MAX_USER_FRAMES)
			__builtin_memset(&stack->frames[at], 0, sizeof(stack->frames[at]));
	}
}

/* The user stack of the current thread; 0: none, as in a kernel thread. A function of its own: callers need their stack. */
static __noinline __u64 user_stack(void *ctx)
{
	struct user_stack *stack;
	__u32 zero = 0;
	__u64 hash;

	stack = bpf_map_lookup_elem(&user_scratch, &zero);
	if (!stack || in_kernel_thread())
		return 0;
	stack->uid = (__u32)bpf_get_current_uid_gid();
	stack->found = false;
	stack->count = 0;
	stack->end = config.unwinds ? walk_user_stack() : STACK_BY_FRAME_POINTER;
	if (stack->end == STACK_BY_FRAME_POINTER && in_exec()) {
		stack->count = 0;
		stack->end = STACK_IN_EXEC;
	} else if (stack->end == STACK_BY_FRAME_POINTER) {
		follow_frame_pointers(ctx, stack, sizeof(stack->found_frames));
		if (!stack->count)
			return 0;
	} else if (!stack->count && stack->end != STACK_IN_EXEC) {
		/* Where it runs is certain; who called that is not. */
		follow_frame_pointers(ctx, stack, sizeof(stack->found_frames[0]));
		/* The next program may have its code there when it is looked up. */
		if (stack->end == STACK_NO_TABLE && stack->found_frames[0].status == FRAME_IS_ADDRESS &&
		    is_of_program(stack->found_frames[0].offset))
			stack->count = 0;
	}
	clear_after(stack);
	hash = hash_frames(stack->count);
	if (!hash)
		return 0;
	if (stack->count <= (stack->found ? SHALLOW_FRAMES / 2 : SHALLOW_FRAMES))
		keep_stack(&user_stacks, &hash, stack);
	else
		keep_stack(&deep_user_stacks, &hash, stack);
	return hash;
}

#endif
