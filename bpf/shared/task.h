/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a task's start times live: in task storage, or in a hash by thread id where that is not safe.
 *
 * Task storage exists since 5.11, but before 6.4 (commit 6ae9d5e99e1d) it allocated with kmalloc: under the run-queue
 * lock that can wake kswapd and deadlock. User space decides by version and creates only the map that is used.
 */
#ifndef EBREC_TASK_H
#define EBREC_TASK_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

#include "config.h"
#include "loss.h"

/*
 * DEFINE_TASK_STATE(type): the maps, state_of(task, create) and state_forget(task). pid_max of a default 64-bit kernel
 * is larger, but threads that wait at one time are not.
 */
#define DEFINE_TASK_STATE(state_type) DEFINE_TASK_STATE_OF(state_type, 65536)

/* The same with a bound on the hash, for a large type. */
#define DEFINE_TASK_STATE_OF(state_type, threads)                                                                      \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_TASK_STORAGE);                                                               \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                                                  \
		__type(key, int);                                                                                      \
		__type(value, state_type);                                                                             \
	} state_by_task SEC(".maps");                                                                                  \
                                                                                                                       \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_HASH);                                                                       \
		__uint(max_entries, threads);                                                                          \
		__type(key, __u32);                                                                                    \
		__type(value, state_type);                                                                             \
	} state_by_tid SEC(".maps");                                                                                   \
                                                                                                                       \
	/* Too large for the stack, where a probe keeps much. */                                                       \
	static const state_type no_state = {};                                                                         \
                                                                                                                       \
	static __always_inline state_type *state_of(struct task_struct *task, bool create)                             \
	{                                                                                                              \
		state_type *state;                                                                                     \
		__u32 tid;                                                                                             \
                                                                                                                       \
		if (config.task_storage) {                                                                             \
			state = bpf_task_storage_get(&state_by_task, task, 0,                                          \
						     create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);                     \
			if (!state && create)                                                                          \
				count_loss(LOSS_STATE_FULL);                                                           \
			return state;                                                                                  \
		}                                                                                                      \
		tid = task->pid;                                                                                       \
		state = bpf_map_lookup_elem(&state_by_tid, &tid);                                                      \
		if (!state && create) {                                                                                \
			update_or_count(&state_by_tid, &tid, &no_state, LOSS_STATE_FULL);                              \
			state = bpf_map_lookup_elem(&state_by_tid, &tid);                                              \
		}                                                                                                      \
		return state;                                                                                          \
	}                                                                                                              \
                                                                                                                       \
	/* Task storage goes with the task; a hash entry has to be dropped. */                                         \
	static __always_inline void state_forget(struct task_struct *task)                                             \
	{                                                                                                              \
		__u32 tid = task->pid;                                                                                 \
                                                                                                                       \
		if (!config.task_storage)                                                                              \
			bpf_map_delete_elem(&state_by_tid, &tid);                                                      \
	}

#endif
