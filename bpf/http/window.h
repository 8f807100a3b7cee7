/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP/1.0 and 1.1 by the framing of RFC 9112, one window of bytes at a time: lines until the header's end, then as many
 * bytes as Content-Length says, or chunks, or all until the connection ends. Bodies are skipped without being read.
 * A line that ends in a later window, or in a later call, is carried over by its first bytes.
 */
#ifndef EBREC_HTTP_WINDOW_H
#define EBREC_HTTP_WINDOW_H

#include "ebrec.h"

#include "bytes.h"
#include "calls.h"
#include "conn.h"
#include "call.h"
#include "outcome.h"
#include "parse.h"

/* Windows, vectors and chunks of one call that are looked at. */
#define HTTP_PARTS 128

/* Skips what needs no look. */
static __always_inline __u64 skip_body(struct call *call, struct direction *direction, bool answer)
{
	__u64 taken = call->total - call->offset;

	if (direction->part == PART_REST)
		return taken;
	if (taken > direction->left)
		taken = direction->left;
	direction->left -= taken;
	if (!direction->left) {
		if (direction->chunked)
			direction->part = PART_CHUNK;
		else
			end_message(call, direction, answer);
	}
	return taken;
}

/* Takes over what the lines say. */
static __always_inline void take_lines(struct call *call, struct conn *conn, struct direction *direction, bool answer)
{
	if (call->part == PART_HEADER) {
		direction->chunked = call->chunked;
		if (call->length_at) {
			direction->left = call->value;
			direction->has_length = 1;
		}
	}
	/* As long as what can be carried, whether it is cut or not. */
	if (call->part == PART_CHUNK && call->at - call->line + !call->ended > HTTP_CARRY) {
		call->gave_up = 1 + UNPARSED_OUT_OF_STEP;
		return;
	}
	if (!call->ended) {
		carry_over(call, direction);
		return;
	}
	direction->carried = 0;
	direction->in_line = 0;
	if (call->part == PART_CHUNK) {
		/* With the newline after it. */
		direction->left = call->value + 2;
		direction->part = call->value ? PART_BODY : PART_TRAILER;
	} else if (call->part == PART_TRAILER) {
		end_message(call, direction, answer);
	} else {
		end_header(call, conn, direction, answer);
	}
}

/* Reads a window of text, after what was carried over. False: it can't be read. */
static __always_inline bool read_text(struct call *call, struct direction *direction)
{
	__u64 most = direction->part == PART_CHUNK ? 32 : HTTP_WINDOW;
	__u32 carried = direction->carried & (HTTP_CARRY - 1), taken = call->length < most ? call->length : most;

	taken &= 2 * HTTP_WINDOW - 1;
	if (carried)
		__builtin_memcpy(call->text, direction->carry, HTTP_CARRY);
	if (taken > HTTP_WINDOW || bpf_probe_read_user(call->text + carried, taken, (void *)call->source))
		return false;
	__builtin_memset(call->text + carried + taken, 0, STRIDE);
	call->have = carried + taken;
	call->at = carried;
	call->line = 0;
	call->in_line = direction->in_line;
	return true;
}

/* Many protocols have lines of words: it is the version at its end that tells a request line. */
static __always_inline bool is_other_protocol(struct call *call, struct conn *conn, __u32 first)
{
	/* The end of a long line may not be here. */
	if (!call->whole || call->at > HTTP_CARRY)
		return first == METHOD_OTHER && conn->role == ROLE_UNKNOWN;
	return !ends_with_version(call, call->at);
}

