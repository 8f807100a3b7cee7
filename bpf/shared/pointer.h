/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A tracepoint's pointer as a plain number. The verifier takes the pointer itself for one that is never NULL and allows no
 * arithmetic with it, and older ones don't let it pass for a number where a function wants one.
 */
#ifndef EBREC_POINTER_H
#define EBREC_POINTER_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

static __always_inline __u64 number_of(const void *pointer)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &pointer);
	return number;
}

#endif
