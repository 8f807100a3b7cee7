/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where in the process's memory the bytes are that a call moved.
 */
#ifndef EBREC_HTTP_BYTES_H
#define EBREC_HTTP_BYTES_H

#include "ebrec.h"

#include "calls.h"
#include "job.h"

/* Where the bytes of a call are, and the peer's address that it names. False: they are not to be looked at. */
static __always_inline bool find_bytes(struct job *job, struct pt_regs *regs, __u8 kind, __u64 *name)
{
	struct user_message_of_many many;
	__u64 word;

	job->vectors = job->base = 0;
	if (kind == CALL_BUFFER_FLAGS || kind == CALL_MANY) {
		if (!job->outgoing && syscall_argument_4(regs) & HTTP_MSG_NOT_TAKEN)
			return false;
	} else if (kind == CALL_MESSAGE && !job->outgoing && syscall_argument_3(regs) & HTTP_MSG_NOT_TAKEN) {
		return false;
	}
	switch (kind) {
	case CALL_BUFFER_FLAGS:
		/* The barriers keep loads apart that the compiler would make one: of a register, and of the program's stack. */
		word = call_argument_5(regs);
		barrier_var(word);
		*name = word;
		job->base = syscall_argument_2(regs);
		return true;
	case CALL_BUFFER:
		job->base = syscall_argument_2(regs);
		return true;
	case CALL_VECTOR:
		job->vectors = syscall_argument_2(regs);
		return true;
	case CALL_MESSAGE:
	case CALL_MANY:
		if (bpf_probe_read_user(&many, kind == CALL_MANY ? sizeof(many) : sizeof(many.message),
					(void *)syscall_argument_2(regs))) {
			count_loss(LOSS_UNREADABLE);
			return false;
		}
		word = many.message.name;
		barrier_var(word);
		*name = word;
		word = many.message.vectors;
		barrier_var(word);
		job->vectors = word;
		if (kind == CALL_MANY)
			job->total = many.length;
		return true;
	default:
		return true;
	}
}

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
