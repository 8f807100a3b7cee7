/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an event of the user's own computes at a hit: postfix code over 64-bit integers. The code is constant, so that
 * the verifier walks the steps of this event and no others, and what no event needs is never there.
 *
 * Comparisons are done without branches: a branch in a step would be two paths through all the steps that follow.
 */
#ifndef EBREC_EVENTS_CODE_H
#define EBREC_EVENTS_CODE_H

#include "ebrec.h"

#include "knobs.h"

/* What is known of a hit. */
struct hit {
	__u64 args[EVENT_ARGUMENTS];
	__u64 record; /* the address of a tracepoint's record */
	__u64 returned;
	__u64 duration;
	__u64 now;
	__u32 place;
	__u32 unread;  /* arguments that could not be read, a bit for each */
	__u8 may_wait; /* what can't be read now can be later */
	__u8 waits;    /* and that is so */
	__u8 is_counted;
	__u8 pad[5];
	__u64 failed; /* FAILED_* of the code that ran last */
};

#define FAILED_UNREADABLE 1
#define FAILED_NULL	  2 /* a pointer that leads nowhere: nothing is lost */

/* A value of which neither the compiler nor the verifier knows where it comes from. */
#define opaque(value) asm volatile("" : "+r"(value))

static __always_inline __u64 is_set(__u64 value)
{
	__u64 negative = -value;

	opaque(negative);
	return (value | negative) >> 63;
}

static __always_inline __u64 is_less(__u64 left, __u64 right)
{
	__u64 difference = left - right;

	opaque(difference);
	return (difference ^ ((left ^ right) & (difference ^ left))) >> 63;
}

static __always_inline __u64 magnitude(__u64 value)
{
	__u64 sign = (__s64)value >> 63;

	return (value ^ sign) - sign;
}

/* By hand: the instruction set has no signed division, and in C a division by zero has no meaning. */
static __always_inline __u64 quotient(__u64 left, __u64 right)
{
	__u64 sign = (__s64)(left ^ right) >> 63, divided = magnitude(left), by = magnitude(right);

	asm volatile("%0 /= %1" : "+r"(divided) : "r"(by));
	return (divided ^ sign) - sign;
}

static __always_inline __u64 remainder(__u64 left, __u64 right)
{
	return (left - quotient(left, right) * right) & -is_set(right);
}

/* Pages that a string can be in, and the end of the smallest. */
#define STRING_PAGES 3
#define PAGE_END     0xfff

static __always_inline long read_memory(void *to, __u32 size, __u64 address, __u8 space)
{
	long result;

	if (space != SPACE_USER && (space != SPACE_BY_ADDRESS || (__s64)address < 0))
		return bpf_probe_read_kernel(to, size, (void *)address);
	result = bpf_probe_read_user(to, size, (void *)address);
	if (result && knobs.may_sleep)
		result = bpf_copy_from_user(to, size, (void *)address);
	return result;
}

/* Up to and with a zero. */
static __always_inline long read_string(void *to, __u32 size, __u64 address, __u8 space)
{
	long result;
	__u8 byte;

	if (space != SPACE_USER && (space != SPACE_BY_ADDRESS || (__s64)address < 0))
		return bpf_probe_read_kernel_str(to, size, (void *)address);
	result = bpf_probe_read_user_str(to, size, (void *)address);
	if (!knobs.may_sleep)
		return result;
	/* Which page is missing is not said: one after the other. */
	for (__u64 page = 0; page < STRING_PAGES && result < 0; page++) {
		if (bpf_copy_from_user(&byte, sizeof(byte),
				       page ? (void *)((address | PAGE_END) + 1 + (page - 1) * (PAGE_END + 1)) :
					      (void *)address))
			break;
		result = bpf_probe_read_user_str(to, size, (void *)address);
	}
	return result;
}

static __always_inline __u64 failure(long result, __u64 address)
{
	__u64 failed = (__u64)result >> 63;

	/* FAILED_UNREADABLE, or one bit further for the page at zero. */
	return failed << (is_set(address >> 12) ^ 1);
}

static __always_inline __u64 swapped(__u64 value, __u32 size)
{
	return __builtin_bswap64(value) >> (64 - 8 * size);
}

static __always_inline __u64 bits(__u64 value, __u32 width, bool is_signed)
{
	value <<= 64 - width;
	return is_signed ? (__u64)((__s64)value >> (64 - width)) : value >> (64 - width);
}

/*
 * Whether the string at an address is the wanted one, in chunks: the last one has its zero. Not further than the first difference,
 * for behind the end of a shorter string there may be nothing to read.
 */
