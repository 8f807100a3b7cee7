/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP through libssl: the plain bytes as SSL_read and SSL_write, and their variants that end in _ex, take and give them.
 * OpenSSL 1.1 and 3 have the same arguments. A connection is the SSL that the functions are called with.
 */
#ifndef EBREC_HTTP_TLS_H
#define EBREC_HTTP_TLS_H

#include "ebrec.h"

#include "own_stack.h"
#include "ended.h"
#include "frames.h"
#include "bytes.h"
#include "calls.h"
#include "conn.h"
#include "call.h"
#include "outcome.h"
#include "window.h"

/* Threads that are in libssl at one time. */
#define TLS_THREADS 8192
/* How far below a call's frame libssl is when it moves bytes: what is further away may be another coroutine's stack. */
#define TLS_STACK_SPAN 32768
/* Programs on functions of processes can be interrupted by others of their kind: that deep. */
#define TLS_DEPTH 4

/* A call that is under way. */
struct tls_call {
	struct frame frame;
	__u64 ssl;
	__u64 buffer;
	__u64 moved_at;	 /* where the number of bytes will be; 0: it is returned */
	__u16 peer_port; /* of the socket that was read or written meanwhile; 0: none */
	__u16 port;
	__u16 outgoing;
	__u16 family;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FRAMES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct frame_key);
	__type(value, struct tls_call);
} frames SEC(".maps");

/* The call that a thread began last. Another coroutine may run there by now, and nothing is lost with an entry but a port. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TLS_THREADS);
	__type(key, __u64);
	__type(value, struct frame_key);
} tls_threads SEC(".maps");

static __always_inline __u64 function_argument(struct pt_regs *ctx, __u32 number)
{
	struct pt_regs___http *r = (void *)ctx;

#if defined(__TARGET_ARCH_x86)
	return number == 1 ? r->di : number == 2 ? r->si : r->cx;
#else
	return number == 1 ? r->regs[0] : number == 2 ? r->regs[1] : r->regs[3];
#endif
}

static __always_inline __s32 function_result(struct pt_regs *ctx)
{
	struct pt_regs___http *r = (void *)ctx;

#if defined(__TARGET_ARCH_x86)
	return r->ax;
#else
	return r->regs[0];
#endif
}

/* Processes that call libssl own frames: what TLS they speak beside it is not told apart. */
static __always_inline int tls_begun(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (current_in_scope_as(tgid))
		frame_owner(tgid, process_identity());
	return 0;
}

/* Where a program is attached to a function; libssl is not Go. */
static __always_inline __u64 tls_place(struct pt_regs *ctx)
{
	return knobs.cookies ? bpf_get_attach_cookie(ctx) & ~(1ULL << PLACE_GOROUTINE_BIT) : 0;
}

/* `buffer`: 0 where the bytes never were in the process. `moved_at`: 0 where the function returns their number. */
static __always_inline int tls_enter(struct pt_regs *ctx, __u32 outgoing, __u64 buffer, __u64 moved_at)
{
	__u64 who = bpf_get_current_pid_tgid();
	struct tls_call tls = {
		.ssl = function_argument(ctx, 1),
		.buffer = buffer,
		.moved_at = moved_at,
		.outgoing = outgoing,
	};
	__u64 place = tls_place(ctx);
	struct frame_key key;

	if (!current_in_scope_as(who >> 32))
		return 0;
	/* One number for all functions: none of them has its frame where another one's is. */
	frame_key_of(&key, ctx, place);
	if (place >> PLACE_SHARED_BIT & 1)
		tls.frame.back = return_address(ctx, place);
	tls.frame.start = bpf_ktime_get_ns();
	frame_begins(&frames, &key, &tls.frame);
	bpf_map_update_elem(&tls_threads, &who, &key, BPF_ANY);
	return 0;
}

/* A socket that has TLS moved bytes: the call that does it, by its stack, learns whose they are. */
static __always_inline void tls_socket(struct conn *conn, __u64 who, struct pt_regs *regs)
{
	struct frame_key *key = bpf_map_lookup_elem(&tls_threads, &who);
	struct tls_call *tls;

	if (!key || key->stack - regs->sp > TLS_STACK_SPAN)
		return;
	tls = bpf_map_lookup_elem(&frames, key);
	if (!tls)
		return;
	tls->peer_port = conn->peer_port;
	tls->port = conn->port;
	tls->family = conn->family;
}

