/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The requests that the probe block follows from their submission to their completion, and the disks they are for.
 */
#ifndef EBREC_BLOCK_REQUESTS_H
#define EBREC_BLOCK_REQUESTS_H

#include "ebrec.h"

/* Requests in flight: more than the tags of a few dozen busy devices. */
#define MAX_REQUESTS 16384
#define MAX_DISKS    1024

/* A request between insert and completion. */
struct pending {
	__u64 inserted;
	__u64 issued;
	__u64 allocated; /* as the kernel's own account has it; 0: it has none */
	__u32 pid;
	__u32 tid;
	__u32 bytes;
	__u32 flags;
	__u32 requeued; /* 1: between being given back by the device and being issued again */
	__u32 pad;
	__u64 sector;
	__u8 comm[TASK_COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_REQUESTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* the request's address, which stays in the kernel */
	__type(value, struct pending);
} requests SEC(".maps");

struct disk {
	__u64 next_sector;
	__s32 in_flight;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_DISKS);
	__type(key, __u32); /* major << 20 | minor, as the kernel's dev_t */
	__type(value, struct disk);
} disks SEC(".maps");

static __always_inline __u32 disk_number(struct request *rq)
{
	struct gendisk *gendisk = request_disk(rq);

	return gendisk ? (__u32)BPF_CORE_READ(gendisk, major) << 20 | BPF_CORE_READ(gendisk, first_minor) : 0;
}

/* Remembers who submitted the request; later hooks run in whatever context completes it. */
static __always_inline struct pending *submitted(__u64 key)
{
	struct pending fresh = {};
	__u64 id;

	if (!current_in_scope())
		return NULL;
	id = bpf_get_current_pid_tgid();
	fresh.pid = id >> 32;
	fresh.tid = id;
	bpf_get_current_comm(fresh.comm, sizeof(fresh.comm));
	if (update_or_count(&requests, &key, &fresh, LOSS_STATE_FULL))
		return NULL;
	return bpf_map_lookup_elem(&requests, &key);
}

#endif
