/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The HTTP/1 parser: what a message begins with, the lines of its header that say where it ends, chunks and trailers, and
 * which answer is to which request.
 */
#ifndef EBREC_HTTP_PARSE_H
#define EBREC_HTTP_PARSE_H

#include "ebrec.h"

#include "conn.h"
#include "call.h"
#include "outcome.h"
#include "route.h"

/* What a line begins with: a method, a status (from 100), or one of these. */
enum http_first {
	FIRST_OTHER = 0,
	FIRST_TLS = 20,
	FIRST_HTTP2,
	FIRST_STATUS = 100,
};

/* The target must follow: an absolute path or URI, '*', an authority. */
static __always_inline __u32 if_target(struct call *call, __u32 at, __u32 method)
{
	__u8 byte = byte_at(call, at);
	bool follows = byte == '/' || byte == '*' || byte == 'h' || (method == METHOD_CONNECT && byte > ' ');

	call->target = at;
	return follows ? method : FIRST_OTHER;
}

/* RFC 9110, 5.6.2: what a token is of. */
static const __u8 token_bytes[256] = {
	['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['!'] = 1, ['#'] = 1, ['$'] = 1,
	['%'] = 1,	   ['&'] = 1,	      ['\''] = 1,	 ['*'] = 1, ['+'] = 1, ['-'] = 1,
	['.'] = 1,	   ['^'] = 1,	      ['_'] = 1,	 ['`'] = 1, ['|'] = 1, ['~'] = 1,
};

/* Takes the token that the text begins with as a method's name. How long it is; 0: it does not end with a space in time. */
__noinline int http_token(__u32 slot)
{
	struct call *call = call_in(slot);

	if (!call)
		return 0;
	__builtin_memset(&call->name, 0, sizeof(call->name));
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i <= HTTP_METHOD_BYTES; i++) {
		__u8 byte = call->text[i];

		if (byte == ' ')
			return i;
		if (!token_bytes[byte] || i == HTTP_METHOD_BYTES)
			break;
		call->name.text[i] = byte;
	}
	return 0;
}

/* Any method that the lines above do not name. */
static __always_inline __u32 other_method(struct call *call, __u32 slot)
{
	__u32 bytes = http_token(slot);

	return bytes ? if_target(call, bytes + 1, METHOD_OTHER) : FIRST_OTHER;
}

/* Three digits, in the lowest bytes of a word; FIRST_OTHER: they are none, or no status. */
static __always_inline __u32 status_of(__u64 word)
{
	__u8 hundreds = word - '0', tens = (word >> 8) - '0', ones = (word >> 16) - '0';

	if (hundreds < 1 || hundreds > 9 || tens > 9 || ones > 9)
		return FIRST_OTHER;
	return hundreds * 100 + tens * 10 + ones;
}

static __always_inline __u32 first_of(struct call *call, __u32 slot)
{
	__u64 word = word_at(call, 0), status;

	if ((word & 0xff) >= 0x14 && (word & 0xff) <= 0x17 && (word >> 8 & 0xff) == 0x03)
		return FIRST_TLS;
	if ((word & LOWEST(4)) == WORD('G', 'E', 'T', ' ', 0, 0, 0, 0))
		return if_target(call, 4, METHOD_GET);
	if ((word & LOWEST(7)) == WORD('H', 'T', 'T', 'P', '/', '1', '.', 0)) {
		status = word_at(call, 8);
		if ((status & 0xff) != ' ')
			return FIRST_OTHER;
		return status_of(status >> 8);
	}
	if ((word & LOWEST(5)) == WORD('P', 'O', 'S', 'T', ' ', 0, 0, 0))
		return if_target(call, 5, METHOD_POST);
	if ((word & LOWEST(4)) == WORD('P', 'U', 'T', ' ', 0, 0, 0, 0))
		return if_target(call, 4, METHOD_PUT);
	if ((word & LOWEST(5)) == WORD('H', 'E', 'A', 'D', ' ', 0, 0, 0))
		return if_target(call, 5, METHOD_HEAD);
	if ((word & LOWEST(6)) == WORD('P', 'A', 'T', 'C', 'H', ' ', 0, 0))
		return if_target(call, 6, METHOD_PATCH);
	if ((word & LOWEST(6)) == WORD('T', 'R', 'A', 'C', 'E', ' ', 0, 0))
		return if_target(call, 6, METHOD_TRACE);
	if ((word & LOWEST(7)) == WORD('D', 'E', 'L', 'E', 'T', 'E', ' ', 0))
		return if_target(call, 7, METHOD_DELETE);
	if (word == WORD('O', 'P', 'T', 'I', 'O', 'N', 'S', ' '))
		return if_target(call, 8, METHOD_OPTIONS);
	if (word == WORD('C', 'O', 'N', 'N', 'E', 'C', 'T', ' '))
		return if_target(call, 8, METHOD_CONNECT);
	if (word == WORD('P', 'R', 'I', ' ', '*', ' ', 'H', 'T'))
		return FIRST_HTTP2;
	return other_method(call, slot);
}

