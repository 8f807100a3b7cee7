/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls of a function, from the entry to the return, by thread: a stack of those that are under way, so that recursion
 * and functions that call each other are told apart. A call without a known end (a return that the kernel missed, a
 * longjmp) is noticed when the thread's stack is found to be above it, and counted.
 */
#ifndef EBREC_EVENTS_CALLS_H
#define EBREC_EVENTS_CALLS_H

#include "ebrec.h"

#include "code.h"
#include "hit.h"
#include "knobs.h"

/* Threads that are in the function at one time, and calls below a thread's outermost one. */
#define CALL_THREADS 16384
#define CALL_DEEPER  16384
/* Calls of one thread in each other; those that are deeper are lost, and counted. */
#define CALL_DEPTH 64
/* Calls without an end that are dropped at once. */
#define CALL_DROPS 4
/* Arguments kept of an entry. */
#define CALL_ARGUMENTS 6
/*
 * Stack pointers further apart are of two stacks, and tell nothing: a thread's own and an interrupt's, or one that a
 * program switched to. A stack of the kernel is 16 KiB, or 64 with large pages; a process's own ends at 8 MiB by default.
 */
#define KERNEL_STACK_SPAN (1ULL << 14)
#define USER_STACK_SPAN	  (1ULL << 23)
/* The idle threads of all CPUs have one number. */
#define IDLE_THREAD 0x80000000

struct call {
	__u64 start;
	__u64 sp;
	__u64 args[CALL_ARGUMENTS];
	__u32 place;
	__u32 pad;
};

struct calls {
	__u32 depth;
	__u32 pad;
	struct call first;
};

struct deeper_key {
	__u32 thread;
	__u32 depth;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CALL_THREADS);
	__type(key, __u32);
	__type(value, struct calls);
} calls_of_thread SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CALL_DEEPER);
	__type(key, struct deeper_key);
	__type(value, struct call);
} deeper_calls SEC(".maps");

static __always_inline __u32 this_thread(void)
{
	__u32 tid = bpf_get_current_pid_tgid();

	return tid ? tid : IDLE_THREAD | bpf_get_smp_processor_id();
}

static __always_inline struct call *call_at(struct calls *calls, __u32 thread, __u32 depth)
{
	struct deeper_key key = {.thread = thread, .depth = depth};

	return depth == 1 ? &calls->first : bpf_map_lookup_elem(&deeper_calls, &key);
}

static __always_inline void drop_call(struct calls *calls, __u32 thread)
{
	struct deeper_key key = {.thread = thread, .depth = calls->depth};

	if (calls->depth > 1 && calls->depth <= CALL_DEPTH)
		bpf_map_delete_elem(&deeper_calls, &key);
	calls->depth--;
	if (!calls->depth)
		bpf_map_delete_elem(&calls_of_thread, &thread);
}

/* Whether a thread whose stack pointer is `sp` has left the function. Stacks grow down. */
static __always_inline bool is_above(__u64 sp, __u64 of_call, bool user)
{
	return sp > of_call && sp - of_call < (user ? USER_STACK_SPAN : KERNEL_STACK_SPAN);
}

static __always_inline void fill_call(struct call *call, struct hit *hit, __u64 sp)
{
	call->sp = sp;
	call->place = hit->place;
	call->pad = 0;
	for (int i = 0; i < CALL_ARGUMENTS; i++)
		call->args[i] = hit->args[i];
	call->start = bpf_ktime_get_ns();
}

/* A function begins; `hit` has its arguments and place. */
static __noinline int call_begins(struct hit *hit, __u64 sp, bool user)
{
	__u32 thread = this_thread();
	struct deeper_key key = {.thread = thread};
	struct calls *calls, fresh;
	struct call *top;

	calls = bpf_map_lookup_elem(&calls_of_thread, &thread);
	if (!calls) {
		fresh.depth = 1;
		fresh.pad = 0;
		fill_call(&fresh.first, hit, sp);
		update_or_count(&calls_of_thread, &thread, &fresh, LOSS_STATE_FULL);
		return 0;
	}
	for (int i = 0; i < CALL_DROPS && calls->depth; i++) {
		top = call_at(calls, thread, calls->depth);
		if (!top || (!is_above(sp, top->sp, user) && (sp != top->sp || top->place != hit->place)))
			break;
		count_loss(LOSS_END_UNSEEN);
		/* Not by drop_call: with the entry kept, this call needs no new one. */
		key.depth = calls->depth;
		if (calls->depth > 1)
			bpf_map_delete_elem(&deeper_calls, &key);
		calls->depth--;
	}
	if (calls->depth >= CALL_DEPTH) {
		count_loss(LOSS_STATE_FULL);
		/* Its return tells itself by the stack pointer, if it comes: the kernel gives up at a depth of 64 itself. */
		if (!user)
			calls->depth++;
		return 0;
	}
	calls->depth++;
	if (calls->depth == 1) {
		fill_call(&calls->first, hit, sp);
		return 0;
	}
	key.depth = calls->depth;
	fill_call(&fresh.first, hit, sp);
	update_or_count(&deeper_calls, &key, &fresh.first, LOSS_STATE_FULL);
	return 0;
}

/*
 * A function returns. With `sp`, what the stack pointer was at its entry, or 0 where that is not known. False: the entry
 * was not seen, most often because it was before the window; what was lost at the entry was counted there.
 */
static __noinline bool call_ends(struct hit *hit, __u64 sp, bool known_sp)
{
	__u32 thread = this_thread(), depth;
	struct calls *calls;
	struct call *top;

	hit->now = bpf_ktime_get_ns();
	calls = bpf_map_lookup_elem(&calls_of_thread, &thread);
	if (!calls)
		return false;
	for (int i = 0; i <= CALL_DROPS; i++) {
		depth = calls->depth;
		if (depth > CALL_DEPTH) {
			calls->depth--;
			return false;
		}
		top = call_at(calls, thread, depth);
		if (!top) {
			/* It was counted when there was no room for it. */
			drop_call(calls, thread);
			return false;
		}
		if (known_sp ? is_above(sp, top->sp, true) : knobs.cookies && top->place != hit->place) {
			count_loss(LOSS_END_UNSEEN);
			drop_call(calls, thread);
			/* With the last one its entry is gone. */
			if (depth == 1)
				return false;
			continue;
		}
		if (known_sp && top->sp != sp)
			return false;
		hit->duration = hit->now - top->start;
		for (int j = 0; j < CALL_ARGUMENTS; j++)
			hit->args[j] = top->args[j];
		drop_call(calls, thread);
		return true;
	}
	return false;
}

/* What a thread that ends was in. */
static __always_inline void forget_calls(void)
{
	__u32 thread = this_thread();
	struct calls *calls = bpf_map_lookup_elem(&calls_of_thread, &thread);

	if (!calls)
		return;
	for (int i = 0; i < CALL_DEPTH && calls->depth > 1; i++)
		drop_call(calls, thread);
	bpf_map_delete_elem(&calls_of_thread, &thread);
}

#endif
