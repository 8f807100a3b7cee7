/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection's life, from state to state: where it is first heard of, when it is established, who closes it, how it ends.
 */
#ifndef EBREC_TCP_LIFE_H
#define EBREC_TCP_LIFE_H

#include "ebrec.h"

#include "connections.h"
#include "moved.h"
#include "records.h"

/* In the system call of the process that connects. */
static __always_inline void connecting(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct connection fresh = {.began = bpf_ktime_get_ns(), .side = SIDE_CONNECT};

	owned_by_current(&fresh);
	update_or_count(&connections, &key, &fresh, LOSS_STATE_FULL);
}

static __always_inline void established(struct sock *sk, __u8 old)
{
	struct connection *conn = connection_of(sk), fresh = {};
	__u64 key = (__u64)sk, now = bpf_ktime_get_ns(), dur = 0;
	struct flow flow;
	struct who who;

	read_full_flow(&flow, sk);
	/* A walk that met the socket's last connection while it closed left an entry behind (tcp_walk). */
	if (conn && !conn->began && old == TCP_SYN_RECV)
		conn = NULL;
	if (!conn) {
		/* Came in, or its connect is older than the probe. */
		who_of(&who, sk, &sk->__sk_common, &flow);
		fresh.owner = who.owner;
		fresh.side = old == TCP_SYN_SENT ? SIDE_CONNECT : SIDE_ACCEPT;
		fresh.flags = who.scoped ? CONN_SCOPED : 0;
		if (update_or_count(&connections, &key, &fresh, LOSS_STATE_FULL))
			return;
		conn = connection_of(sk);
		if (!conn)
			return;
	}
	conn->established = now;
	if (conn->began)
		dur = now - conn->began;
	if (!(conn->flags & CONN_SCOPED) || !window_start())
		return;
	if (dur)
		hist_add(TCP_CONNECT_LATENCY, conn->owner, peer_of(&flow, conn->side), dur);
	else if (conn->side == SIDE_ACCEPT)
		counter_add(TCP_ACCEPTED, conn->owner, peer_of(&flow, conn->side), 1);
	else
		count_loss(LOSS_START_UNSEEN);
	stream_open(conn, &flow, now, dur, old);
}

/* Only the process that closes or shuts down, or its exit, leads to these states (tcp_close_state). */
static __always_inline void closing(struct sock *sk, __u8 old)
{
	struct connection *conn = connection_of(sk);
	struct flow flow;

	if (!conn)
		return;
	if (conn->side == SIDE_ACCEPT || !conn->owner)
		owned_by_current(conn);
	read_full_flow(&flow, sk);
	settle(sk, conn, &flow, false);
}

static __always_inline void closed(struct sock *sk, __u8 old)
{
	struct connection *conn = connection_of(sk);
	__u64 key = (__u64)sk, now, lifetime = 0;
	struct flow flow;
	struct who who;
	int error;

	if (!conn) {
		if (window_start() && old != TCP_SYN_RECV && nobody_matches())
			count_loss(LOSS_START_UNSEEN);
		return;
	}
	error = BPF_CORE_READ(sk, sk_err);
	read_full_flow(&flow, sk);
	/* Without an error it is its process that throws away what it did not read. */
	if ((old == TCP_ESTABLISHED || old == TCP_CLOSE_WAIT) && !error && (conn->side == SIDE_ACCEPT || !conn->owner))
		owned_by_current(conn);
	if (old == TCP_SYN_SENT) {
		if (window_start() && conn->flags & CONN_SCOPED)
			failed(sk, conn, &flow);
	} else if (old != TCP_SYN_RECV) {
		settle(sk, conn, &flow,
		       old == TCP_FIN_WAIT2 || ((old == TCP_LAST_ACK || old == TCP_CLOSING) && !error));
		add_rtt(sk, conn, &flow);
		if (window_start() && conn->flags & CONN_SCOPED) {
			/* One reading, so that the row says what the histogram counts. */
			now = bpf_ktime_get_ns();
			if (conn->established) {
				lifetime = now - conn->established;
				hist_add(TCP_LIFETIME, conn->owner, peer_of(&flow, conn->side), lifetime);
			}
			stream_close(sk, conn, &flow, now, lifetime, old);
		}
	}
	whose(&who, conn);
	/* An old one makes room. */
	bpf_map_update_elem(&gone, &flow, &who, BPF_ANY);
	bpf_map_delete_elem(&connections, &key);
}

static __always_inline void stops_listening(struct sock *sk)
{
	struct listener *listener;
	struct listener_key key;
	struct flow flow;

	read_full_flow(&flow, sk);
	listener_key(&key, &sk->__sk_common, &flow);
	listener = bpf_map_lookup_elem(&listeners, &key);
	if (listener && listener->sk == (__u64)sk)
		bpf_map_delete_elem(&listeners, &key);
}

#endif
