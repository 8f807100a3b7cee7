/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the probe tcp streams: one record for everything that happens to a connection.
 */
#ifndef EBREC_TCP_RECORDS_H
#define EBREC_TCP_RECORDS_H

#include "ebrec.h"

#include "connections.h"

enum tcp_event {
	TCP_OPENED,
	TCP_CLOSED,
	TCP_FAILED, /* a connect */
	TCP_RETRANSMITTED,
	TCP_RESET_SENT,
	TCP_RESET_RECEIVED,
	TCP_STILL_OPEN, /* at the end of the window */
};

enum tcp_metric {
	TCP_CONNECT_LATENCY, /* by process and peer, as all; ns */
	TCP_ACCEPTED,	     /* counter */
	TCP_LIFETIME,	     /* ns */
	TCP_RTT,	     /* ns */
	TCP_BYTES_SENT,	     /* counter; bytes, as the next */
	TCP_BYTES_RECEIVED,
	TCP_RETRANSMITS,     /* counter; segments */
	TCP_RESETS_SENT,     /* counter */
	TCP_RESETS_RECEIVED, /* counter */
	TCP_FAILURES,	     /* counter, also by enum tcp_failure */
};

/* In the low bits of a metric's sub. */
enum tcp_failure {
	FAIL_REFUSED,
	FAIL_TIMED_OUT,
	FAIL_UNREACHABLE,
	FAIL_GIVEN_UP, /* closed by its process before it was established */
	FAIL_OTHER,
};

struct tcp_record {
	struct event_header header; /* of the owner, without a thread; pad: which holder of its id that is */
	__u64 dur_ns;		    /* of connecting, or the lifetime; 0: not known */
	__u64 sent;		    /* payload within the window */
	__u64 received;
	struct flow flow;
	__u32 rtt_us;
	__u32 segments; /* sent again: this time, or in its life */
	__s32 ret;	/* error */
	__u8 state;	/* enum tcp_state, before what happened */
	__u8 side;
	__u8 failure; /* enum tcp_failure */
	__u8 old;     /* 1: it was open before the recording */
};
_Static_assert(sizeof(struct tcp_record) == 104, "no holes");

static __always_inline void fill_owner(struct event_header *header, __u8 event, __u64 now, struct who *who)
{
	fill_header(header, event, now, who->owner & PID_MASK, 0);
	header->pad = who->owner >> PID_BITS;
}

static __always_inline struct tcp_record *new_record(void *ring, __u8 event, __u64 now, struct who *who,
						     struct flow *flow)
{
	struct tcp_record *record = ring_reserve(ring, sizeof(*record));

	if (!record)
		return NULL;
	__builtin_memset(record, 0, sizeof(*record));
	fill_owner(&record->header, event, now, who);
	record->flow = *flow;
	record->side = who->side;
	return record;
}

static __always_inline void whose(struct who *who, struct connection *conn)
{
	who->owner = conn->owner;
	who->side = conn->side;
	who->scoped = conn->flags & CONN_SCOPED;
	who->pad = 0;
}

static __always_inline void stream_open(struct connection *conn, struct flow *flow, __u64 now, __u64 dur, __u8 old)
{
	struct tcp_record *record;
	struct who who;
	void *ring;

	if (config.stream == STREAM_NONE || (config.stream == STREAM_SLOW && dur < config.slow_ns))
		return;
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	whose(&who, conn);
	record = new_record(ring, TCP_OPENED, now, &who, flow);
	if (!record)
		return;
	record->dur_ns = dur;
	record->state = old;
	ring_submit(ring, record);
}

static __always_inline void tell_of(struct tcp_record *record, struct sock *sk, struct connection *conn, __u8 state)
{
	record->sent = conn->out - conn->out_before;
	record->received = conn->in - conn->in_before;
	record->rtt_us = BPF_CORE_READ((struct tcp_sock *)sk, srtt_us) >> 3;
	record->segments = BPF_CORE_READ((struct tcp_sock *)sk, total_retrans);
	record->state = state;
	record->old = !conn->established;
}

static __always_inline void stream_close(struct sock *sk, struct connection *conn, struct flow *flow, __u64 now,
					 __u64 lifetime, __u8 old)
{
	struct tcp_record *record;
	struct who who;
	void *ring;

	if (config.stream != STREAM_ALL)
		return;
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	whose(&who, conn);
	record = new_record(ring, TCP_CLOSED, now, &who, flow);
	if (!record)
		return;
	tell_of(record, sk, conn, old);
	record->dur_ns = lifetime;
	record->ret = -BPF_CORE_READ(sk, sk_err);
	ring_submit(ring, record);
}

static __always_inline enum tcp_failure failure_of(int error)
{
	switch (error) {
	case 0:
		return FAIL_GIVEN_UP;
	case 111: /* ECONNREFUSED, as all: include/uapi/asm-generic/errno.h */
		return FAIL_REFUSED;
	case 110: /* ETIMEDOUT */
		return FAIL_TIMED_OUT;
	case 101: /* ENETUNREACH */
	case 113: /* EHOSTUNREACH */
		return FAIL_UNREACHABLE;
	}
	return FAIL_OTHER;
}

static __always_inline void failed(struct sock *sk, struct connection *conn, struct flow *flow)
{
	__u64 now = bpf_ktime_get_ns();
	int error = BPF_CORE_READ(sk, sk_err);
	__u8 failure = failure_of(error);
	struct tcp_record *record;
	struct who who;
	void *ring;

	counter_add(TCP_FAILURES, conn->owner, peer_of(flow, SIDE_CONNECT) | failure, 1);
	if (config.stream == STREAM_NONE)
		return;
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	whose(&who, conn);
	record = new_record(ring, TCP_FAILED, now, &who, flow);
	if (!record)
		return;
	record->dur_ns = now - conn->began;
	record->ret = -error;
	record->failure = failure;
	record->state = TCP_SYN_SENT;
	record->segments = BPF_CORE_READ((struct tcp_sock *)sk, total_retrans);
	ring_submit(ring, record);
}

static __always_inline void tell(__u8 event, __u16 metric, struct who *who, struct flow *flow, __u8 state,
				 __u32 segments)
{
	struct tcp_record *record;
	void *ring;

	if (!who->scoped)
		return;
	counter_add(metric, who->owner, peer_of(flow, who->side), segments);
	if (config.stream == STREAM_NONE)
		return;
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	record = new_record(ring, event, bpf_ktime_get_ns(), who, flow);
	if (!record)
		return;
	record->segments = segments;
	record->state = state;
	ring_submit(ring, record);
}

#endif
