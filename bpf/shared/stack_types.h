/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A user stack as stack.h keeps it.
 */
#ifndef EBREC_STACK_TYPES_H
#define EBREC_STACK_TYPES_H

#include "kernel.h"

/* Frames of a walk by unwind tables, and of what the kernel follows by frame pointers: as many bytes of either. */
#define MAX_USER_FRAMES	 256
#define MAX_FOUND_FRAMES 128

/* uapi/linux/bpf.h: BPF_STACK_BUILD_ID_VALID and BPF_STACK_BUILD_ID_IP */
#define FRAME_IS_IN_FILE 1
#define FRAME_IS_ADDRESS 2
/* With FRAME_IS_ADDRESS: the offset is a code object of Python's (see python.h), the file is the instruction in it. */
#define FRAME_IS_PYTHON 4

/* A frame that a walk has found. */
struct user_frame {
	__u64 offset; /* in the file; else the address */
	__u32 file;   /* its number among unwind_files */
	__u32 status;
};

/* A frame that the kernel has found: struct bpf_stack_build_id. */
struct found_frame {
	__s32 status;
	__u8 build_id[20]; /* zeroes where there is none */
	__u64 offset;	   /* in the file; else the address */
};

/* How a stack ended; the names reach the recording. */
enum stack_end {
	STACK_BY_FRAME_POINTER, /* frame pointers alone: nobody knows whether it is whole */
	STACK_WHOLE,
	STACK_TOO_DEEP,	  /* it has more frames than are kept */
	STACK_NO_TABLE,	  /* the unwind tables of the program or file were not here yet */
	STACK_NO_ROOM,	  /* there was no room for them */
	STACK_NO_MAPPING, /* a return address where nothing is mapped */
	STACK_NO_RULE,	  /* code that the tables do not describe, or not in a way that is understood */
	STACK_UNREADABLE, /* memory that is not resident */
	STACK_GENERATED,  /* generated code without frame pointers */
	STACK_IN_EXEC,	  /* within execve: its memory is the next program's already, and its registers are not */
};

struct user_stack {
	__u32 count;
	__u32 uid;   /* the real one of the thread */
	__u32 end;   /* enum stack_end */
	__u16 found; /* the frames are the kernel's */
	__u16 is_private;
	union {
		struct user_frame frames[MAX_USER_FRAMES];
		struct found_frame found_frames[MAX_FOUND_FRAMES];
	};
};
_Static_assert(sizeof(struct user_stack) == 16 + 16 * MAX_USER_FRAMES, "no holes");

/* One of few frames: half as many where the kernel has found them. */
#define SHALLOW_FRAMES 48

struct shallow_user_stack {
	__u32 head[4];
	struct user_frame frames[SHALLOW_FRAMES];
};

#endif
