/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a hit, whatever the hook: it is filtered, counted, and streamed if the event wants rows.
 */
#ifndef EBREC_EVENT_HIT_H
#define EBREC_EVENT_HIT_H

#include "event_rows.h"

/* Bytes of a text that is a key: what is longer is cut. */
#define EVENT_KEY_BYTES 64
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
	__u64 number;
	__u32 place;
	__u32 missing; /* it could not be read */
	__u8 text[EVENT_KEY_BYTES];
};
_Static_assert(sizeof(struct event_key) == 80, "no holes");

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

#endif
