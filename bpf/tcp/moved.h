/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a connection of the probe tcp moved since it was last looked at, and how long its round trips take: read from the
 * socket, for the kernel counts both anyway.
 */
#ifndef EBREC_TCP_MOVED_H
#define EBREC_TCP_MOVED_H

#include "ebrec.h"

#include "connections.h"
#include "records.h"

/*
 * tcp_sock counts sequence numbers: a SYN that was acknowledged (tcp_rcv_synsent_state_process) and a FIN either way
 * take one each and carry nothing.
 */
static __always_inline __u64 payload_sent(struct sock *sk, __u8 side, bool fin_acked)
{
	__u64 bytes = BPF_CORE_READ((struct tcp_sock *)sk, bytes_acked);
	__u64 empty = (side == SIDE_CONNECT) + fin_acked;

	return bytes > empty ? bytes - empty : 0;
}

static __always_inline __u64 payload_received(struct sock *sk)
{
	__u64 bytes = BPF_CORE_READ((struct tcp_sock *)sk, bytes_received);
	bool fin = BPF_CORE_READ(sk, __sk_common.skc_flags) >> SOCK_DONE & 1;

	return bytes > fin ? bytes - fin : 0;
}

/* Counts what a connection moved since the last time. */
static __noinline int settle(struct sock *sk, struct connection *conn, struct flow *flow, bool fin_acked)
{
	__u64 sent, received, sub;
	bool moved;

	if (!conn || !flow)
		return 0;
	sent = payload_sent(sk, conn->side, fin_acked);
	received = payload_received(sk);
	if (!totals_start())
		return 0;
	if (!(conn->flags & CONN_COUNTED)) {
		conn->flags |= CONN_COUNTED;
		if (!conn->established || conn->established < totals_start()) {
			conn->out = conn->out_before = sent;
			conn->in = conn->in_before = received;
			return 0;
		}
	}
	moved = sent > conn->out || received > conn->in;
	if (moved && conn->flags & CONN_SCOPED) {
		sub = peer_of(flow, conn->side);
		if (sent > conn->out)
			counter_add(TCP_BYTES_SENT, conn->owner, sub, sent - conn->out);
		if (received > conn->in)
			counter_add(TCP_BYTES_RECEIVED, conn->owner, sub, received - conn->in);
	}
	if (sent > conn->out)
		conn->out = sent;
	if (received > conn->in)
		conn->in = received;
	return moved;
}

static __always_inline void add_rtt(struct sock *sk, struct connection *conn, struct flow *flow)
{
	__u64 rtt = BPF_CORE_READ((struct tcp_sock *)sk, srtt_us) >> 3;

	if (rtt && totals_start() && conn->flags & CONN_SCOPED)
		hist_add(TCP_RTT, conn->owner, peer_of(flow, conn->side), rtt * 1000);
}

#endif
