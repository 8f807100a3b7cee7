/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What user space and the programs on functions of processes have in common: see frames.h.
 */
#ifndef EBREC_FRAME_TYPES_H
#define EBREC_FRAME_TYPES_H

#include "kernel.h"

/* What an attachment says of its place, in its cookie. The low half is the function's number. */
enum frame_place {
	/* How far the stack pointer is below where it was at the function's first instruction. */
	PLACE_STACK_SHIFT = 32,
	PLACE_STACK_BITS = 24,
	/*
	 * The function ends by jumping to another one, which has callers of its own. At the entry: keep the return address.
	 * At an exit that is the other function's: compare it.
	 */
	PLACE_SHARED_BIT = 62,
	/* A function of Go, whose stacks move. */
	PLACE_GOROUTINE_BIT = 63,
};

struct frame_key {
	__u64 stack;	 /* the stack pointer at the entry; of Go, its distance from the stack's end */
	__u64 goroutine; /* the address of the g structure; not of Go: 0 */
	__u32 pid;
	__u32 function;
};
_Static_assert(sizeof(struct frame_key) == 24, "no holes");

/* The first member of what a probe keeps of a frame. */
struct frame {
	__u64 start;
	__u64 process; /* see process_identity() */
	__u64 back;    /* the return address, where PLACE_SHARED_BIT asks for it */
};

#endif