/* Whether the request line, of which `end` bytes are there, ends with a version of HTTP/1. */
static __always_inline bool ends_with_version(struct call *call, __u32 end)
{
	__u32 at = end - 10; /* "HTTP/1.1\r\n" */

	if (byte_at(call, end - 2) != '\r')
		at++;
	return (word_at(call, at) & LOWEST(7)) == WORD('H', 'T', 'T', 'P', '/', '1', '.', 0);
}

/*
 * Not static: the verifier checks such a function once, not once for each path that calls it.
 * Before 5.12 they take numbers only.
 */

/* Skips the first line, and returns what it begins with: enum http_first. */
__noinline int http_first_line(__u32 slot)
{
	struct call *call = call_in(slot);

	if (!call)
		return 0;
	call->whole = 0;
#pragma clang loop unroll(disable)
	for (__u32 step = 0; step < HTTP_STRIDES; step++) {
		__u32 at = call->at;
		__u32 bytes;

		if (at >= call->have)
			break;
		bytes = bytes_to_line_end(call, at);
		call->at = at + (bytes ?: STRIDE);
		if (bytes) {
			call->whole = 1;
			break;
		}
	}
	if (!call->whole)
		call->at = call->have;
	return first_of(call, slot);
}

/* Places that a method's name may have in the map. */
#define HTTP_METHOD_PLACES 8

/* The number of the call's other method: one of a few by its hash, so that no CPU waits for another; METHOD_OTHER: all are taken. */
__noinline int http_method_number(__u32 slot)
{
	struct call *call = call_in(slot);
	struct method_name *known;
	__u64 *name, *there, hash;
	__u32 number;

	if (!call)
		return METHOD_OTHER;
	name = (__u64 *)call->name.text;
	hash = (name[0] ^ name[1] * 0xc2b2ae3d27d4eb4f) * 0x9e3779b97f4a7c15;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < HTTP_METHOD_PLACES; i++) {
		number = METHOD_NAMED + ((__u32)(hash >> 32) + i) % (METHODS - METHOD_NAMED);
		known = bpf_map_lookup_elem(&methods, &number);
		if (!known) {
			bpf_map_update_elem(&methods, &number, &call->name, BPF_NOEXIST);
			known = bpf_map_lookup_elem(&methods, &number);
		}
		if (!known)
			break;
		there = (__u64 *)known->text;
		if (there[0] == name[0] && there[1] == name[1])
			return number;
	}
	return METHOD_OTHER;
}

/* Digits after spaces; 18 of them fit. */
static __always_inline void decimal(struct call *call)
{
	call->value = 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 20; i++) {
		__u8 digit = byte_at(call, call->length_at + i);

		if (digit == ' ' || digit == '\t')
			continue;
		digit -= '0';
		if (digit > 9)
			break;
		call->value = call->value * 10 + digit;
	}
}

