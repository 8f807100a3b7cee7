/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a message begins with: a request line, a status line, or what tells that it is neither.
 */
#ifndef EBREC_HTTP_FIRST_H
#define EBREC_HTTP_FIRST_H

/* What a line begins with: a method, a status (from 100), or one of these. */
enum http_first {
	FIRST_OTHER = 0,
	FIRST_TLS = 20,
	FIRST_HTTP2,
	FIRST_STATUS = 100,
};

/* The target must follow: an absolute path or URI, '*', an authority. */
static __always_inline __u32 if_target(struct job *job, __u32 at, __u32 method)
{
	__u8 byte = byte_at(job, at);
	bool follows = byte == '/' || byte == '*' || byte == 'h' || (method == METHOD_CONNECT && byte > ' ');

	job->target = at;
	return follows ? method : FIRST_OTHER;
}

/* RFC 9110, 5.6.2: what a token is of. */
static const __u8 token_bytes[256] = {
	['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['!'] = 1, ['#'] = 1, ['$'] = 1,
	['%'] = 1,	   ['&'] = 1,	      ['\''] = 1,	 ['*'] = 1, ['+'] = 1, ['-'] = 1,
	['.'] = 1,	   ['^'] = 1,	      ['_'] = 1,	 ['`'] = 1, ['|'] = 1, ['~'] = 1,
};

/* Takes the token that the text begins with as a method's name. How long it is; 0: it does not end with a space in time. */
__noinline int http_token(__u32 place)
{
	struct job *job = job_of(place);

	if (!job)
		return 0;
	__builtin_memset(&job->name, 0, sizeof(job->name));
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i <= HTTP_METHOD_BYTES; i++) {
		__u8 byte = job->text[i];

		if (byte == ' ')
			return i;
		if (!token_bytes[byte] || i == HTTP_METHOD_BYTES)
			break;
		job->name.text[i] = byte;
	}
	return 0;
}

/* Any method that the lines above do not name. */
static __always_inline __u32 other_method(struct job *job, __u32 place)
{
	__u32 bytes = http_token(place);

	return bytes ? if_target(job, bytes + 1, METHOD_OTHER) : FIRST_OTHER;
}

/* Three digits, in the lowest bytes of a word; FIRST_OTHER: they are none, or no status. */
static __always_inline __u32 status_of(__u64 word)
{
	__u8 hundreds = word - '0', tens = (word >> 8) - '0', ones = (word >> 16) - '0';

	if (hundreds < 1 || hundreds > 9 || tens > 9 || ones > 9)
		return FIRST_OTHER;
	return hundreds * 100 + tens * 10 + ones;
}

static __always_inline __u32 first_of(struct job *job, __u32 place)
{
	__u64 word = word_at(job, 0), status;

	if ((word & 0xff) >= 0x14 && (word & 0xff) <= 0x17 && (word >> 8 & 0xff) == 0x03)
		return FIRST_TLS;
	if ((word & LOWEST(4)) == WORD('G', 'E', 'T', ' ', 0, 0, 0, 0))
		return if_target(job, 4, METHOD_GET);
	if ((word & LOWEST(7)) == WORD('H', 'T', 'T', 'P', '/', '1', '.', 0)) {
		status = word_at(job, 8);
		if ((status & 0xff) != ' ')
			return FIRST_OTHER;
		return status_of(status >> 8);
	}
	if ((word & LOWEST(5)) == WORD('P', 'O', 'S', 'T', ' ', 0, 0, 0))
		return if_target(job, 5, METHOD_POST);
	if ((word & LOWEST(4)) == WORD('P', 'U', 'T', ' ', 0, 0, 0, 0))
		return if_target(job, 4, METHOD_PUT);
	if ((word & LOWEST(5)) == WORD('H', 'E', 'A', 'D', ' ', 0, 0, 0))
		return if_target(job, 5, METHOD_HEAD);
	if ((word & LOWEST(6)) == WORD('P', 'A', 'T', 'C', 'H', ' ', 0, 0))
		return if_target(job, 6, METHOD_PATCH);
	if ((word & LOWEST(6)) == WORD('T', 'R', 'A', 'C', 'E', ' ', 0, 0))
		return if_target(job, 6, METHOD_TRACE);
	if ((word & LOWEST(7)) == WORD('D', 'E', 'L', 'E', 'T', 'E', ' ', 0))
		return if_target(job, 7, METHOD_DELETE);
	if (word == WORD('O', 'P', 'T', 'I', 'O', 'N', 'S', ' '))
		return if_target(job, 8, METHOD_OPTIONS);
	if (word == WORD('C', 'O', 'N', 'N', 'E', 'C', 'T', ' '))
		return if_target(job, 8, METHOD_CONNECT);
	if (word == WORD('P', 'R', 'I', ' ', '*', ' ', 'H', 'T'))
		return FIRST_HTTP2;
	return other_method(job, place);
}

/* Whether the request line, of which `end` bytes are there, ends with a version of HTTP/1. */
static __always_inline bool ends_with_version(struct job *job, __u32 end)
{
	__u32 at = end - 10; /* "HTTP/1.1\r\n" */

	if (byte_at(job, end - 2) != '\r')
		at++;
	return (word_at(job, at) & LOWEST(7)) == WORD('H', 'T', 'T', 'P', '/', '1', '.', 0);
}

/*
 * Functions of their own, not static: the verifier looks at each of them once, and not anew for each way that leads there.
 * Before 5.12 they take numbers only.
 */

/* Goes to the end of the first line, and tells what it begins with: enum http_first. */
__noinline int http_first_line(__u32 place)
{
	struct job *job = job_of(place);

	if (!job)
		return 0;
	job->whole = 0;
#pragma clang loop unroll(disable)
	for (__u32 step = 0; step < HTTP_STRIDES; step++) {
		__u32 at = job->at;
		__u32 bytes;

		if (at >= job->have)
			break;
		bytes = bytes_to_line_end(job, at);
		job->at = at + (bytes ?: STRIDE);
		if (bytes) {
			job->whole = 1;
			break;
		}
	}
	if (!job->whole)
		job->at = job->have;
	return first_of(job, place);
}

/* Places that a method's name may have in the map. */
#define HTTP_METHOD_PLACES 8

/* The number of the job's other method: one of a few by its hash, so that no CPU waits for another; METHOD_OTHER: all are taken. */
__noinline int http_method_number(__u32 place)
{
	struct job *job = job_of(place);
	struct method_name *known;
	__u64 *name, *there, hash;
	__u32 number;

	if (!job)
		return METHOD_OTHER;
	name = (__u64 *)job->name.text;
	hash = (name[0] ^ name[1] * 0xc2b2ae3d27d4eb4f) * 0x9e3779b97f4a7c15;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < HTTP_METHOD_PLACES; i++) {
		number = METHOD_NAMED + ((__u32)(hash >> 32) + i) % (METHODS - METHOD_NAMED);
		known = bpf_map_lookup_elem(&methods, &number);
		if (!known) {
			bpf_map_update_elem(&methods, &number, &job->name, BPF_NOEXIST);
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

#endif
