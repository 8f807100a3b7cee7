/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of functions of programs: from a function's entry to one of its exits, each an ordinary breakpoint, so that the
 * program's stack stays as it is. A frame is known by the stack pointer at the entry, which is the same at each return
 * instruction. Threads don't matter: a coroutine may return on another one.
 *
 * A frame that an exception, longjmp or the end of its thread took away is found dead when the next one takes its place.
 */
#ifndef EBREC_FRAMES_H
#define EBREC_FRAMES_H

#include "ebrec.h"

#include "frame_types.h"

/*
 * Frames open at one time in one event, with dead ones whose stack is not used again. They take memory as they come:
 * about 150 bytes each.
 */
#define FRAMES 65536
/* Processes with frames. */
#define FRAME_OWNERS 16384

/* By process: its identity. What a process leaves that ends, or runs another program, user space sweeps up. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FRAME_OWNERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
} frame_owners SEC(".maps");

/* How many of them are gone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} frame_owners_gone SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs___frame {
	unsigned long sp, r14;
};
#else
struct pt_regs___frame {
	__u64 regs[31];
	__u64 sp;
};
#endif
#pragma clang attribute pop

/* Tells a process from an earlier one of its number, and from itself before it ran another program. */
static __always_inline __u64 process_identity(void)
{
	struct task_struct *task = current_task();

	if (task)
		return untrusted_task(task)->group_leader->start_time ^ task->self_exec_id << 48;
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, group_leader, start_time) ^ BPF_CORE_READ(task, self_exec_id) << 48;
}

/* The stack pointer as it was at the function's entry. */
static __always_inline __u64 stack_at_entry(struct pt_regs *ctx, __u64 place)
{
	struct pt_regs___frame *regs = (void *)ctx;

	return regs->sp + (place >> PLACE_STACK_SHIFT & ((1ULL << PLACE_STACK_BITS) - 1));
}

/* Where the function returns to. */
static __always_inline __u64 return_address(struct pt_regs *ctx, __u64 place)
{
	__u64 back = 0;

#if defined(__TARGET_ARCH_x86)
	if (bpf_probe_read_user(&back, sizeof(back), (void *)stack_at_entry(ctx, place)))
		count_loss(LOSS_MEMORY_UNREADABLE);
#else
	back = ((struct pt_regs___frame *)ctx)->regs[30];
#endif
	return back;
}

/*
 * The key of the frame at the current instruction. Of Go: the register of g is part of its calling convention since 1.17
 * (x86_64: r14, aarch64: x28); g begins with the stack's bounds.
 */
static __always_inline bool frame_key_of(struct frame_key *key, struct pt_regs *ctx, __u64 place)
{
	struct pt_regs___frame *regs = (void *)ctx;
	__u64 end;

	key->stack = stack_at_entry(ctx, place);
	key->goroutine = 0;
	key->pid = bpf_get_current_pid_tgid() >> 32;
	key->function = place;
	if (!(place >> PLACE_GOROUTINE_BIT & 1))
		return true;
#if defined(__TARGET_ARCH_x86)
	key->goroutine = regs->r14;
#else
	key->goroutine = regs->regs[28];
#endif
	if (bpf_probe_read_user(&end, sizeof(end), (void *)key->goroutine + sizeof(end))) {
		count_loss(LOSS_MEMORY_UNREADABLE);
		return false;
	}
	key->stack = end - key->stack;
	return true;
}

/* Whether there is room to remember who has frames. */
static __always_inline bool frame_owner(__u32 pid, __u64 process)
{
	__u64 *known = bpf_map_lookup_elem(&frame_owners, &pid);

	return (known && *known == process) || !update_or_count(&frame_owners, &pid, &process, LOSS_STATE_FULL);
}

/* A function begins; `frame` is the first member of a value of `frames`, and has its start and return address. */
static __always_inline void frame_begins(void *frames, struct frame_key *key, struct frame *frame)
{
	struct frame *dead;

	frame->process = process_identity();
	if (!frame_owner(key->pid, frame->process))
		return;
	dead = bpf_map_lookup_elem(frames, key);
	if (dead && dead->process == frame->process)
		count_loss(LOSS_END_UNSEEN);
	update_or_count(frames, key, frame, LOSS_STATE_FULL);
}

/*
 * The frame that ends at this exit; the caller drops it. NULL: it began before the window or out of scope, it was lost
 * when it began and counted there, or the exit is another function's.
 */
static __always_inline void *frame_at_exit(void *frames, struct frame_key *key, struct pt_regs *ctx, __u64 place)
{
	struct frame *frame = bpf_map_lookup_elem(frames, key);

	if (!frame || frame->process != process_identity())
		return NULL;
	if (place >> PLACE_SHARED_BIT & 1 && frame->back != return_address(ctx, 0)) {
		count_loss(LOSS_END_UNSEEN);
		bpf_map_delete_elem(frames, key);
		return NULL;
	}
	return frame;
}

/* For the hooks of a process that ends, or runs another program. */
static __always_inline void frame_owner_goes(__u32 pid)
{
	__u32 zero = 0;
	__u64 *gone;

	if (bpf_map_delete_elem(&frame_owners, &pid))
		return;
	gone = bpf_map_lookup_elem(&frame_owners_gone, &zero);
	if (gone)
		__sync_fetch_and_add(gone, 1);
}

#endif
