/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processes whose mappings user space is to read, so that their stacks can be unwound.
 */
#ifndef EBREC_UNWIND_WANTED_H
#define EBREC_UNWIND_WANTED_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* Processes whose mappings are wanted, by id: the program that they run. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} unwind_wanted SEC(".maps");

/* Rings when there is a new one. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} unwind_bell SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct___unwind {
	unsigned long exec_vm;
	unsigned long start_code, end_code, start_stack;
};
struct thread_struct___unwind {
	unsigned long fsbase;
};
struct task_struct___unwind {
	struct task_struct___unwind *group_leader;
	struct task_struct___unwind *real_parent;
	struct mm_struct___unwind *mm;
	__u64 start_time;
	__u64 self_exec_id;
	unsigned int flags;
	int tgid;
	void *stack;
	struct thread_struct___unwind thread;
};
#pragma clang attribute pop

/* Asks user space for the mappings of a process. */
static __always_inline void want_mappings(__u32 pid, __u64 program)
{
	__u64 *wanted = bpf_map_lookup_elem(&unwind_wanted, &pid);

	if (wanted && *wanted == program)
		return;
	/* Where the bell is full, user space is on its way. */
	if (!bpf_map_update_elem(&unwind_wanted, &pid, &program, BPF_ANY))
		bpf_ringbuf_output(&unwind_bell, &pid, sizeof(pid), BPF_RB_FORCE_WAKEUP);
}

static __always_inline __u64 program_of(struct task_struct___unwind *task)
{
	return BPF_CORE_READ(task, group_leader, start_time) ^ BPF_CORE_READ(task, self_exec_id) << 48;
}

#endif