static __noinline __u64 text_is(struct hit *hit, __u64 address, __u32 which, __u32 chunks, __u8 space)
{
	__u64 buffer[WANTED_WORDS + 1], differs = 0;

#pragma clang loop unroll(disable)
	for (__u32 chunk = 0; chunk < EVENT_WANTED / WANTED_WORDS; chunk++) {
		if (chunk >= chunks || differs)
			break;
		__builtin_memset(buffer, 0, sizeof(buffer));
		/* One more than the chunk, for the zero that the kernel ends it with. */
		hit->failed |= failure(read_string(buffer, WANTED_WORDS * 8 + 1, address, space), address);
		for (int word = 0; word < WANTED_WORDS; word++)
			differs |=
				buffer[word] ^ knobs.wanted[(which + chunk * WANTED_WORDS + word) & (EVENT_WANTED - 1)];
		address += WANTED_WORDS * 8;
	}
	return is_set(differs) ^ 1;
}

#define IS_EQUAL(a, b) (is_set((a) ^ (b)) ^ 1)

/* Runs one of the event's codes. A function of its own, which the verifier follows with the constants of each call. */
static __noinline __u64 compute(struct hit *hit, __u32 which)
{
	const volatile struct event_code *code = &knobs.codes[which];
	__u64 stack[EVENT_DEPTH + 1] = {}, buffer[2];

	hit->failed = 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < EVENT_STEPS; i++) {
		const volatile struct event_step *step = &code->steps[i];
		__u64 *top = &stack[step->at];
		__u64 a = top[0], b;

		if (i >= code->count)
			break;
		b = step->op >= OP_ADD ? top[1] : 0;
		switch (step->op) {
		case OP_NUMBER:
			a = step->number;
			break;
		case OP_ARGUMENT:
			a = hit->args[step->which];
			hit->failed |= hit->unread >> step->which & FAILED_UNREADABLE;
			break;
		case OP_RETURNED:
			a = hit->returned;
			break;
		case OP_DURATION:
			a = hit->duration;
			break;
		case OP_RECORD:
			a = hit->record;
			break;
		case OP_PID:
			a = bpf_get_current_pid_tgid() >> 32;
			break;
		case OP_TID:
			a = (__u32)bpf_get_current_pid_tgid();
			break;
		case OP_UID:
			a = (__u32)bpf_get_current_uid_gid();
			break;
		case OP_CPU:
			a = bpf_get_smp_processor_id();
			break;
		case OP_TIME:
			a = hit->now;
			break;
		case OP_LOAD:
			buffer[0] = 0;
			hit->failed |= failure(read_memory(buffer, step->size, a + step->number, step->space), a);
			a = step->big_endian ? swapped(buffer[0], step->size) : buffer[0];
			a = bits(a, 8 * step->size, step->is_signed);
			break;
		case OP_BITS:
			a = bits(a >> step->shift, step->size, step->is_signed);
			break;
		case OP_TEXT_IS:
			a = text_is(hit, a, step->which, step->size, step->space);
			break;
		case OP_COMM_IS:
			/* Before Linux 6.2 what is behind the name's end stays as it was. */
			buffer[0] = buffer[1] = 0;
			bpf_get_current_comm(buffer, TASK_COMM_LEN);
			a = buffer[0] ^ knobs.wanted[step->which & (EVENT_WANTED - 1)];
			a |= buffer[1] ^ knobs.wanted[(step->which + 1) & (EVENT_WANTED - 1)];
			a = is_set(a) ^ 1;
			break;
		case OP_NOT:
			a = is_set(a) ^ 1;
			break;
		case OP_NEGATE:
			a = -a;
			break;
		case OP_INVERT:
			a = ~a;
			break;
		case OP_SWAP:
			a = swapped(a, step->size);
			break;
		case OP_ADD:
			a += b;
			break;
		case OP_SUBTRACT:
			a -= b;
			break;
		case OP_MULTIPLY:
			a *= b;
			break;
		case OP_DIVIDE:
			a = quotient(a, b);
			break;
		case OP_REMAINDER:
			a = remainder(a, b);
			break;
		case OP_AND:
			a = is_set(a) & is_set(b);
			break;
		case OP_OR:
			a = is_set(a) | is_set(b);
			break;
		case OP_BIT_AND:
			a &= b;
			break;
		case OP_BIT_OR:
			a |= b;
			break;
		case OP_BIT_XOR:
			a ^= b;
			break;
		case OP_SHIFT_LEFT:
			a <<= b & 63;
			break;
		case OP_SHIFT_RIGHT:
			a = (__s64)a >> (b & 63);
			break;
		case OP_EQUAL:
			a = IS_EQUAL(a, b);
			break;
		case OP_NOT_EQUAL:
			a = is_set(a ^ b);
			break;
		case OP_LESS:
			a = is_less(a, b);
			break;
		case OP_LESS_OR_EQUAL:
			a = is_less(b, a) ^ 1;
			break;
		case OP_GREATER:
			a = is_less(b, a);
			break;
		case OP_GREATER_OR_EQUAL:
			a = is_less(a, b) ^ 1;
			break;
		}
		top[0] = a;
	}
	return stack[0];
}

#endif
