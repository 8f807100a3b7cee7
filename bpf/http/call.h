/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a call moved, the window of it that is looked at, and the text in it.
 */
#ifndef EBREC_HTTP_CALL_H
#define EBREC_HTTP_CALL_H

#include "ebrec.h"

#include "calls.h"
#include "conn.h"

/* Bytes that are read at a time: many a header whole. */
#define HTTP_WINDOW 256
#define HTTP_TEXT   (HTTP_CARRY + HTTP_WINDOW)
/* Bytes that one step looks for a line's end in: many a line whole, and what the next step waits for is looked up once. */
#define STRIDE 32
/* Steps over a window: a stride, or a line, each. What is left goes to another window. */
#define HTTP_STRIDES (HTTP_TEXT / STRIDE + 2)
#define HTTP_STEPS   (HTTP_STRIDES + 32)

/* What a call moved, and the window of it that is parsed. */
struct call {
	struct conn_key key;
	__u64 start; /* when the call began */
	__u64 now;
	volatile __u64 owner; /* the thread that it is in use for, where several may want it */
	__u64 total;	      /* bytes that it moved */
	__u64 offset;	      /* of the window in them */
	__u64 vectors;	      /* where the next struct iovec is; 0: one buffer */
	__u64 begins;	      /* of the buffer or vector, in those bytes */
	__u64 base;	      /* of the buffer or vector, in the process's memory; 0: bytes that never were there */
	__u64 size;	      /* of the buffer or vector */
	__u64 source;	      /* where in the process's memory the window is */
	__u64 length;	      /* how many follow on there */
	__u64 who;
	__u32 outgoing;
	/*
	 * Places in the text, and what is known of the line there. In memory, not in registers: the verifier knows nothing
	 * of them then, and one turn of a loop is to it like any other.
	 */
	volatile __u32 at;
	volatile __u32 line;
	volatile __u32 have; /* bytes of text */
	volatile __u32 length_at;
	volatile __u64 value; /* of a Content-Length or a chunk's size */
	/* As in the direction. */
	volatile __u8 part;
	volatile __u8 in_line;
	volatile __u8 chunked;
	volatile __u8 whole;	/* the first line is */
	volatile __u8 ended;	/* the header, the chunk's size, the trailer has */
	volatile __u8 answered; /* the answer has come to its end */
	volatile __u8 kind;	/* enum io_call, without its direction */
	volatile __u8 pad;
	volatile __u32 gave_up;		   /* 1 + enum http_reason */
	volatile __u32 target;		   /* of a request line: where it begins */
	struct method_name name;	   /* of a method that is METHOD_OTHER */
	__u8 text[HTTP_TEXT + HTTP_CARRY]; /* fixed-size reads near the end stay inside */
};

/* One for each program that may be interrupted by another. */
enum call_slot {
	SLOT_CALL,
	SLOT_RECEIVED,
	SLOT_STATE,
	SLOT_TLS, /* and TLS_DEPTH - 1 more */
	CALL_SLOTS = SLOT_TLS + 4,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CALL_SLOTS);
	__type(key, __u32);
	__type(value, struct call);
} http_calls SEC(".maps");

static __always_inline struct call *call_in(__u32 slot)
{
	return bpf_map_lookup_elem(&http_calls, &slot);
}

#define WORD(a, b, c, d, e, f, g, h)                                                                                   \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40 |    \
	 (__u64)(g) << 48 | (__u64)(h) << 56)
#define LOWEST(bytes) ((1ULL << (bytes)*8) - 1)
#define EVERY_BYTE    0x0101010101010101ULL

/* Little-endian, as all that BPF's clang target `bpfel` runs on. Zero: no newline; else how many bytes up to its end. */
static __always_inline __u64 bytes_to_newline(__u64 word)
{
	__u64 other = word ^ EVERY_BYTE * '\n', found = (other - EVERY_BYTE) & ~other & EVERY_BYTE << 7;

	if (!found)
		return 0;
	return (((found & -found) - 1) & EVERY_BYTE) * EVERY_BYTE >> 56;
}

static __always_inline __u64 word_at(struct call *call, __u32 at)
{
	if (at > HTTP_TEXT)
		return 0;
	/* Not aligned, which neither of the architectures minds. */
	return *(volatile __u64 *)(call->text + at);
}

/* Bytes up to the end of the line, if that is within STRIDE from `at` on; else 0. What follows the text is STRIDE zeroes. */
static __always_inline __u32 bytes_to_line_end(struct call *call, __u32 at)
{
	if (at > HTTP_TEXT)
		return 0;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < STRIDE; i += 8) {
		__u32 bytes = bytes_to_newline(*(volatile __u64 *)(call->text + at + i));

		if (bytes)
			return i + bytes;
	}
	return 0;
}

static __always_inline __u8 byte_at(struct call *call, __u32 at)
{
	return at <= HTTP_TEXT ? call->text[at] : 0;
}

#endif