/* A connection begins with TLS: if not by libssl, what is in it will not be seen. */
static __always_inline void tls_begins(struct conn *conn, __u64 who)
{
	__u32 tgid = who >> 32;

	conn->pid = tgid;
	if (!bpf_map_lookup_elem(&frame_owners, &tgid))
		unparsed(conn, UNPARSED_TLS, 1);
}

/* Room to look at bytes that no program which interrupts this one has. */
static __always_inline struct call *tls_call_in(__u64 who, __u32 *slot)
{
	for (__u32 i = 0; i < TLS_DEPTH; i++) {
		struct call *call = call_in(SLOT_TLS + i);

		if (!call || call->owner)
			continue;
		call->owner = who;
		if (call->owner != who)
			continue;
		*slot = SLOT_TLS + i;
		return call;
	}
	count_loss(LOSS_STATE_FULL);
	return NULL;
}

static __always_inline struct conn *tls_conn(struct conn_key *key)
{
	struct conn *conn = bpf_map_lookup_elem(&conns, key);

	if (conn || update_or_count(&conns, key, &no_conn, LOSS_STATE_FULL))
		return conn;
	conn = bpf_map_lookup_elem(&conns, key);
	if (conn)
		conn->tls = 1;
	return conn;
}

/* How many bytes a call moved; 0: none, or it failed. */
static __always_inline __u64 tls_moved(struct tls_call *tls, __s32 result)
{
	__u64 moved = 0;

	if (result <= 0)
		return 0;
	if (!tls->moved_at)
		return result;
	if (bpf_probe_read_user(&moved, sizeof(moved), (void *)tls->moved_at))
		count_loss(LOSS_UNREADABLE);
	return moved;
}

static __always_inline void tls_follow(struct call *call, __u32 slot, struct tls_call *tls, __u64 moved)
{
	struct conn *conn;

	call->key.address = tls->ssl;
	call->key.tgid = call->who >> 32;
	call->key.pad = 0;
	conn = tls_conn(&call->key);
	if (!conn || conn->role >= ROLE_OTHER)
		return;
	if (tls->family) {
		conn->family = tls->family;
		conn->port = tls->port;
		conn->peer_port = tls->peer_port;
	}
	call->now = bpf_ktime_get_ns();
	call->outgoing = tls->outgoing;
	call->start = tls->frame.start;
	call->total = moved;
	call->base = tls->buffer;
	call->vectors = 0;
	/* Not as follow() does it: beside the cost of getting here a look-up is nothing, and the verifier has less to look at. */
	if (first_part(call))
		follow_on(call, slot);
}

static __always_inline int tls_leave(struct pt_regs *ctx)
{
	__u64 who = bpf_get_current_pid_tgid(), at = tls_place(ctx), moved;
	struct tls_call *tls, copy;
	struct frame_key key;
	__u32 slot = 0;
	struct call *call;

	if (!current_in_scope_as(who >> 32))
		return 0;
	frame_key_of(&key, ctx, at);
	tls = frame_at_exit(&frames, &key, ctx, at);
	if (!tls)
		return 0;
	copy = *tls;
	bpf_map_delete_elem(&frames, &key);
	bpf_map_delete_elem(&tls_threads, &who);
	moved = tls_moved(&copy, function_result(ctx));
	if (!moved)
		return 0;
	call = tls_call_in(who, &slot);
	if (!call)
		return 0;
	call->who = who;
	tls_follow(call, slot, &copy, moved);
	call->owner = 0;
	return 0;
}

/* The connection is over. */
static __always_inline int tls_gone(struct pt_regs *ctx)
{
	__u64 who = bpf_get_current_pid_tgid();
	struct conn_key key = {.address = function_argument(ctx, 1), .tgid = who >> 32};
	struct call *call;
	__u32 slot = 0;

	if (!bpf_map_lookup_elem(&conns, &key))
		return 0;
	call = tls_call_in(who, &slot);
	if (call) {
		call->key = key;
		call->now = bpf_ktime_get_ns();
		http_finish(slot);
		call->owner = 0;
	}
	bpf_map_delete_elem(&conns, &key);
	return 0;
}

#endif
