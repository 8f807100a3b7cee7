/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The first of the places in the process's memory where the bytes of a call are.
 */
#ifndef EBREC_HTTP_BYTES_H
#define EBREC_HTTP_BYTES_H

#include "ebrec.h"

#include "io_calls.h"
#include "job.h"

/* The call's buffer, or the first of its vectors. False: it can't be read. */
static __always_inline bool first_part(struct job *job)
{
	struct user_vector vector;

	job->begins = 0;
	job->offset = 0;
	job->size = job->total;
	if (job->vectors) {
		if (bpf_probe_read_user(&vector, sizeof(vector), (void *)job->vectors)) {
			count_loss(LOSS_UNREADABLE);
			return false;
		}
		job->base = vector.base;
		job->size = vector.length;
		job->vectors += sizeof(vector);
	}
	job->source = job->base;
	job->length = job->size < job->total ? job->size : job->total;
	return true;
}

#endif
