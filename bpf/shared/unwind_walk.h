/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A walk along a user stack: what unwind.h and python.h share.
 */
#ifndef EBREC_UNWIND_WALK_H
#define EBREC_UNWIND_WALK_H

#include "ebrec.h"

#include "stack_types.h"

#if defined(__TARGET_ARCH_x86)
/* struct pt_regs, whose order is the kernel's interface to debuggers. */
struct unwind_registers {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip;
	__u16 cs, pad[3];
	__u64 flags, sp;
};
#endif

/* Words of a frame of the interpreter's that are read, and a power of two, by which the verifier knows what is within. */
#define PYTHON_FRAME_WORDS 10
#define PYTHON_WORDS	   16

/* Along the frames of an interpreter. */
struct python_walk {
	__u64 frame;	 /* that comes next; 0: the walk goes on along the C stack */
	__u64 next;	 /* where the frames of the call before begin */
	__u64 low;	 /* where the C frame of the interpreter's loop begins */
	__u64 runtime;	 /* address of the interpreter's data */
	__u64 state;	 /* of the thread */
	__u64 thread_id; /* that the interpreter has for the thread */
	__u64 code;	 /* see PYTHON_ADDRESS */
	__u64 names[4];
	__u64 words[PYTHON_WORDS];
	struct user_frame native; /* the interpreter's loop */
	__u32 first;		  /* where that was */
	__u32 interpreter;
	__u32 has_begun;
	__u32 pad;
};

/* A walk under way. */
struct unwind_walk {
	__u64 pc;
	__u64 sp;
	__u64 fp;
	__u64 word;    /* read from the thread's memory: the stack has no room for it */
	__u64 program; /* see program_of() */
	__u32 first;   /* of the process's mappings */
	__u32 count;
	__u32 mapping; /* where the frame before was */
	__u8 is_exact; /* pc is the instruction that runs next, not one to return to */
	__u8 end;      /* enum stack_end */
	__u16 pad;
	struct python_walk python;
#if defined(__TARGET_ARCH_x86)
	struct unwind_registers registers;
#endif
};

/* Too large for the stack. No program of an object interrupts another of it with these in use. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct user_stack);
} user_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_walk);
} unwind_walks SEC(".maps");

static __always_inline bool read_user(__u64 address, __u64 *word)
{
	return !bpf_probe_read_user(word, sizeof(*word), (void *)address);
}

#endif
