/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Since 6.13 (commit e00931c02568) what a program of a kprobe or uprobe keeps in 64 bytes of stack and more is in memory that
 * each CPU has once for it: the kernel takes it that a program is not started again on a CPU where it runs. On functions of
 * processes it is, where the kernel is preemptible, and then both runs have the same locals. A program with a tail call has its
 * thread's stack as ever, even if the verifier drops the call.
 */
#ifndef EBREC_OWN_STACK_H
#define EBREC_OWN_STACK_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} no_program SEC(".maps");

static __always_inline void stay_on_own_stack(void *ctx)
{
	if (config.never)
		bpf_tail_call(ctx, &no_program, 0);
}

/* The same for programs that may sleep, which take no such map: the verifier notes the call before it drops it. */
static __always_inline void sleep_on_own_stack(void *ctx)
{
	if (config.never)
		bpf_tail_call(ctx, (void *)0, 0);
}

#endif
