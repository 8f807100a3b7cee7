/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a hit, whatever the hook: it is filtered, counted, and streamed if the event wants rows.
 */
#ifndef EBREC_EVENTS_HIT_H
#define EBREC_EVENTS_HIT_H

#include "ebrec.h"

#include "code.h"
#include "knobs.h"
#include "rows.h"

/* Bytes that are kept of a text that is a key. It is told from others by the hash of all of it, up to its limit. */
#define EVENT_KEY_BYTES 1032
/* Values of by(x) in a recording. */
#define EVENT_KEYS 8192
/* Keys that there was no room for are one. */
#define KEY_OTHER 0

enum event_metric {
	EVENT_COUNT,	/* hits */
	EVENT_LATENCY,	/* ns */
	EVENT_VALUE,	/* of hist(x) */
	EVENT_NEGATIVE, /* likewise, below zero: their magnitudes */
};

/* A value of by(x), with where it was. */
struct event_key {
	__u64 number; /* or the hash of the text */
	__u32 place;
	__u32 missing; /* it could not be read */
};
_Static_assert(sizeof(struct event_key) == 16, "no holes");

struct event_key_text {
	__u32 is_read; /* the rest is being written until then */
	__u32 failed;
	__u8 text[EVENT_KEY_BYTES];
};
_Static_assert(sizeof(struct event_key_text) == 8 + EVENT_KEY_BYTES, "no holes");

struct event_key_text *export_event_key_text;
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

/* By the same hash; likewise only where keys are texts. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EVENT_KEYS);
	__type(key, __u64);
	__type(value, struct event_key_text);
} event_key_texts SEC(".maps");

static const struct event_key_text no_text = {};

/* Bytes that are hashed in one step. */
#define HASH_CHUNK 64

/* The hash of a string or of bytes up to the limit, and for a string one more, so that what is cut differs from what is not. */
static __noinline __u64 hash_long(struct hit *hit, __u64 address, const volatile struct event_text *text)
{
	__u64 words[HASH_CHUNK / 8 + 1], hash = 1;
	__u32 all = text->kind == TEXT_STRING ? text->limit + 1 : text->limit;

#pragma clang loop unroll(disable)
	for (__u32 done = 0; done < EVENT_TEXT_LIMIT + HASH_CHUNK; done += HASH_CHUNK) {
		__u32 size;
		long result;

		if (done >= all)
			break;
		size = all - done < HASH_CHUNK ? all - done : HASH_CHUNK;
		__builtin_memset(words, 0, sizeof(words));
		if (text->kind == TEXT_STRING)
			result = read_string(words, size + 1, address + done, text->space);
		else
			result = read_memory(words, size, address + done, text->space);
		hit->failed |= failure(result, address);
		for (int i = 0; i < HASH_CHUNK / 8; i++)
			hash = hash_word(hash, words[i]);
		if (hit->failed || (text->kind == TEXT_STRING && result <= size))
			break;
	}
	return hash;
}

static __noinline __u64 hash_short(struct hit *hit, __u64 address, const volatile struct event_text *text)
{
	__u64 words[EVENT_SHORT_TEXT / 8] = {}, hash = 1;

	hit->failed = read_text(words, sizeof(words), address, text);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < EVENT_SHORT_TEXT / 8; i++)
		hash = hash_word(hash, words[i]);
	return hash;
}

static __always_inline __u64 hash_of_text(struct hit *hit, __u64 address)
{
	if (knobs.by_text.kind == TEXT_STRING || knobs.by_text.kind == TEXT_BYTES)
		return hash_long(hit, address, &knobs.by_text);
	return hash_short(hit, address, &knobs.by_text);
}

