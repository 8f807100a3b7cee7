// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * TCP connections, of both sides: the time from the first SYN until a connection is established, its life from there to
 * its close, and the smoothed round-trip time, in nanoseconds; payload in bytes; segments sent again, resets, and
 * connects that failed. Bytes and round-trip times are read from the socket at the end of each interval and at the close.
 */
#include "ebrec.h"

#include <bpf/bpf_endian.h>

#include "connections.h"
#include "life.h"
#include "moved.h"
#include "records.h"
#include "twice.h"

struct tcp_record *export_tcp_record;
struct peer *export_peer;
enum tcp_event export_tcp_event;
enum tcp_metric export_tcp_metric;
enum tcp_failure export_tcp_failure;
enum tcp_state export_tcp_state;
enum tcp_side export_tcp_side;

static __noinline int into_state(struct sock *sk, int old, int new)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct flow flow;

	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	switch (new) {
	case TCP_SYN_SENT:
		connecting(sk);
		break;
	case TCP_ESTABLISHED:
		established(sk, old);
		break;
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		closing(sk, old);
		break;
	case TCP_LISTEN:
		read_full_flow(&flow, sk);
		listens(sk, &flow, pid, current_matches_as(pid));
		break;
	case TCP_CLOSE:
		if (old == TCP_LISTEN)
			stops_listening(sk);
		else if (old != TCP_CLOSE)
			closed(sk, old);
	}
	return 0;
}

/* In system calls, and in the interrupt that takes what came in: it may come while a call's program runs on its CPU. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int old, int new)
{
	struct first_copy *first = first_copy();
	bool nested;

	if (!first)
		return 0;
	nested = begin_first(first);
	into_state(sk, old, new);
	end_first(first, nested);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state_again, struct sock *sk, int old, int new)
{
	return stands_in() ? into_state(sk, old, new) : 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = (void *)skb->cb;
	struct flow flow;
	struct who who;

	/* What could not be sent is tried again. */
	if (!window_start() || (tcp_retransmit_has_error() && (int)ctx[2]))
		return 0;
	read_full_flow(&flow, sk);
	who_of(&who, sk, &sk->__sk_common, &flow);
	tell(TCP_RETRANSMITTED, TCP_RETRANSMITS, &who, &flow, BPF_CORE_READ(sk, __sk_common.skc_state),
	     BPF_CORE_READ(cb, tcp_gso_segs));
	return 0;
}

/* The answer to a SYN: there is no socket yet but the one that listens. */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcp_retransmit_synack, struct sock *sk, struct request_sock *request)
{
	struct flow flow;
	struct who who;

	if (!window_start())
		return 0;
	read_flow(&flow, &request->__req_common);
	who_of(&who, (struct sock *)request, &request->__req_common, &flow);
	tell(TCP_RETRANSMITTED, TCP_RETRANSMITS, &who, &flow, TCP_NEW_SYN_RECV, 1);
	return 0;
}

/* Whose connection is reset: one that is open, else one that was closed before, else what would have been one. */
static __always_inline void who_resets(struct who *who, struct sock *sk, struct flow *flow)
{
	if ((!sk || !connection_of(sk)) && who_had(who, flow))
		return;
	if (sk) {
		who_of(who, sk, &sk->__sk_common, flow);
		return;
	}
	/* Nothing listens on that port of ours. */
	who->scoped = nobody_matches();
	who->side = SIDE_ACCEPT;
}

