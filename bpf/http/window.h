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
#include "job.h"
#include "outcome.h"
#include "parse.h"

/* Windows, vectors and chunks of one call that are looked at. */
#define HTTP_PARTS 128

/* Skips what needs no look. */
static __always_inline __u64 skip_body(struct job *job, struct direction *way, bool answer)
{
	__u64 taken = job->total - job->offset;

	if (way->part == PART_REST)
		return taken;
	if (taken > way->left)
		taken = way->left;
	way->left -= taken;
	if (!way->left) {
		if (way->chunked)
			way->part = PART_CHUNK;
		else
			end_message(job, way, answer);
	}
	return taken;
}

/* Takes over what the lines say. */
static __always_inline void take_lines(struct job *job, struct conn *conn, struct direction *way, bool answer)
{
	if (job->part == PART_HEADER) {
		way->chunked = job->chunked;
		if (job->length_at) {
			way->left = job->value;
			way->has_length = 1;
		}
	}
	/* As long as what can be carried, whether it is cut or not. */
	if (job->part == PART_CHUNK && job->at - job->line + !job->ended > HTTP_CARRY) {
		job->gave_up = 1 + UNPARSED_OUT_OF_STEP;
		return;
	}
	if (!job->ended) {
		carry_over(job, way);
		return;
	}
	way->carried = 0;
	way->in_line = 0;
	if (job->part == PART_CHUNK) {
		/* With the newline after it. */
		way->left = job->value + 2;
		way->part = job->value ? PART_BODY : PART_TRAILER;
	} else if (job->part == PART_TRAILER) {
		end_message(job, way, answer);
	} else {
		end_header(job, conn, way, answer);
	}
}

/* Reads a window of text, after what was carried over. False: it can't be read. */
static __always_inline bool read_text(struct job *job, struct direction *way)
{
	__u64 most = way->part == PART_CHUNK ? 32 : HTTP_WINDOW;
	__u32 carried = way->carried & (HTTP_CARRY - 1), taken = job->length < most ? job->length : most;

	taken &= 2 * HTTP_WINDOW - 1;
	if (carried)
		__builtin_memcpy(job->text, way->carry, HTTP_CARRY);
	if (taken > HTTP_WINDOW || bpf_probe_read_user(job->text + carried, taken, (void *)job->source))
		return false;
	__builtin_memset(job->text + carried + taken, 0, STRIDE);
	job->have = carried + taken;
	job->at = carried;
	job->line = 0;
	job->in_line = way->in_line;
	return true;
}

/* Many protocols have lines of words: it is the version at its end that tells a request line. */
static __always_inline bool is_other_protocol(struct job *job, struct conn *conn, __u32 first)
{
	/* The end of a long line may not be here. */
	if (!job->whole || job->at > HTTP_CARRY)
		return first == METHOD_OTHER && conn->role == ROLE_UNKNOWN;
	return !ends_with_version(job, job->at);
}

static __always_inline __u64 look_at_text(struct job *job, struct conn *conn, struct direction *way, __u32 place)
{
	__u32 carried = way->carried, first;

	if (!job->source)
		return not_http(job, conn, way);
	if (!read_text(job, way)) {
		count_loss(LOSS_UNREADABLE);
		job->gave_up = 1 + UNPARSED_OUT_OF_STEP;
		return 0;
	}
	if (way->part == PART_START) {
		if (!carried) {
			way->since = job->outgoing ? job->start : job->now;
			way->bytes = 0;
		}
		first = http_first_line(place);
		if (job->whole && job->at <= 2 && conn->role != ROLE_UNKNOWN) {
			/* RFC 9112, 2.2: an empty line before a request is to be ignored. */
			way->carried = 0;
			return job->at - carried;
		}
		if (!job->whole && (job->have < 13 || (job->have < HTTP_METHOD_BYTES + 2 && !first) ||
				    (job->have < HTTP_CARRY && first && first < FIRST_TLS))) {
			carry_over(job, way);
			return job->at - carried;
		}
		if (!first || (first <= METHOD_OTHER && is_other_protocol(job, conn, first)))
			return not_http(job, conn, way);
		if (!begin_message(job, conn, way, first, place))
			return 0;
		job->in_line = !job->whole;
		job->line = job->at;
	}
	job->part = way->part;
	job->chunked = way->chunked;
	http_lines(place);
	take_lines(job, conn, way, is_answer(conn, job->outgoing));
	return job->at - carried;
}

static __always_inline bool in_body(struct direction *way)
{
	return way->part == PART_BODY || way->part == PART_REST;
}

static __always_inline void move_on(struct job *job, struct direction *way, __u64 taken)
{
	way->bytes += taken;
	job->offset += taken;
}

/* Looks at one window, and goes over as much of a body as came with it. 0: the connection is not to be followed. */
static __always_inline int look(struct job *job, struct conn *conn, __u32 place)
{
	struct direction *way = &conn->way[job->outgoing & 1];
	__u64 taken = 1;

	job->answered = 0;
	job->gave_up = 0;
	if (!in_body(way)) {
		taken = look_at_text(job, conn, way, place);
		move_on(job, way, taken);
	}
	if (in_body(way) && job->offset < job->total && !job->gave_up)
		move_on(job, way, skip_body(job, way, is_answer(conn, job->outgoing)));
	if (is_answer(conn, job->outgoing))
		conn->last = job->now;
	if (job->answered)
		answered(conn, way, job->now, place);
	if (job->gave_up)
		give_up(conn, job->gave_up - 1);
	return taken && conn->role < ROLE_OTHER;
}

__noinline int http_window(__u32 place)
{
	struct job *job = job_of(place);
	struct conn *conn;

	if (!job)
		return 0;
	conn = bpf_map_lookup_elem(&conns, &job->key);
	if (!conn || conn->role >= ROLE_OTHER)
		return 0;
	return look(job, conn, place);
}

/* Goes one part on through the bytes of a call: to the next vector, or over a window. 0: there is no more to see. */
__noinline int http_part(__u32 place)
{
	struct job *job = job_of(place);
	struct user_vector vector;
	__u64 in;

	if (!job || job->offset >= job->total)
		return 0;
	in = job->offset - job->begins;
	if (job->vectors && in >= job->size) {
		job->begins += job->size;
		if (bpf_probe_read_user(&vector, sizeof(vector), (void *)job->vectors)) {
			count_loss(LOSS_UNREADABLE);
			return 0;
		}
		job->base = vector.base;
		job->size = vector.length;
		job->vectors += sizeof(vector);
		return 1;
	}
	job->source = job->base ? job->base + in : 0;
	job->length = job->size - in;
	if (job->length > job->total - job->offset)
		job->length = job->total - job->offset;
	return http_window(place);
}

/* Goes through what a call moved from where the job is; gives up what has too many parts. */
static __always_inline void follow_on(struct job *job, __u32 place)
{
	struct conn *conn;

#pragma clang loop unroll(disable)
	for (__u32 part = 0; part < HTTP_PARTS; part++)
		if (!http_part(place))
			break;
	if (job->offset >= job->total)
		return;
	conn = bpf_map_lookup_elem(&conns, &job->key);
	if (conn && conn->role < ROLE_OTHER)
		give_up(conn, UNPARSED_MANY_PARTS);
}

/* Goes through all that a call moved. Most have one message, which needs no look-up but the caller's. */
static __always_inline void follow(struct job *job, struct conn *conn, __u32 place)
{
	if (!first_part(job))
		return;
	if (job->length && (!look(job, conn, place) || job->offset >= job->total))
		return;
	follow_on(job, place);
}

#endif
