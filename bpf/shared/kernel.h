/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel types that are read, with only the members that are read. CO-RE finds each member's place on the
 * running kernel by name, so order and size here mean nothing. A full vmlinux.h would be 2.8 MB.
 */
#ifndef EBREC_KERNEL_H
#define EBREC_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

/* uapi/linux/bpf.h: stable numbers, so that no kernel header is needed to build. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1 << 0,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1 << 0,
	BPF_RB_NO_WAKEUP = 1 << 0,
	BPF_RB_FORCE_WAKEUP = 1 << 1,
	BPF_RB_AVAIL_DATA = 0,
};

/* include/linux/sched.h */
#define TASK_RUNNING  0x0000
#define TASK_COMM_LEN 16
#define SCHED_NORMAL  0
#define SCHED_BATCH   3
#define SCHED_IDLE    5
#define PF_EXITING    0x00000004
#define PF_KTHREAD    0x00200000
/* include/linux/sched/signal.h: the process is going down with group_exit_code. */
#define SIGNAL_GROUP_EXIT 0x00000004

/* include/trace/events/lock.h */
enum lock_flags {
	LCB_F_SPIN = 0x01,
	LCB_F_READ = 0x02,
	LCB_F_WRITE = 0x04,
	LCB_F_RT = 0x08,
	LCB_F_PERCPU = 0x10,
	LCB_F_MUTEX = 0x20,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block {
	unsigned long s_magic;
	__u32 s_dev; /* the kernel's packing: 12 bits of major, 20 of minor number */
};

struct inode {
	__u16 i_mode;
	unsigned long i_ino;
	__u32 i_rdev;
	struct super_block *i_sb;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	unsigned int f_mode;
	struct path f_path;
	struct inode *f_inode;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
	int level;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long total_vm; /* pages */
	atomic64_t pgtables_bytes;
};

struct signal_struct {
	atomic_t live;
	int nr_threads;
	unsigned int flags;
	int group_exit_code;
	unsigned long long sum_sched_runtime;
	unsigned long maxrss; /* pages */
	short oom_score_adj;
};

struct rq {
	__u64 clock;	  /* ns: the scheduler's clock, as it was last read on this CPU */
	__u64 clock_task; /* ns: likewise, without the time of interrupts */
};

struct cfs_rq {
	struct rq *rq;	    /* CONFIG_FAIR_GROUP_SCHED, as sched_entity.cfs_rq */
	int throttle_count; /* CONFIG_CFS_BANDWIDTH: groups here or above it that are throttled */
};

struct sched_entity {
	__u64 exec_start;	     /* ns of rq.clock_task, when sum_exec_runtime was last brought up to date */
	__u64 sum_exec_runtime;	     /* ns */
	__u64 prev_sum_exec_runtime; /* ns: sum_exec_runtime when it was picked */
	struct cfs_rq *cfs_rq;
};

struct sched_info {
	unsigned long long last_queued; /* ns of rq.clock: since when it waits for a CPU; 0: it does not */
};

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

/* Its size and the places in it are those of every kernel. */
struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[0];
};

struct task_struct {
	unsigned int flags;
	unsigned in_iowait : 1;
	void *stack;
	struct files_struct *files;
	int pid;
	int tgid;
	int prio;
	unsigned int policy;
	int exit_code;
	int exit_state;
	unsigned int on_cpu; /* int, a byte in 7.3: without a sign libbpf adjusts the load */
	unsigned long min_flt;
	unsigned long maj_flt;
	__u64 start_time;     /* CLOCK_MONOTONIC ns */
	__u64 start_boottime; /* CLOCK_BOOTTIME ns; since 5.5 under this name */
	__u64 self_exec_id;   /* execs of the thread and those that it comes from; 64 bits since 5.7 */
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct mm_struct *mm;
	struct signal_struct *signal;
	const struct cred *cred;
	struct css_set *cgroups;
	struct sched_entity se;
	struct sched_info sched_info;
	char comm[TASK_COMM_LEN];
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task; /* NULL: the walk is over */
};

struct linux_binprm {
	const char *filename;
};

struct gendisk {
	int major;
	int first_minor;
};

struct request_queue {
	struct gendisk *disk;
};

struct request {
	struct request_queue *q;
	unsigned int cmd_flags;
	unsigned int __data_len;
	__u64 __sector;
};

/* include/linux/blk_types.h; the values moved over time, CO-RE asks the running kernel. */
enum req_flag_bits {
	__REQ_SYNC = 11,
	__REQ_META = 12,
	__REQ_FUA = 17,
	__REQ_PREFLUSH = 18,
	__REQ_RAHEAD = 19,
};

#pragma clang attribute pop

#endif
