/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One ring buffer per CPU, shared by all probes: one ring has one lock, and a lock that every CPU takes is the first
 * thing to saturate. Records are submitted without a wake-up; the reader looks by itself and is woken only past half full.
 */
#ifndef EBREC_RING_H
#define EBREC_RING_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

#include "config.h"
#include "loss.h"

/* Created by user space, which fills one slot per online CPU and, after those of all possible CPUs, the scope's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, 4096);
		});
} rings SEC(".maps");

/* Every record begins with this. */
struct event_header {
	__u64 ts; /* CLOCK_MONOTONIC ns: the end of what happened */
	__u32 pid;
	__u32 tid;
	__u16 cpu;
	__u8 probe;
	__u8 event; /* the probe's own number for the record's layout */
	__u32 pad;
};

static __always_inline void *ring_of_this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	void *ring = bpf_map_lookup_elem(&rings, &cpu);

	if (!ring)
		count_loss(LOSS_NO_RING);
	return ring;
}

/* Asking for the fill costs a tenth of a small record: one in sixteen asks, by its time. */
static __always_inline __u64 ring_flags(void *ring, __u64 ts)
{
	if (ts & 0xf)
		return BPF_RB_NO_WAKEUP;
	return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > config.ring_wake_bytes ? BPF_RB_FORCE_WAKEUP :
										     BPF_RB_NO_WAKEUP;
}

static __always_inline void fill_header(struct event_header *header, __u8 event, __u64 ts, __u32 pid, __u32 tid)
{
	header->ts = ts;
	header->pid = pid;
	header->tid = tid;
	header->cpu = bpf_get_smp_processor_id();
	header->probe = config.probe;
	header->event = event;
	header->pad = 0;
}

/* Room for a record of a fixed size, or NULL with the loss counted. */
static __always_inline void *ring_reserve(void *ring, __u64 size)
{
	void *record = bpf_ringbuf_reserve(ring, size, 0);

	if (!record)
		count_loss(LOSS_RING_FULL);
	return record;
}

/* Wakes the reader for something that is not in the rings: by a record that is given up. A ring without room for it wakes the reader itself. */
static __always_inline void wake_reader(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	void *ring = bpf_map_lookup_elem(&rings, &cpu);
	void *record = ring ? bpf_ringbuf_reserve(ring, sizeof(__u64), 0) : NULL;

	if (record)
		bpf_ringbuf_discard(record, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void ring_submit(void *ring, void *record)
{
	bpf_ringbuf_submit(record, ring_flags(ring, ((struct event_header *)record)->ts));
}

/* Copies a record of a variable size. */
static __always_inline void ring_output(void *ring, void *record, __u64 size)
{
	if (bpf_ringbuf_output(ring, record, size, ring_flags(ring, ((struct event_header *)record)->ts)))
		count_loss(LOSS_RING_FULL);
}

#endif
