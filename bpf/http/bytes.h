/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The first of the places in the process's memory where the bytes of a call are.
 */
#ifndef EBREC_HTTP_BYTES_H
#define EBREC_HTTP_BYTES_H

#include "ebrec.h"

#include "io_calls.h"
#include "call.h"

/* The call's buffer, or the first of its vectors. False: it can't be read. */
static __always_inline bool first_part(struct call *call)
{
	struct user_vector vector;

	call->begins = 0;
	call->offset = 0;
	call->size = call->total;
	if (call->vectors) {
		if (bpf_probe_read_user(&vector, sizeof(vector), (void *)call->vectors)) {
			count_loss(LOSS_UNREADABLE);
			return false;
		}
		call->base = vector.base;
		call->size = vector.length;
		call->vectors += sizeof(vector);
	}
	call->source = call->base;
	call->length = call->size < call->total ? call->size : call->total;
	return true;
}

#endif
