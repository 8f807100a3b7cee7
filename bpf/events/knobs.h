/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What user space asks of an event of the user's own: its codes, and what becomes of their values.
 */
#ifndef EBREC_EVENTS_KNOBS_H
#define EBREC_EVENTS_KNOBS_H

#include "ebrec.h"

#include "stack.h"

#define EVENT_STEPS	16
#define EVENT_DEPTH	6
#define EVENT_NUMBERS	6
#define EVENT_TEXTS	3
#define EVENT_ARGUMENTS 12
/* Texts that are compared with, in chunks one after the other. */
#define WANTED_WORDS 4
#define EVENT_WANTED 128
/* Bytes of a text that are kept of a hit, at most. */
#define EVENT_TEXT_LIMIT 4096
/* Most texts are shorter than this: a record of a longer one takes the room that it needs. */
#define EVENT_SHORT_TEXT 128

enum event_op {
	OP_NUMBER,
	OP_ARGUMENT,
	OP_RETURNED,
	OP_DURATION,
	OP_RECORD,
	OP_PID,
	OP_TID,
	OP_UID,
	OP_CPU,
	OP_TIME,
	OP_LOAD,
	OP_BITS,
	OP_TEXT_IS,
	OP_COMM_IS,
	OP_NOT,
	OP_NEGATE,
	OP_INVERT,
	OP_SWAP,
	OP_ADD,
	OP_SUBTRACT,
	OP_MULTIPLY,
	OP_DIVIDE,
	OP_REMAINDER,
	OP_AND,
	OP_OR,
	OP_BIT_AND,
	OP_BIT_OR,
	OP_BIT_XOR,
	OP_SHIFT_LEFT,
	OP_SHIFT_RIGHT,
	OP_EQUAL,
	OP_NOT_EQUAL,
	OP_LESS,
	OP_LESS_OR_EQUAL,
	OP_GREATER,
	OP_GREATER_OR_EQUAL,
};

enum event_space {
	SPACE_KERNEL,
	SPACE_USER,
	SPACE_BY_ADDRESS, /* the upper half is the kernel's */
};

/* What an event's codes are for. */
enum event_code_use {
	CODE_FILTER,
	CODE_HIST,
	CODE_BY,
	CODE_NUMBER,
	CODE_TEXT = CODE_NUMBER + EVENT_NUMBERS,
	CODES = CODE_TEXT + EVENT_TEXTS,
};

struct event_step {
	__u8 op;
	__u8 at;    /* the place of the result; of two operands the left one is there and the right one above it */
	__u8 space; /* enum event_space */
	__u8 is_signed;
	__u8 big_endian;
	__u8 size;    /* bytes to load or swap, bits of a bit field */
	__u8 shift;   /* of a bit field */
	__u8 which;   /* the argument, or the first word of the wanted string; of that, `size` is how many chunks */
	__u64 number; /* the constant, or the offset from the address */
};

struct event_code {
	__u32 count;
	__u32 pad;
	struct event_step steps[EVENT_STEPS];
};

/* How what is at the address of a text becomes one. */
enum event_text_kind {
	TEXT_STRING,
	TEXT_SOCKET_ADDRESS,
	TEXT_IPV4,
	TEXT_IPV6,
	TEXT_BYTES,
};

struct event_text {
	__u8 kind;
	__u8 space;
	__u16 limit; /* bytes that are kept of a string, and that bytes are */
};

enum event_by {
	BY_NOTHING,
	BY_NUMBER,
	BY_TEXT,
};

struct event_knobs {
	__u8 event; /* echoed in each record */
	__u8 rows;  /* hits are streamed */
	__u8 kernel_stack;
	__u8 user_stack;
	__u8 is_latency;
	__u8 cookies; /* the attachment says which of the places it is */
	__u8 numbers;
	__u8 texts;
	__u8 by; /* enum event_by */
	__u8 has_hist;
	__u8 parameters;     /* of the function, where it is attached to by its type */
	__u8 argument_count; /* those up to the last one that is used */
	__u8 may_sleep;	     /* memory that is not there can be fetched */
	__u8 paired;	     /* exits count where they end a frame: see frames.h */
	__u8 awaits_return;  /* memory that is not there is read when the system call returns */
	__u8 pad;
	/* Where the attachment does not say it: of the entries, and of the exits. */
	__u64 place;
	__u64 exit_place;
	__u16 text_bytes;  /* room for each text of a record at first */
	__u16 text_longer; /* the room that the longest takes */
	struct event_text text[EVENT_TEXTS];
	struct event_text by_text;
	struct event_code codes[CODES];
	__u64 wanted[EVENT_WANTED];
};

const volatile struct event_knobs knobs SEC(".rodata.knobs") = {};

#endif