/* Keeps a text that was not seen before, in its place in the map: it is too long for the stack. */
static __noinline void keep_text(__u64 *hash, __u64 address)
{
	struct event_key_text *kept;
	__u64 failed;

	/* -EEXIST: another CPU was faster. */
	if (bpf_map_update_elem(&event_key_texts, hash, &no_text, BPF_NOEXIST))
		return;
	kept = bpf_map_lookup_elem(&event_key_texts, hash);
	if (!kept)
		return;
	failed = read_text(kept->text, sizeof(kept->text), address, &knobs.by_text);
	kept->failed = (failed & ~TEXT_CUT) != 0;
	*(volatile __u32 *)&kept->is_read = 1;
}

static __noinline __u64 key_of(struct hit *hit)
{
	__u64 address = compute(hit, CODE_BY), hash = 1;
	struct event_key key = {.number = address, .place = hit->place};
	bool is_text = knobs.by == BY_TEXT;

	if (is_text)
		key.number = hit->failed ? 0 : hash_of_text(hit, address);
	count_failure(hit, LOSS_MEMORY_UNREADABLE);
	if (hit->waits)
		return KEY_OTHER;
	key.missing = hit->failed != 0;
	if (key.missing)
		key.number = 0;
	hash = hash_word(hash_word(hash, key.number), (__u64)key.place << 1 | key.missing) | 1;
	if (bpf_map_lookup_elem(&event_keys, &hash))
		return hash;
	/* -EEXIST: another CPU was faster. */
	if (bpf_map_update_elem(&event_keys, &hash, &key, BPF_NOEXIST) && !bpf_map_lookup_elem(&event_keys, &hash)) {
		count_loss(LOSS_NAME_NOT_KEPT);
		return KEY_OTHER;
	}
	if (is_text && !key.missing)
		keep_text(&hash, address);
	return hash;
}

/*
 * The reading of an interval waits for the programs that run then, by RCU, which those that may sleep hold only where they say so
 * (since 6.2).
 */
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;

static __always_inline void begin_counting(void)
{
	if (knobs.may_sleep)
		bpf_rcu_read_lock();
}

static __always_inline void end_counting(void)
{
	if (knobs.may_sleep)
		bpf_rcu_read_unlock();
}

/* The aggregates; gives whether the hit is one that the event means. */
static __noinline bool aggregate(struct hit *hit)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 sub = hit->place, value = 0;
	bool has_value = false;

	if (knobs.codes[CODE_FILTER].count) {
		value = compute(hit, CODE_FILTER);
		count_failure(hit, LOSS_MEMORY_UNREADABLE);
		if (!value || hit->failed)
			return false;
	}
	if (knobs.by)
		sub = key_of(hit);
	if (knobs.has_hist) {
		value = compute(hit, CODE_HIST);
		count_failure(hit, LOSS_MEMORY_UNREADABLE);
		has_value = !hit->failed;
	}
	if (hit->waits)
		return false;
	begin_counting();
	counter_add(EVENT_COUNT, pid, sub, 1);
	if (knobs.is_latency)
		hist_add(EVENT_LATENCY, pid, sub, hit->duration);
	if (has_value && (__s64)value < 0)
		counter_add(EVENT_NEGATIVE, pid, sub, -value);
	else if (has_value)
		hist_add(EVENT_VALUE, pid, sub, value);
	end_counting();
	hit->is_counted = 1;
	return true;
}

/* Counting alone needs no clock, which costs as much as a look-up. */
static __always_inline bool needs_time(void)
{
	return knobs.rows || knobs.codes[CODE_FILTER].count || knobs.has_hist || knobs.by;
}

/* The task in scope, and the window, were looked at before. */
static __always_inline int on_hit(void *ctx, struct hit *hit)
{
	if (!hit->now && needs_time())
		hit->now = bpf_ktime_get_ns();
	if (aggregate(hit) && knobs.rows)
		stream(ctx, hit);
	return 0;
}

/* A pointer to the verifier, a number to the event's code. */
static __always_inline __u64 as_number(void *pointer)
{
	void *volatile there = pointer;
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), (void *)&there);
	return number;
}

#endif
