/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls whose arguments could not be read when they were entered, since the page was not in memory: the kernel fetches it on
 * behalf of the call, so they are read when it returns.
 */
#ifndef EBREC_EVENTS_UNREAD_H
#define EBREC_EVENTS_UNREAD_H

#include "ebrec.h"

#include "calls.h"
#include "code.h"
#include "hit.h"
#include "rows.h"

/* Calls that are under way at one time with something unread. */
#define UNREAD_CALLS 4096
/* A tracepoint's record of a call: what all records begin with, the call's number, six arguments. */
#define UNREAD_WORDS 8

struct unread_call {
	__u64 record[UNREAD_WORDS];
	__u64 now;
	__u32 place;
	__u32 is_counted; /* only its row is missing */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UNREAD_CALLS);
	__type(key, __u32);
	__type(value, struct unread_call);
} unread_calls SEC(".maps");

/* By itself: its stack would be that of all that a hit leads to. */
static __noinline int wait_for_return(void *ctx, struct hit *hit)
{
	struct unread_call call = {.now = hit->now, .place = hit->place, .is_counted = hit->is_counted};
	__u32 tid = bpf_get_current_pid_tgid();

	bpf_probe_read_kernel(call.record, sizeof(call.record), ctx);
	return update_or_count(&unread_calls, &tid, &call, LOSS_UNREADABLE);
}

static __always_inline void unread_call_returns(void *ctx)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct unread_call *call = bpf_map_lookup_elem(&unread_calls, &tid);
	struct hit hit = {};

	if (!call)
		return;
	hit.now = call->now;
	hit.place = call->place;
	hit.record = as_number(call);
	if (!call->is_counted)
		on_hit(ctx, &hit);
	else if (window_start())
		stream(ctx, &hit);
	bpf_map_delete_elem(&unread_calls, &tid);
}

/* A call that never returns. */
static __always_inline void forget_unread_call(void)
{
	__u32 tid = bpf_get_current_pid_tgid();

	if (!bpf_map_delete_elem(&unread_calls, &tid))
		count_loss(LOSS_UNREADABLE);
}

#endif
