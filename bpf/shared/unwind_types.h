/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What user space writes for unwind.h: tables of files, and what processes have mapped.
 */
#ifndef EBREC_UNWIND_TYPES_H
#define EBREC_UNWIND_TYPES_H

#include "kernel.h"

/* As in src/unwind/pool.rs. */
#define UNWIND_CHUNK_ROWS 16384
#define UNWIND_PAGE	  4096

/* src/unwind/rule.rs says what they mean. */
enum unwind_cfa {
	CFA_UNKNOWN,
	CFA_OUTERMOST,
	CFA_STACK_POINTER,
	CFA_FRAME_POINTER,
	CFA_OTHER_STACK,
	CFA_REGISTER,
	CFA_RETURN_IN_REGISTER,
	CFA_AT_STACK_POINTER,
	CFA_AT_FRAME_POINTER,
	CFA_STUB,
	CFA_SIGNAL,
	CFA_GOROUTINE,
	CFA_UNSUPPORTED,
};

enum unwind_frame_pointer {
	FP_SAME,
	FP_AT_CFA,
	FP_AT_FRAME_POINTER,
	FP_LOST,
};

struct unwind_rule {
	__u8 cfa;	    /* enum unwind_cfa */
	__u8 frame_pointer; /* enum unwind_frame_pointer */
	__u16 reg;	    /* by its number in unwind tables */
	__s32 offset;
	__s32 more;
	__s32 frame_pointer_offset;
};

struct unwind_chunk {
	__u32 rows[UNWIND_CHUNK_ROWS]; /* the place in its page, and above 16 bits the number of the rule */
};

struct unwind_page {
	__u32 first;
	__u32 count;
};

/* An executable mapping. */
struct unwind_mapping {
	__u64 start;
	__u64 end;
	__u64 offset; /* the first byte's place in the file */
	__u32 page;   /* the number of the first page's entry */
	__u32 pages;  /* how many of its pages have one */
	__u32 file;
	__u32 kind; /* enum unwind_mapping_kind */
};

enum unwind_mapping_kind {
	MAPPING_FILE,
	MAPPING_FILE_UNREAD, /* a file whose tables are not here yet */
	MAPPING_NO_ROOM,     /* a file for whose tables there was no room */
	MAPPING_GENERATED,   /* memory without a file */
	MAPPING_KERNEL,	     /* made by the kernel: has tables, and is no file */
};

struct unwind_process {
	__u64 program; /* see program_of() */
	__u64 exec_vm; /* pages of executable mappings when they were read */
	__u32 first;   /* its mappings, by rising address */
	__u32 count;
};

/* The head of a frame in a file, as it is copied into the stack. */
struct unwind_file {
	__s32 status;
	__u8 build_id[20];
	__u32 python; /* the interpreter that it has, by number; 0: none */
};

#endif
