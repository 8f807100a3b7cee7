/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a hit, whatever the hook: it is filtered, counted, and streamed if the event wants rows.
 */
#ifndef EBREC_EVENT_HIT_H
#define EBREC_EVENT_HIT_H

/* Bytes of a captured text, and of one that is a key: what is longer is cut. */
#define EVENT_TEXT_BYTES 128
#define EVENT_KEY_BYTES	 64
/* Values of by(x) in a recording. */
#define EVENT_KEYS 8192
/* Keys that there was no room for are one. */
#define KEY_OTHER 0

/* include/linux/socket.h */
#define EVENT_AF_UNIX  1
#define EVENT_AF_INET  2
#define EVENT_AF_INET6 10

enum event_metric {
	EVENT_COUNT,	/* hits */
	EVENT_LATENCY,	/* ns */
	EVENT_VALUE,	/* of hist(x) */
	EVENT_NEGATIVE, /* likewise, below zero: their magnitudes */
};

struct event_record {
	struct event_header header; /* event is knobs.event */
	__u64 dur_ns;
	__u64 kstack;
	__u64 ustack;
	__s64 numbers[EVENT_NUMBERS];
	__u32 place;
	__u8 no_number; /* a bit for each that could not be read */
	__u8 no_text;
	__u8 pad[2];
	__u8 comm[TASK_COMM_LEN];
	/* The texts follow, EVENT_TEXT_BYTES each. */
};
_Static_assert(sizeof(struct event_record) == 120, "no holes");

/* A value of by(x), with where it was. */
struct event_key {
	__u64 number;
	__u32 place;
	__u32 missing; /* it could not be read */
	__u8 text[EVENT_KEY_BYTES];
};
_Static_assert(sizeof(struct event_key) == 80, "no holes");

struct event_record *export_event_record;
struct event_key *export_event_key;
struct event_knobs *export_event_knobs;
enum event_op export_event_op;
enum event_space export_event_space;
enum event_code_use export_event_code_use;
enum event_text_kind export_event_text_kind;
enum event_by export_event_by;
enum event_metric export_event_metric;

/* By their hash. Made by user space only where an event has keys. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EVENT_KEYS);
	__type(key, __u64);
	__type(value, struct event_key);
} event_keys SEC(".maps");

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

static __always_inline void count_failure(__u64 failed)
{
	if (failed & FAILED_UNREADABLE)
		count_loss(LOSS_MEMORY_UNREADABLE);
}

/* What is there of a text, as it is: user space makes it readable. `size` is at least that of a struct sockaddr_in6. */
static __noinline __u64 read_text(void *to, __u32 size, __u64 address, __u32 kind, __u32 space)
{
	__u16 *family = to;
	long result;

	switch (kind) {
	case TEXT_STRING:
		return failure(read_string(to, size, address, space), address);
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
		result = read_string(to + 2, size - 2, address + 2, space);
	return failure(result, address);
}

static __noinline __u64 key_of(struct hit *hit)
{
	struct event_key key = {.place = hit->place};
	__u64 *words = (void *)&key, hash = 1;

	key.number = compute(hit, CODE_BY);
	if (knobs.by == BY_TEXT) {
		if (!hit->failed)
			hit->failed = read_text(key.text, sizeof(key.text), key.number, knobs.by_text.kind,
						knobs.by_text.space);
		key.number = 0;
	}
	count_failure(hit->failed);
	key.missing = hit->failed != 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < sizeof(key) / sizeof(words[0]); i++)
		hash = hash_word(hash, words[i]);
	hash |= 1;
	/* -EEXIST: another CPU was faster. */
	if (!bpf_map_lookup_elem(&event_keys, &hash) && bpf_map_update_elem(&event_keys, &hash, &key, BPF_NOEXIST) &&
	    !bpf_map_lookup_elem(&event_keys, &hash)) {
		count_loss(LOSS_NAME_NOT_KEPT);
		return KEY_OTHER;
	}
	return hash;
}

/* The aggregates; gives whether the hit is one that the event means. */
static __noinline bool aggregate(struct hit *hit)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 sub = hit->place, value;

	if (knobs.codes[CODE_FILTER].count) {
		value = compute(hit, CODE_FILTER);
		count_failure(hit->failed);
		if (!value || hit->failed)
			return false;
	}
	if (knobs.by)
		sub = key_of(hit);
	counter_add(EVENT_COUNT, pid, sub, 1);
	if (knobs.is_latency)
		hist_add(EVENT_LATENCY, pid, sub, hit->duration);
	if (knobs.has_hist) {
		value = compute(hit, CODE_HIST);
		count_failure(hit->failed);
		if (hit->failed)
			return true;
		if ((__s64)value < 0)
			counter_add(EVENT_NEGATIVE, pid, sub, -value);
		else
			hist_add(EVENT_VALUE, pid, sub, value);
	}
	return true;
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
	record->no_text = 0;
	record->pad[0] = record->pad[1] = 0;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < EVENT_NUMBERS; i++) {
		record->numbers[i] = 0;
		if (i >= knobs.numbers)
			continue;
		record->numbers[i] = compute(hit, CODE_NUMBER + i);
		count_failure(hit->failed);
		if (hit->failed)
			record->no_number |= 1 << i;
	}
}

static __always_inline void fill_text(struct hit *hit, struct event_record *record, __u32 i)
{
	__u64 address = compute(hit, CODE_TEXT + i);

	if (!hit->failed)
		hit->failed = read_text((void *)(record + 1) + i * EVENT_TEXT_BYTES, EVENT_TEXT_BYTES, address,
					knobs.text[i].kind, knobs.text[i].space);
	if (hit->failed & FAILED_UNREADABLE)
		count_loss(LOSS_UNREADABLE);
	if (hit->failed)
		record->no_text |= 1 << i;
}

static __always_inline void stream(void *ctx, struct hit *hit)
{
	__u64 kstack = 0, ustack = 0;
	struct event_record *record;
	void *ring;

	if (config.stream == STREAM_SLOW && knobs.is_latency && hit->duration < config.slow_ns)
		return;
	stacks_of(ctx, &kstack, &ustack);
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record) + (__u64)knobs.texts * EVENT_TEXT_BYTES);
	if (!record)
		return;
	record->kstack = kstack;
	record->ustack = ustack;
	fill_record(hit, record);
	if (knobs.texts > 0)
		fill_text(hit, record, 0);
	if (knobs.texts > 1)
		fill_text(hit, record, 1);
	if (knobs.texts > 2)
		fill_text(hit, record, 2);
	ring_submit(ring, record);
}

/* The task in scope, and the window, were looked at before. */
static __always_inline int on_hit(void *ctx, struct hit *hit)
{
	if (!hit->now)
		hit->now = bpf_ktime_get_ns();
	if (aggregate(hit) && knobs.rows)
		stream(ctx, hit);
	return 0;
}

#endif