static __always_inline void hexadecimal(struct call *call)
{
	call->value = 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 16; i++) {
		__u8 digit = call->text[i] - '0';

		if (digit > 9) {
			digit = (call->text[i] | 0x20) - 'a';
			if (digit > 5)
				break;
			digit += 10;
		}
		call->value = call->value << 4 | digit;
	}
}

/* Where a message ends, as far as one line of its header says. */
static __always_inline void parse_line(struct call *call, __u32 line)
{
	__u64 word = word_at(call, line) | EVERY_BYTE * 0x20;

	if (word == WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-')) {
		word = word_at(call, line + 8) | EVERY_BYTE * 0x20;
		if ((word & LOWEST(7)) == WORD('l', 'e', 'n', 'g', 't', 'h', ':', 0))
			call->length_at = line + 15;
	} else if (word == WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')) {
		word = word_at(call, line + 8) | EVERY_BYTE * 0x20;
		if (word == WORD('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n'))
			call->chunked = 1;
	}
}

/* Goes through lines of a header, a chunk's size, or a trailer, from `at` on, to where it stops: at the end or before. */
__noinline int http_lines(__u32 slot)
{
	struct call *call = call_in(slot);

	if (!call)
		return 0;
	call->length_at = 0;
	call->ended = 0;
#pragma clang loop unroll(disable)
	for (__u32 step = 0; step < HTTP_STEPS; step++) {
		__u32 at = call->at, line = call->line, bytes;
		__u64 word;

		if (at >= call->have)
			break;
		bytes = bytes_to_line_end(call, at);
		if (!bytes) {
			call->at = at + STRIDE;
			continue;
		}
		call->at = at + bytes;
		word = word_at(call, line);
		if (call->in_line) {
			call->in_line = 0;
		} else if ((word & 0xff) == '\n' || (word & 0xffff) == WORD('\r', '\n', 0, 0, 0, 0, 0, 0) ||
			   call->part == PART_CHUNK) {
			call->ended = 1;
			break;
		} else {
			parse_line(call, line);
		}
		call->line = call->at;
	}
	if (call->at > call->have)
		call->at = call->have;
	/* The rest of a long line is skipped: what it says stands at its beginning. */
	if (!call->ended && !call->in_line && call->at - call->line >= HTTP_CARRY)
		parse_line(call, call->line);
	if (call->part == PART_CHUNK)
		hexadecimal(call);
	else if (call->length_at)
		decimal(call);
	return 0;
}

/* Keeps the beginning of the line at which the text ends. */
static __always_inline void carry_over(struct call *call, struct direction *direction)
{
	__u32 line = call->line, bytes = call->at - line;

	direction->carried = 0;
	direction->in_line = call->in_line;
	if (direction->in_line)
		return;
	if (bytes >= HTTP_CARRY || line > HTTP_TEXT) {
		direction->in_line = 1;
		return;
	}
	bpf_probe_read_kernel(direction->carry, HTTP_CARRY, call->text + line);
	direction->carried = bytes;
}

static __always_inline bool is_answer(struct conn *conn, __u32 outgoing)
{
	return conn->role == ROLE_SERVER ? outgoing : conn->role == ROLE_CLIENT ? !outgoing : false;
}

/* Words, not a helper: that takes as long as all of this. */
static __always_inline void keep_path(struct request_seen *request, struct call *call)
{
	__u32 target = call->target;

	if (target > HTTP_METHOD_BYTES + 1)
		return;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < HTTP_PATH; i += 8)
		*(volatile __u64 *)(request->path + i) = *(volatile __u64 *)(call->text + target + i);
}

/* The name of a method takes the end of the room for the path. */
static __always_inline void keep_name(struct request_seen *request, struct call *call)
{
	*(struct method_name *)(request->path + HTTP_PATH - HTTP_METHOD_BYTES) = call->name;
	if (request->path_bytes > HTTP_PATH - HTTP_METHOD_BYTES)
		request->path_bytes = HTTP_PATH - HTTP_METHOD_BYTES;
}