static __always_inline __u64 parse_text(struct call *call, struct conn *conn, struct direction *direction, __u32 slot)
{
	__u32 carried = direction->carried, first;

	if (!call->source)
		return not_http(call, conn, direction);
	if (!read_text(call, direction)) {
		count_loss(LOSS_UNREADABLE);
		call->gave_up = 1 + UNPARSED_OUT_OF_STEP;
		return 0;
	}
	if (direction->part == PART_START) {
		if (!carried) {
			direction->since = call->outgoing ? call->start : call->now;
			direction->bytes = 0;
		}
		first = http_first_line(slot);
		if (call->whole && call->at <= 2 && conn->role != ROLE_UNKNOWN) {
			/* RFC 9112, 2.2: an empty line before a request is to be ignored. */
			direction->carried = 0;
			return call->at - carried;
		}
		if (!call->whole && (call->have < 13 || (call->have < HTTP_METHOD_BYTES + 2 && !first) ||
				     (call->have < HTTP_CARRY && first && first < FIRST_TLS))) {
			carry_over(call, direction);
			return call->at - carried;
		}
		if (!first || (first <= METHOD_OTHER && is_other_protocol(call, conn, first)))
			return not_http(call, conn, direction);
		if (!begin_message(call, conn, direction, first, slot))
			return 0;
		call->in_line = !call->whole;
		call->line = call->at;
	}
	call->part = direction->part;
	call->chunked = direction->chunked;
	http_lines(slot);
	take_lines(call, conn, direction, is_answer(conn, call->outgoing));
	return call->at - carried;
}

static __always_inline bool in_body(struct direction *direction)
{
	return direction->part == PART_BODY || direction->part == PART_REST;
}

static __always_inline void move_on(struct call *call, struct direction *direction, __u64 taken)
{
	direction->bytes += taken;
	call->offset += taken;
}

/* Looks at one window, and goes over as much of a body as came with it. 0: the connection is not to be followed. */
static __always_inline int parse(struct call *call, struct conn *conn, __u32 slot)
{
	struct direction *direction = &conn->direction[call->outgoing & 1];
	__u64 taken = 1;

	call->answered = 0;
	call->gave_up = 0;
	if (!in_body(direction)) {
		taken = parse_text(call, conn, direction, slot);
		move_on(call, direction, taken);
	}
	if (in_body(direction) && call->offset < call->total && !call->gave_up)
		move_on(call, direction, skip_body(call, direction, is_answer(conn, call->outgoing)));
	if (is_answer(conn, call->outgoing))
		conn->last = call->now;
	if (call->answered)
		answered(conn, direction, call->now, slot);
	if (call->gave_up)
		give_up(conn, call->gave_up - 1);
	return taken && conn->role < ROLE_OTHER;
}

__noinline int http_window(__u32 slot)
{
	struct call *call = call_in(slot);
	struct conn *conn;

	if (!call)
		return 0;
	conn = bpf_map_lookup_elem(&conns, &call->key);
	if (!conn || conn->role >= ROLE_OTHER)
		return 0;
	return parse(call, conn, slot);
}

/* Goes one part on through the bytes of a call: to the next vector, or over a window. 0: there is no more to see. */
__noinline int http_part(__u32 slot)
{
	struct call *call = call_in(slot);
	struct user_vector vector;
	__u64 in;

	if (!call || call->offset >= call->total)
		return 0;
	in = call->offset - call->begins;
	if (call->vectors && in >= call->size) {
		call->begins += call->size;
		if (bpf_probe_read_user(&vector, sizeof(vector), (void *)call->vectors)) {
			count_loss(LOSS_UNREADABLE);
			return 0;
		}
		call->base = vector.base;
		call->size = vector.length;
		call->vectors += sizeof(vector);
		return 1;
	}
	call->source = call->base ? call->base + in : 0;
	call->length = call->size - in;
	if (call->length > call->total - call->offset)
		call->length = call->total - call->offset;
	return http_window(slot);
}

/* Goes through what a call moved from where the call is; gives up what has too many parts. */
static __always_inline void follow_on(struct call *call, __u32 slot)
{
	struct conn *conn;

#pragma clang loop unroll(disable)
	for (__u32 part = 0; part < HTTP_PARTS; part++)
		if (!http_part(slot))
			break;
	if (call->offset >= call->total)
		return;
	conn = bpf_map_lookup_elem(&conns, &call->key);
	if (conn && conn->role < ROLE_OTHER)
		give_up(conn, UNPARSED_MANY_PARTS);
}

/* Goes through all that a call moved. Most have one message, which needs no look-up but the caller's. */
static __always_inline void follow(struct call *call, struct conn *conn, __u32 slot)
{
	if (!first_part(call))
		return;
	if (call->length && (!parse(call, conn, slot) || call->offset >= call->total))
		return;
	follow_on(call, slot);
}

#endif
