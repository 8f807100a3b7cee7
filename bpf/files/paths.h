/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Opens that failed by path, and files by the path under which they were made, until that is removed or the window ends.
 */
#ifndef EBREC_FILES_PATHS_H
#define EBREC_FILES_PATHS_H

#include "ebrec.h"

#include "records.h"

/* The path argument; the kernel has just read it, so it is in memory. */
static __always_inline bool read_path(void *to, const void *user)
{
	if (bpf_probe_read_user_str(to, PATH_BYTES, user) > 0)
		return true;
	count_loss(LOSS_UNREADABLE);
	return false;
}

/* A path as a key: with who uses it, if it is relative, and from which directory. */
static __always_inline struct path_key *key_of(const void *user, __u32 pid, __s32 directory)
{
	struct path_key *key;
	__u32 zero = 0;

	key = bpf_map_lookup_elem(&scratch, &zero);
	if (!key)
		return NULL;
	__builtin_memset(key, 0, sizeof(*key));
	if (!read_path(key->path, user))
		return NULL;
	if (key->path[0] != '/') {
		key->pid = pid;
		key->extra = directory;
	}
	return key;
}

static __always_inline void count_failed(__u32 pid, __s32 error, const void *path)
{
	void *map = is_odd() ? (void *)&failed_odd : (void *)&failed_even;
	__u64 one = 1, *count;
	struct path_key *key;
	__u32 zero = 0;

	key = bpf_map_lookup_elem(&scratch, &zero);
	if (!key)
		return;
	__builtin_memset(key, 0, sizeof(*key));
	/* With EFAULT there is no path to read. */
	if (error != EFAULT)
		read_path(key->path, path);
	key->pid = holder_of(pid);
	key->extra = error;
	count = bpf_map_lookup_elem(map, key);
	if (!count) {
		/* -EEXIST: another CPU made the entry just now. */
		if (!bpf_map_update_elem(map, key, &one, BPF_NOEXIST))
			return;
		count = bpf_map_lookup_elem(map, key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		count_loss(LOSS_HISTOGRAM_FULL);
}

static __always_inline struct file_record *new_record(void *ring, __u8 event, __u64 who, __u64 now, __u64 took)
{
	struct file_record *record = ring_reserve(ring, sizeof(*record));

	if (!record)
		return NULL;
	fill_header(&record->header, event, now, who >> 32, who);
	record->took_ns = took;
	record->ret = 0;
	record->pad[0] = record->pad[1] = 0;
	record->path[0] = 0;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	return record;
}

static __always_inline void gone(__u64 who, __u64 now, struct made *made, struct path_key *key)
{
	struct file_record *record;
	__u64 age = now - made->at;
	void *ring;

	hist_add(FILES_SHORT_LIVED, who >> 32, made->dev | 1ULL << SUB_KNOWN_SHIFT, age);
	if (config.stream == STREAM_NONE)
		return;
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	record = new_record(ring, FILES_GONE, who, now, age);
	if (!record)
		return;
	record->dev = made->dev;
	record->known = 1;
	record->op = FILE_UNLINK;
	bpf_probe_read_kernel(record->path, sizeof(record->path), key->path);
	ring_submit(ring, record);
}

/* A call that worked on a path: a file was made, renamed or removed. */
static __always_inline void follow(__u64 who, __u64 now, __u8 what, struct pt_regs *regs, __u32 dev)
{
	bool at = (what & FILE_AT) == FILE_AT;
	__s32 directory = at ? (__s32)call_argument(regs, 1) : AT_FDCWD;
	__u64 path = at ? call_argument(regs, 2) : call_argument(regs, 1);
	struct made made = {.at = now, .dev = dev}, *known;
	__u8 op = what & FILE_OP_MASK;
	struct path_key *key = key_of((void *)path, who >> 32, directory);

	if (!key)
		return;
	if (op == FILE_OPEN) {
		update_or_count(&made_files, key, &made, LOSS_STATE_FULL);
		return;
	}
	known = bpf_map_lookup_elem(&made_files, key);
	if (!known)
		return;
	if (op == FILE_UNLINK)
		gone(who, now, known, key);
	made = *known;
	bpf_map_delete_elem(&made_files, key);
	if (op != FILE_RENAME)
		return;
	directory = at ? (__s32)call_argument(regs, 3) : AT_FDCWD;
	path = at ? call_argument(regs, 4) : call_argument(regs, 2);
	key = key_of((void *)path, who >> 32, directory);
	if (key)
		update_or_count(&made_files, key, &made, LOSS_STATE_FULL);
}

#endif
