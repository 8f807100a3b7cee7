/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A hit as a row: what the event captures of it, with the texts and stacks.
 */
#ifndef EBREC_EVENTS_ROWS_H
#define EBREC_EVENTS_ROWS_H

#include "ebrec.h"

#include "stack.h"
#include "code.h"
#include "knobs.h"

/* Of a text: there is more of it than there was room for. No failure. */
#define TEXT_CUT 4

/* include/linux/socket.h */
#define EVENT_AF_UNIX  1
#define EVENT_AF_INET  2
#define EVENT_AF_INET6 10

struct event_record {
	struct event_header header; /* event is knobs.event */
	__u64 dur_ns;
	__u64 kstack;
	__u64 ustack;
	__s64 numbers[EVENT_NUMBERS];
	__u32 place;
	__u8 no_number; /* a bit for each that could not be read */
	__u8 no_text;
	__u16 text_bytes; /* room for each text */
	__u8 comm[TASK_COMM_LEN];
	/* The texts follow. */
};
_Static_assert(sizeof(struct event_record) == 120, "no holes");

struct event_record *export_event_record;

/*
 * Programs on functions of processes can be preempted, and others interrupted, by one of their kind on the same CPU,
 * which then does without a stack: there is one buffer for it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} stack_taken SEC(".maps");

static __always_inline void count_failure(struct hit *hit, enum loss_cause cause)
{
	if (!(hit->failed & FAILED_UNREADABLE))
		return;
	if (hit->may_wait)
		hit->waits = 1;
	else
		count_loss(cause);
}

/* A string, of which a byte more than the limit is read: that tells whether it goes on. */
static __always_inline __u32 room_for(const volatile struct event_text *text, __u32 room)
{
	return text->limit + 2U < room ? text->limit + 2U : room;
}

/* What is there of a text, as it is: user space makes it readable. `room` is at least that of a struct sockaddr_un. */
static __noinline __u64 read_text(void *to, __u32 room, __u64 address, const volatile struct event_text *text)
{
	__u32 space = text->space, size;
	__u16 *family = to;
	long result;

	switch (text->kind) {
	case TEXT_STRING:
		size = room_for(text, room);
		result = read_string(to, size, address, space);
		return failure(result, address) | (result == size && size == room ? TEXT_CUT : 0);
	case TEXT_BYTES:
		size = text->limit < room ? text->limit : room;
		return failure(read_memory(to, size, address, space), address) | (size < text->limit ? TEXT_CUT : 0);
	case TEXT_IPV4:
		return failure(read_memory(to, 4, address, space), address);
	case TEXT_IPV6:
		return failure(read_memory(to, 16, address, space), address);
	}
	result = read_memory(to, 2, address, space);
	if (result)
		return failure(result, address);
	if (*family == EVENT_AF_INET)
		result = read_memory(to, 16, address, space);
	else if (*family == EVENT_AF_INET6)
		result = read_memory(to, 28, address, space);
	else if (*family == EVENT_AF_UNIX)
		result = read_string(to + 2, EVENT_SHORT_TEXT - 2, address + 2, space);
	return failure(result, address);
}

static __always_inline void stacks_of(void *ctx, __u64 *kernel, __u64 *user)
{
	__u32 zero = 0, *taken;

	if (!knobs.kernel_stack && !knobs.user_stack)
		return;
	taken = bpf_map_lookup_elem(&stack_taken, &zero);
	if (!taken || *taken) {
		count_loss(LOSS_STACK_NOT_KEPT);
		return;
	}
	*(volatile __u32 *)taken = 1;
	if (knobs.kernel_stack)
		*kernel = kernel_stack(ctx);
	if (knobs.user_stack)
		*user = user_stack(ctx);
	*(volatile __u32 *)taken = 0;
}

static __noinline void fill_record(struct hit *hit, struct event_record *record)
{
	__u64 who = bpf_get_current_pid_tgid();

	fill_header(&record->header, knobs.event, hit->now, who >> 32, who);
	record->dur_ns = hit->duration;
	record->place = hit->place;
	record->no_number = 0;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < EVENT_NUMBERS; i++) {
		record->numbers[i] = 0;
		if (i >= knobs.numbers)
			continue;
		record->numbers[i] = compute(hit, CODE_NUMBER + i);
		count_failure(hit, LOSS_MEMORY_UNREADABLE);
		if (hit->failed)
			record->no_number |= 1 << i;
	}
}

/* Whether the text is longer than its room. */
static __always_inline bool fill_text(struct hit *hit, struct event_record *record, __u32 i, __u32 room)
{
	__u64 address = compute(hit, CODE_TEXT + i), cut = 0;

	if (!hit->failed) {
		hit->failed = read_text((void *)(record + 1) + i * room, room, address, &knobs.text[i]);
		cut = hit->failed & TEXT_CUT;
		hit->failed &= ~TEXT_CUT;
	}
	count_failure(hit, LOSS_UNREADABLE);
	if (hit->failed)
		record->no_text |= 1 << i;
	return cut;
}

static __always_inline bool fill_texts(struct hit *hit, struct event_record *record, __u32 room)
{
	bool cut = false;

	record->text_bytes = room;
	record->no_text = 0;
	if (knobs.texts > 0)
		cut |= fill_text(hit, record, 0, room);
	if (knobs.texts > 1)
		cut |= fill_text(hit, record, 1, room);
	if (knobs.texts > 2)
		cut |= fill_text(hit, record, 2, room);
	return cut;
}

static __always_inline void stream(void *ctx, struct hit *hit)
{
	__u64 kstack = 0, ustack = 0;
	struct event_record *record;
	void *ring;

	if (config.stream == STREAM_SLOW && knobs.is_latency && hit->duration < config.slow_ns)
		return;
	if (!(config.stream == STREAM_SLOW && knobs.is_latency) && !row_is_drawn())
		return;
	stacks_of(ctx, &kstack, &ustack);
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record) + (__u64)knobs.texts * knobs.text_bytes);
	if (!record)
		return;
	if (fill_texts(hit, record, knobs.text_bytes) && knobs.text_longer > knobs.text_bytes) {
		/* Few are so long: they are read once more, with the room that they need. */
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		record = ring_reserve(ring, sizeof(*record) + (__u64)knobs.texts * knobs.text_longer);
		if (!record)
			return;
		fill_texts(hit, record, knobs.text_longer);
	}
	record->kstack = kstack;
	record->ustack = ustack;
	fill_record(hit, record);
	if (hit->waits) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return;
	}
	ring_submit(ring, record);
}

#endif
