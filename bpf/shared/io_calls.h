/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The system calls that move bytes through descriptors: what is behind the descriptor, and where the bytes are in the process's
 * memory.
 */
#ifndef EBREC_IO_CALLS_H
#define EBREC_IO_CALLS_H

#include "ebrec.h"

#define IO_CALLS 512
/* MSG_PEEK, MSG_ERRQUEUE: the bytes stay there, or are none of the stream. */
#define MSG_NOT_TAKEN 0x2002
/* PF_IO_WORKER (5.12) and PF_USER_WORKER (6.4) of include/linux/sched.h */
#define PF_ANY_WORKER 0x4010

/* What a system call does, by number; user space knows the numbers. */
enum io_call {
	CALL_NONE,
	CALL_BUFFER,	   /* read, write: descriptor, buffer */
	CALL_BUFFER_FLAGS, /* recvfrom, sendto: and flags in the fourth argument */
	CALL_VECTOR,	   /* readv, writev */
	CALL_MESSAGE,	   /* recvmsg, sendmsg: a struct msghdr, flags in the third */
	CALL_SENDFILE,
	CALL_MANY,   /* recvmmsg, sendmmsg: an array of struct mmsghdr, how many, flags in the fourth */
	CALL_SPLICE, /* from the first descriptor to the third */
	CALL_OUT = 0x80,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs___io {
	unsigned long r8;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs___io {
	__u64 regs[31];
};
#endif

struct inode___io {
	__u16 i_mode;
	unsigned long i_ino;
};
struct file___io {
	struct inode___io *f_inode;
	void *private_data;
};
#pragma clang attribute pop

/* include/uapi/linux/uio.h, include/linux/socket.h as programs see it on 64-bit machines */
struct user_vector {
	__u64 base;
	__u64 length;
};
struct user_message {
	__u64 name;
	__u32 name_length;
	__u32 pad;
	__u64 vectors;
	__u64 count;
	__u64 control[2];
	__u32 flags;
	__u32 pad_end;
};
/* One of the array that recvmmsg and sendmmsg take. */
struct user_message_of_many {
	struct user_message message;
	__u32 length; /* that it moved */
	__u32 pad;
};
_Static_assert(sizeof(struct user_message_of_many) == 64, "struct mmsghdr");

/* The fifth argument of a system call: the peer's address, of recvfrom and sendto. */
static __always_inline __u64 call_argument_5(struct pt_regs *regs)
{
	struct pt_regs___io *r = (void *)regs;

#if defined(__TARGET_ARCH_x86)
	return r->r8;
#else
	return r->regs[4];
#endif
}

/* What is behind a descriptor of the current task; NULL: nothing. */
static __always_inline struct file___io *file_of(struct task_struct *current, __u32 fd)
{
	struct file___io *file = NULL;
	struct task_struct *task;
	struct fdtable *table;
	struct file **files;
	__u32 count;

	/* What is found from here by type alone costs no helper. */
	if (current) {
		table = untrusted_task(current)->files->fdt;
		count = table->max_fds;
		files = table->fd;
	} else {
		task = (void *)bpf_get_current_task();
		table = BPF_CORE_READ(task, files, fdt);
		count = BPF_CORE_READ(table, max_fds);
		files = BPF_CORE_READ(table, fd);
	}
	if (fd < count)
		bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* Whether a call that reads takes no bytes out of the stream. */
static __always_inline bool leaves_bytes(struct pt_regs *regs, __u8 kind)
{
	switch (kind) {
	case CALL_BUFFER_FLAGS:
	case CALL_MANY:
		return syscall_argument_4(regs) & MSG_NOT_TAKEN;
	case CALL_MESSAGE:
		return syscall_argument_3(regs) & MSG_NOT_TAKEN;
	default:
		return false;
	}
}

/* Where the bytes of a call are in the process's memory. */
struct io_bytes {
	__u64 base;    /* of one buffer; 0: bytes that never were there */
	__u64 vectors; /* where the first struct iovec is; 0: one buffer */
	__u64 total;   /* bytes that it moved; of many messages, the first one's */
	__u64 name;    /* the peer's address that the call names, or 0 */
};

/* The bytes of a call that moved `bytes->total`. False: they are not to be looked at, or can't be read, which is counted. */
static __always_inline bool find_bytes(struct io_bytes *bytes, struct pt_regs *regs, __u8 kind, bool outgoing)
{
	struct user_message_of_many many;
	__u64 word;

	bytes->vectors = bytes->base = bytes->name = 0;
	if (!outgoing && leaves_bytes(regs, kind))
		return false;
	switch (kind) {
	case CALL_BUFFER_FLAGS:
		/* The barriers keep loads apart that the compiler would make one: of a register, and of the program's stack. */
		word = call_argument_5(regs);
		barrier_var(word);
		bytes->name = word;
		bytes->base = syscall_argument_2(regs);
		return true;
	case CALL_BUFFER:
		bytes->base = syscall_argument_2(regs);
		return true;
	case CALL_VECTOR:
		bytes->vectors = syscall_argument_2(regs);
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
		bytes->name = word;
		word = many.message.vectors;
		barrier_var(word);
		bytes->vectors = word;
		if (kind == CALL_MANY)
			bytes->total = many.length;
		return true;
	default:
		return true;
	}
}

#endif
