/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where messages begin and end, and which answer is to which request.
 */
#ifndef EBREC_HTTP_MESSAGE_H
#define EBREC_HTTP_MESSAGE_H

static __always_inline bool is_answer(struct conn *conn, __u32 outgoing)
{
	return conn->role == ROLE_SERVER ? outgoing : conn->role == ROLE_CLIENT ? !outgoing : false;
}

/* Words, not a helper: that takes as long as all of this. */
static __always_inline void keep_path(struct request_seen *request, struct job *job)
{
	__u32 target = job->target;

	if (target > HTTP_METHOD_BYTES + 1)
		return;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < HTTP_PATH; i += 8)
		*(volatile __u64 *)(request->path + i) = *(volatile __u64 *)(job->text + target + i);
}

/* The name of a method takes the end of the room for the path. */
static __always_inline void keep_name(struct request_seen *request, struct job *job)
{
	*(struct method_name *)(request->path + HTTP_PATH - HTTP_METHOD_BYTES) = job->name;
	if (request->path_bytes > HTTP_PATH - HTTP_METHOD_BYTES)
		request->path_bytes = HTTP_PATH - HTTP_METHOD_BYTES;
}

/* A request begins; `line` bytes of its first line are there. */
static __always_inline void begin_request(struct job *job, struct conn *conn, struct direction *way, __u32 method,
					  __u32 line)
{
	struct request_seen *request;
	__u32 target = job->target, bytes;

	conn->begun = 1;
	/* Its answer was there first: another thread reads, and this one was kept from telling. */
	if (conn->early && conn->head == conn->tail && way->since < conn->early_at) {
		conn->early--;
		return;
	}
	if (conn->over || conn->tail - conn->head >= HTTP_WAITING) {
		conn->over++;
		return;
	}
	/* The first place again: most connections need no other, and the CPU has it at hand. */
	if (conn->head == conn->tail)
		conn->head = conn->tail = 0;
	request = &conn->waiting[conn->tail % HTTP_WAITING];
	request->start = way->since;
	request->tid = job->who;
	request->method = method;
	if (keeps_paths()) {
		bytes = line > target ? line - target : 0;
		request->path_bytes = bytes < HTTP_PATH ? bytes : HTTP_PATH;
		keep_path(request, job);
		if (method >= METHOD_NAMED)
			keep_name(request, job);
	}
	conn->pid = job->who >> 32;
	conn->tail++;
}

static __always_inline void begin_answer(struct job *job, struct conn *conn, __u32 status)
{
	conn->status = 0;
	if (conn->head != conn->tail) {
		conn->status = status;
		return;
	}
	if (status < 200)
		return;
	if (conn->over) {
		conn->over--;
		unparsed(conn, UNPARSED_PIPELINE, 1);
		return;
	}
	/* What was asked before the window is none of it. */
	if (!conn->begun)
		return;
	unparsed(conn, UNPARSED_NO_REQUEST, 1);
	conn->early++;
	conn->early_at = job->now;
}

static __always_inline void end_message(struct job *job, struct direction *way, bool answer)
{
	way->part = PART_START;
	job->answered |= answer;
}

static __always_inline void end_header(struct job *job, struct conn *conn, struct direction *way, bool answer)
{
	__u8 method = conn->head == conn->tail ? METHOD_GET : conn->waiting[conn->head % HTTP_WAITING].method;
	__u16 status = way->status;

	if (answer && (status == 101 || (method == METHOD_CONNECT && status >= 200 && status < 300))) {
		job->answered = 1;
		job->gave_up = 1 + UNPARSED_UPGRADED;
	} else if (answer && status < 200) {
		/* 100 Continue: the answer is still to come. */
		conn->status = 0;
		way->part = PART_START;
	} else if (answer && (method == METHOD_HEAD || status == 204 || status == 304)) {
		end_message(job, way, answer);
	} else if (way->chunked) {
		way->part = PART_CHUNK;
	} else if (way->left) {
		way->part = PART_BODY;
	} else if (answer && !way->has_length) {
		way->part = PART_REST;
	} else {
		end_message(job, way, answer);
	}
}

/* What comes is no start of a message. */
static __always_inline __u64 not_http(struct job *job, struct conn *conn, struct direction *way)
{
	way->carried = 0;
	if (conn->role != ROLE_UNKNOWN)
		job->gave_up = 1 + UNPARSED_OUT_OF_STEP;
	else if (++conn->tries >= HTTP_TRIES)
		/* The middle of something that began before the window may come first. */
		conn->role = ROLE_OTHER;
	return job->total - job->offset;
}

/* Goes by what a message begins with. False: it is no HTTP/1 that goes on. */
static __always_inline bool begin_message(struct job *job, struct conn *conn, struct direction *way, __u32 first,
					  __u32 place)
{
	bool answer = first >= FIRST_STATUS;

	if (first == FIRST_TLS && conn->role == ROLE_UNKNOWN) {
		conn->role = ROLE_TLS;
		return false;
	}
	if (first == FIRST_HTTP2) {
		job->gave_up = 1 + UNPARSED_HTTP2;
		return false;
	}
	if (conn->role == ROLE_UNKNOWN)
		conn->role = answer == !!job->outgoing ? ROLE_SERVER : ROLE_CLIENT;
	if (first == FIRST_TLS || answer != is_answer(conn, job->outgoing)) {
		job->gave_up = 1 + UNPARSED_OUT_OF_STEP;
		return false;
	}
	way->part = PART_HEADER;
	way->chunked = way->has_length = 0;
	way->left = 0;
	way->status = answer ? first : 0;
	if (answer)
		begin_answer(job, conn, first);
	else
		begin_request(job, conn, way, first == METHOD_OTHER ? http_method_number(place) : first, job->at);
	return true;
}

#endif
