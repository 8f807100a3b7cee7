/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is kept of calls on files while they last, and what reaches user space of them.
 */
#ifndef EBREC_FILES_RECORDS_H
#define EBREC_FILES_RECORDS_H

#include "ebrec.h"

#include "calls.h"

/* Returns from here to -1 are errors: MAX_ERRNO of include/linux/err.h. */
#define MAX_ERRNO 4095
#define EINTR	  4
#define EFAULT	  14
/* include/linux/errno.h: a signal ended the call; the program sees EINTR, or the call begins again. */
#define ERESTARTSYS 512
#define AT_FDCWD    (-100)
/* include/uapi/linux/stat.h */
#define S_IFDIR 0040000
/* include/linux/fs.h, since 4.19: this open made the file. */
#define FMODE_CREATED (1 << 20)
/* Longer paths are cut; most are shorter than half of it. */
#define PATH_BYTES 256
/* Programs that look for libraries and modules fail to find a thousand names a second. */
#define FAILED_PATHS 4096

enum files_event {
	FILES_DONE,
	FILES_GONE,
};

enum files_metric {
	FILES_LATENCY,	   /* by process, operation and file system; ns */
	FILES_SIZE,	   /* likewise, of what reads and writes; bytes */
	FILES_FAILED,	   /* counter by process, error and path; made in user space */
	FILES_SHORT_LIVED, /* by process and file system; ns */
};

/* `sub` of the metrics: the file system's device below. */
enum sub_bits {
	SUB_OP_SHIFT = 32,
	SUB_KNOWN_SHIFT = 40, /* 0: the call does not say which file system */
};

struct file_record {
	struct event_header header;
	__u64 took_ns; /* of a file that is gone: how long it was there */
	__s64 ret;
	__u32 dev;
	__u8 op;
	__u8 known; /* dev is */
	__u8 pad[2];
	__u8 comm[TASK_COMM_LEN];
	__u8 path[PATH_BYTES];
};
_Static_assert(sizeof(struct file_record) == 64 + PATH_BYTES, "no holes");

/* An open that failed, or a file that was made. */
struct path_key {
	__u32 pid;   /* 0: the path is absolute, for every process */
	__s32 extra; /* the error, or the directory's descriptor */
	__u8 path[PATH_BYTES];
};

struct file_record *export_file_record;
struct path_key *export_path_key;
enum files_event export_files_event;
enum files_metric export_files_metric;
enum sub_bits export_sub_bits;
enum file_op export_file_op;

/* A call that a thread is in. */
struct call {
	__u64 start; /* 0: none */
	__u32 dev;
	__u32 known;
};
DEFINE_TASK_STATE(struct call)

struct failed_opens {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FAILED_PATHS);
	__type(key, struct path_key);
	__type(value, __u64);
};

/* Swapped as the cells are. */
struct failed_opens failed_even SEC(".maps");
struct failed_opens failed_odd SEC(".maps");

struct made {
	__u64 at;
	__u32 dev;
	__u32 pad;
};

/* What outlives so many files that are made after it is not short-lived, so it may be forgotten. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct path_key);
	__type(value, struct made);
} made_files SEC(".maps");

/* Too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct path_key);
} scratch SEC(".maps");

#endif
