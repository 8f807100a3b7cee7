/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls of functions of programs, from the entry to one of the function's own exits: see frames.h.
 */
#ifndef EBREC_EVENTS_CALL_FRAMES_H
#define EBREC_EVENTS_CALL_FRAMES_H

#include "ebrec.h"

#include "ended.h"
#include "frames.h"
#include "calls.h"
#include "code.h"
#include "hit.h"

struct call_frame {
	struct frame frame;
	__u64 args[CALL_ARGUMENTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FRAMES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct frame_key);
	__type(value, struct call_frame);
} frames SEC(".maps");

/* A function begins; `hit` has its arguments. */
static __noinline int call_frame_begins(struct hit *hit, struct pt_regs *ctx, __u64 place)
{
	struct call_frame call;
	struct frame_key key;

	if (!frame_key_of(&key, ctx, place))
		return 0;
	for (int i = 0; i < CALL_ARGUMENTS; i++)
		call.args[i] = hit->args[i];
	call.frame.back = place >> PLACE_SHARED_BIT & 1 ? return_address(ctx, place) : 0;
	call.frame.start = bpf_ktime_get_ns();
	frame_begins(&frames, &key, &call.frame);
	return 0;
}

/* A function returns. False: it is no call that began in the window and in scope. */
static __noinline bool call_frame_ends(struct hit *hit, struct pt_regs *ctx, __u64 place)
{
	struct call_frame *call;
	struct frame_key key;

	hit->now = bpf_ktime_get_ns();
	if (!frame_key_of(&key, ctx, place))
		return false;
	call = frame_at_exit(&frames, &key, ctx, place);
	if (!call)
		return false;
	hit->duration = hit->now - call->frame.start;
	for (int i = 0; i < CALL_ARGUMENTS; i++)
		hit->args[i] = call->args[i];
	bpf_map_delete_elem(&frames, &key);
	return true;
}

#endif
