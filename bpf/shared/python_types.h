/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What python.h and user space tell each other: where things are in an interpreter, and what its functions are called.
 */
#ifndef EBREC_PYTHON_TYPES_H
#define EBREC_PYTHON_TYPES_H

#include "kernel.h"

/* Stretches of a file that are the interpreter's loop: compilers split functions into parts. */
#define PYTHON_PARTS 4

/* Interpreters, by file: the number 0 is none. */
#define PYTHON_INTERPRETERS 64

/* An interpreter; src/unwind/python.rs knows its versions. All places are in bytes. */
struct python_interpreter {
	/* The parts of its loop in the file, each up to an end; 0: no more. */
	__u64 starts[PYTHON_PARTS];
	__u64 ends[PYTHON_PARTS];
	__u64 runtime; /* its address beyond that of the file's first byte, were that mapped like the code */
	/* In the runtime, in an interpreter's state and in a thread's. */
	__u32 interpreters;
	__u32 next_interpreter;
	__u32 threads;
	__u32 next_thread;
	__u32 thread_id;
	__u32 current; /* the frame that runs, or what has it */
	/* enum python_entry */
	__u32 entry;
	/* In what has the frame that runs: the frame, and what had it before (PYTHON_MARKED). */
	__u32 chain_frame;
	__u32 chain_previous;
	/* In a frame. */
	__u32 code;
	__u32 previous;
	__u32 instruction;
	__u32 owner; /* or whether the loop was entered with it (PYTHON_MARKED) */
	/* In a code object; names are four pointers: to its file's name, its name, that with its class, and its table of lines. */
	__u32 names;
	__u32 first_line;
	__u32 instructions;
	/* In a text. */
	__u32 ascii;
	__u32 wide;
};

/* How the frames of one call of the interpreter's loop end. */
enum python_entry {
	PYTHON_MARKED, /* the first one is marked; the loop has a link to its newest frame on the C stack (3.11) */
	PYTHON_LINKED, /* one without code follows, on the C stack; a link on the C stack leads to the newest (3.12) */
	PYTHON_ON_STACK, /* one without code follows, on the C stack (3.13) */
};

/* Of a code object's texts; longer ones are cut. The table of lines of a large module's body has some 10 KiB. */
#define PYTHON_FILE_BYTES 512
#define PYTHON_NAME_BYTES 256
#define PYTHON_LINE_BYTES 8192

/* A part of a code object. */
struct python_text {
	__u32 length; /* characters in all */
	__u16 bytes;  /* that are here */
	__u8 width;   /* bytes of a character */
	__u8 pad;
};

/* A code object that a stack has. */
struct python_code {
	__u64 code; /* as in a frame */
	__u32 pid;
	__s32 first_line;
	struct python_text file;
	struct python_text name;
	struct python_text lines;
	__u8 file_bytes[PYTHON_FILE_BYTES];
	__u8 name_bytes[PYTHON_NAME_BYTES];
	__u8 line_bytes[PYTHON_LINE_BYTES];
};
_Static_assert(sizeof(struct python_code) == 40 + PYTHON_FILE_BYTES + PYTHON_NAME_BYTES + PYTHON_LINE_BYTES,
	       "no holes");

/* Where a thread has its state. */
struct python_thread {
	__u64 program; /* see program_of() */
	__u64 state;
};

/* A code object that user space has been told of. */
struct python_seen {
	__u64 program;
	__u64 code;
};

#endif