/*
 * In answer to a segment, which comes along then; the socket may be of any sort, or none (6.10, commit 19822a980e19:
 * before, there was always one). Or by the socket's own process, or a timer.
 */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_send_reset, struct sock *sk, struct sk_buff *skb)
{
	__u8 state = sk ? BPF_CORE_READ(sk, __sk_common.skc_state) : TCP_CLOSE;
	struct flow flow;
	struct who who = {};
	__u32 pid;

	if (!window_start())
		return 0;
	if (!skb && sk)
		read_full_flow(&flow, sk);
	else if (!skb || !read_segment_flow(&flow, skb))
		return 0;
	who_resets(&who, sk, &flow);
	/* A process that throws away what it did not read, of a connection that is older than the recording. */
	if (!skb && !who.owner) {
		pid = bpf_get_current_pid_tgid() >> 32;
		who.owner = holder_of(pid);
		who.scoped = current_matches_as(pid);
	}
	tell(TCP_RESET_SENT, TCP_RESETS_SENT, &who, &flow, state, 1);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	struct flow flow;
	struct who who;

	if (!window_start())
		return 0;
	read_full_flow(&flow, sk);
	who_of(&who, sk, &sk->__sk_common, &flow);
	tell(TCP_RESET_RECEIVED, TCP_RESETS_RECEIVED, &who, &flow, BPF_CORE_READ(sk, __sk_common.skc_state), 1);
	return 0;
}

/* A connection among a process's files. Until all totals are read: what it moved. After that: that it is open still. */
static __always_inline void visit(struct bpf_iter_meta *meta, struct task_struct *task, struct sock *sk, __u8 state)
{
	struct connection *conn = connection_of(sk), fresh = {};
	struct tcp_record record = {};
	__u64 key = (__u64)sk;
	struct flow flow;
	struct who who;

	read_full_flow(&flow, sk);
	if (!conn) {
		if (update_or_count(&connections, &key, &fresh, LOSS_STATE_FULL))
			return;
		conn = connection_of(sk);
		if (!conn)
			return;
		conn->flags = CONN_OLD;
	}
	if (!(conn->flags & CONN_HELD) && (conn->side == SIDE_ACCEPT || !conn->owner)) {
		conn->owner = holder_of(task->tgid);
		conn->flags = (conn->flags & ~CONN_SCOPED) | CONN_HELD | (task_matches(task) ? CONN_SCOPED : 0);
	}
	if (conn->flags & CONN_OLD)
		conn->side = listener_of(&sk->__sk_common, &flow) ? SIDE_ACCEPT : SIDE_CONNECT;
	if (totals_start()) {
		if (settle(sk, conn, &flow, state == TCP_FIN_WAIT2))
			add_rtt(sk, conn, &flow);
		return;
	}
	if (config.stream != STREAM_ALL || !(conn->flags & CONN_SCOPED) || conn->flags & CONN_TOLD)
		return;
	conn->flags |= CONN_TOLD;
	whose(&who, conn);
	fill_owner(&record.header, TCP_STILL_OPEN, within_window(bpf_ktime_get_ns()), &who);
	record.flow = flow;
	record.side = who.side;
	tell_of(&record, sk, conn, state);
	record.dur_ns = conn->established ? record.header.ts - conn->established : 0;
	if (bpf_seq_write(meta->seq, &record, sizeof(record)))
		conn->flags &= ~CONN_TOLD;
}

/*
 * Every socket of every process, of all network namespaces: user space walks them when the window begins, at the end of
 * each interval, and when it is over. The kernel's own walk over TCP (iter/tcp) shows one namespace only, and no owners.
 */
SEC("iter/task_file")
int tcp_walk(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct task_struct *task = ctx->task;
	struct socket *socket;
	struct flow flow;
	struct sock *sk;
	__u8 state;

	if (!task || !file || (file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ((struct file___socket *)file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP || BPF_CORE_READ(sk, sk_type) != SOCK_STREAM)
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == TCP_LISTEN) {
		read_full_flow(&flow, sk);
		if (!listener_of(&sk->__sk_common, &flow))
			listens(sk, &flow, task->tgid, task_matches(task));
	} else if (state != TCP_SYN_SENT && state != TCP_SYN_RECV && state != TCP_TIME_WAIT && state != TCP_CLOSE) {
		visit(ctx->meta, task, sk, state);
	}
	return 0;
}
