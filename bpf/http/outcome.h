/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a request that has got its answer, or none, and of what can't be told.
 */
#ifndef EBREC_HTTP_OUTCOME_H
#define EBREC_HTTP_OUTCOME_H

#include "ebrec.h"

#include "conn.h"
#include "call.h"
#include "route.h"

static __always_inline void unparsed(struct conn *conn, enum http_reason reason, __u64 count)
{
	__u32 pid = conn->pid ?: bpf_get_current_pid_tgid() >> 32;

	if (count && window_start())
		counter_add(HTTP_UNPARSED, pid, reason, count);
}

static __always_inline __u64 sub_of(struct conn *conn, struct request_seen *request)
{
	return request->method | (conn->role == ROLE_CLIENT ? HTTP_SUB_CLIENT : 0) | (conn->tls ? HTTP_SUB_TLS : 0);
}

static __always_inline void stream_request(struct conn *conn, struct request_seen *request, __u8 event, __u32 sub,
					   __u64 end, __u64 bytes)
{
	struct http_record *record;
	void *ring = ring_of_this_cpu();

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, event, end, conn->pid, request->tid);
	record->header.pad = sub;
	record->took_ns = end - request->start;
	record->bytes = bytes;
	record->peer_port = conn->peer_port;
	record->port = conn->port;
	record->path_bytes = request->path_bytes;
	record->family = conn->family;
	record->pad[0] = record->pad[1] = 0;
	__builtin_memcpy(record->comm, request->comm, sizeof(record->comm));
	bpf_probe_read_kernel(record->path, sizeof(record->path), request->path);
	ring_submit(ring, record);
}

/* The answer under way has ended; its request was the first in the queue. */
static __always_inline void answered(struct conn *conn, struct direction *direction, __u64 end, __u32 slot)
{
	struct request_seen *request = &conn->waiting[conn->head % HTTP_WAITING];
	__u64 sub, took = end - request->start;

	if (!conn->status)
		return;
	sub = sub_of(conn, request) | (__u64)conn->status << HTTP_SUB_STATUS_SHIFT;
	if (window_start()) {
		sub |= route_of(request, slot);
		hist_add(HTTP_LATENCY, conn->pid, sub, took);
		if ((config.stream == STREAM_ALL && row_is_drawn()) ||
		    (config.stream == STREAM_SLOW && (took >= config.slow_ns || conn->status >= 500)))
			stream_request(conn, request, HTTP_ANSWERED, sub, end, direction->bytes);
	}
	conn->status = 0;
	conn->restarts = 0;
	conn->head++;
}

/* The first request in the queue got no answer, or not all of it. */
static __always_inline void went_unanswered(struct conn *conn, __u64 end, __u32 slot)
{
	struct request_seen *request = &conn->waiting[conn->head % HTTP_WAITING];
	__u64 sub = sub_of(conn, request) | (__u64)conn->status << HTTP_SUB_STATUS_SHIFT;

	if (window_start()) {
		sub |= route_of(request, slot);
		counter_add(HTTP_UNANSWERED_COUNT, conn->pid, sub, 1);
		if (config.stream != STREAM_NONE)
			stream_request(conn, request, HTTP_UNANSWERED, sub, end, 0);
	}
	conn->status = 0;
	conn->head++;
}

/* Nothing more is said of the connection. */
static __always_inline void give_up(struct conn *conn, enum http_reason reason)
{
	unparsed(conn, reason, 1 + conn->tail - conn->head + conn->over);
	conn->role = ROLE_OTHER;
	conn->head = conn->tail;
	conn->over = 0;
	conn->status = 0;
}

/* Bytes went by unseen: what was under way can't be told, what begins from here on can. */
static __always_inline void start_over(struct conn *conn)
{
	__u32 under_way = conn->tail - conn->head + conn->over;

	if (conn->restarts >= HTTP_RESTARTS) {
		give_up(conn, UNPARSED_UNSEEN);
		return;
	}
	/* An answer that was ahead of its request was counted when it came. */
	unparsed(conn, UNPARSED_UNSEEN, under_way || conn->early ? under_way : 1);
	conn->restarts++;
	conn->role = ROLE_UNKNOWN;
	conn->head = conn->tail;
	conn->over = conn->early = 0;
	conn->status = 0;
	conn->tries = conn->begun = 0;
	for (__u32 i = 0; i < 2; i++) {
		conn->direction[i].part = PART_START;
		conn->direction[i].carried = conn->direction[i].in_line = 0;
	}
}

/* The first request in the queue got no answer, or not all of it. 0: there was none. */
__noinline int http_unanswered(__u32 slot)
{
	struct call *call = call_in(slot);
	struct conn *conn;

	if (!call)
		return 0;
	conn = bpf_map_lookup_elem(&conns, &call->key);
	if (!conn || conn->head == conn->tail)
		return 0;
	went_unanswered(conn, call->now, slot);
	return 1;
}

/* The connection has ended: what waits for an answer gets none, and an answer until its end has come to it. */
__noinline int http_finish(__u32 slot)
{
	struct call *call = call_in(slot);
	struct direction *direction;
	struct conn *conn;

	if (!call)
		return 0;
	conn = bpf_map_lookup_elem(&conns, &call->key);
	if (!conn || conn->role >= ROLE_OTHER)
		return 0;
	direction = &conn->direction[conn->role == ROLE_SERVER];
	if (conn->status && direction->part == PART_REST)
		answered(conn, direction, conn->last, slot);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < HTTP_WAITING; i++)
		if (!http_unanswered(slot))
			break;
	return 0;
}

#endif