/* A request begins; `line` bytes of its first line are there. */
static __always_inline void begin_request(struct call *call, struct conn *conn, struct direction *direction,
					  __u32 method, __u32 line)
{
	struct request_seen *request;
	__u32 target = call->target, bytes;

	conn->begun = 1;
	/* Its answer was there first: another thread reads, and this one was kept from telling. */
	if (conn->early && conn->head == conn->tail && direction->since < conn->early_at) {
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
	request->start = direction->since;
	request->tid = call->who;
	request->method = method;
	if (config.stream != STREAM_NONE)
		bpf_get_current_comm(request->comm, sizeof(request->comm));
	if (keeps_paths()) {
		bytes = line > target ? line - target : 0;
		request->path_bytes = bytes < HTTP_PATH ? bytes : HTTP_PATH;
		keep_path(request, call);
		if (method >= METHOD_NAMED)
			keep_name(request, call);
	}
	conn->pid = call->who >> 32;
	conn->tail++;
}

static __always_inline void begin_answer(struct call *call, struct conn *conn, __u32 status)
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
	conn->early_at = call->now;
}

static __always_inline void end_message(struct call *call, struct direction *direction, bool answer)
{
	direction->part = PART_START;
	call->answered |= answer;
}

static __always_inline void end_header(struct call *call, struct conn *conn, struct direction *direction, bool answer)
{
	__u8 method = conn->head == conn->tail ? METHOD_GET : conn->waiting[conn->head % HTTP_WAITING].method;
	__u16 status = direction->status;

	if (answer && (status == 101 || (method == METHOD_CONNECT && status >= 200 && status < 300))) {
		call->answered = 1;
		call->gave_up = 1 + UNPARSED_UPGRADED;
	} else if (answer && status < 200) {
		/* 100 Continue: the answer is still to come. */
		conn->status = 0;
		direction->part = PART_START;
	} else if (answer && (method == METHOD_HEAD || status == 204 || status == 304)) {
		end_message(call, direction, answer);
	} else if (direction->chunked) {
		direction->part = PART_CHUNK;
	} else if (direction->left) {
		direction->part = PART_BODY;
	} else if (answer && !direction->has_length) {
		direction->part = PART_REST;
	} else {
		end_message(call, direction, answer);
	}
}

/* What comes is no start of a message. */
static __always_inline __u64 not_http(struct call *call, struct conn *conn, struct direction *direction)
{
	direction->carried = 0;
	if (conn->role != ROLE_UNKNOWN)
		call->gave_up = 1 + UNPARSED_OUT_OF_STEP;
	else if (++conn->tries >= HTTP_TRIES)
		/* The middle of something that began before the window may come first. */
		conn->role = ROLE_OTHER;
	return call->total - call->offset;
}

/* Goes by what a message begins with. False: it is no HTTP/1 that goes on. */
static __always_inline bool begin_message(struct call *call, struct conn *conn, struct direction *direction,
					  __u32 first, __u32 slot)
{
	bool answer = first >= FIRST_STATUS;

	if (first == FIRST_TLS && conn->role == ROLE_UNKNOWN) {
		conn->role = ROLE_TLS;
		return false;
	}
	if (first == FIRST_HTTP2) {
		call->gave_up = 1 + UNPARSED_HTTP2;
		return false;
	}
	if (conn->role == ROLE_UNKNOWN)
		conn->role = answer == !!call->outgoing ? ROLE_SERVER : ROLE_CLIENT;
	if (first == FIRST_TLS || answer != is_answer(conn, call->outgoing)) {
		call->gave_up = 1 + UNPARSED_OUT_OF_STEP;
		return false;
	}
	direction->part = PART_HEADER;
	direction->chunked = direction->has_length = 0;
	direction->left = 0;
	direction->status = answer ? first : 0;
	if (answer)
		begin_answer(call, conn, first);
	else
		begin_request(call, conn, direction, first == METHOD_OTHER ? http_method_number(slot) : first,
			      call->at);
	return true;
}

#endif
