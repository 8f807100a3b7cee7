// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * HTTP/1.0 and 1.1 as it goes through sockets and libssl, in nanoseconds. A server's request lasts from the return of the
 * call that read its first byte to the return of the call that wrote the answer's last; a client's from the entry of the
 * call that wrote its first byte to the return of the call that read the answer's last. Headers are looked at for their
 * framing alone; neither they nor bodies are kept.
 *
 * Sockets tell what calls moved since Linux 6.16, and calls do before; between the two ways are tenths of a microsecond.
 */
/* Functions of processes; and by 7.3 tracepoints. */
#define PREEMPTIBLE_HOOKS
#include "ebrec.h"

#include "ended.h"
#include "frames.h"
#include "own_stack.h"
#include "bytes.h"
#include "calls.h"
#include "conn.h"
#include "call.h"
#include "moved.h"
#include "outcome.h"
#include "quic.h"
#include "tls.h"

SEC("tp_btf/sys_enter")
int BPF_PROG(http_enter, struct pt_regs *regs, long number)
{
	struct call_start *state, start = {};
	struct task_struct *current;
	__u32 tid;
	__u64 who;

	if ((__u64)number >= IO_CALLS || !(knobs.calls[number & (IO_CALLS - 1)] & CALL_OUT))
		return 0;
	current = current_task();
	who = who_is(current);
	if (!current_in_scope_as(who >> 32))
		return 0;
	if (current) {
		state = state_of(current, true);
		if (state)
			state->at = bpf_ktime_get_ns();
		return 0;
	}
	tid = who;
	start.at = bpf_ktime_get_ns();
	if (!config.task_storage)
		update_or_count(&state_by_tid, &tid, &start, LOSS_STATE_FULL);
	return 0;
}

/* Only where starts are in a hash. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(http_free, struct task_struct *task)
{
	state_forget(task);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(http_exit, struct pt_regs *regs, long ret)
{
	enum http_transport transport = TRANSPORT_OTHER;
	__u64 number = syscall_number(regs);
	struct io_bytes moved = {.total = ret};
	struct task_struct *current;
	struct conn *conn;
	struct call *call;
	bool begins;
	__u64 who;
	__u8 io;

	if (number >= IO_CALLS || ret < 0)
		return 0;
	if (!knobs.calls[number & (IO_CALLS - 1)] && !compat_calls[number & (IO_CALLS - 1)])
		return 0;
	current = current_task();
	who = who_is(current);
	if (!current_in_scope_as(who >> 32))
		return 0;
	if (task_in_compat_call(current, regs)) {
		compat_call(current, regs, number);
		return 0;
	}
	io = knobs.calls[number & (IO_CALLS - 1)];
	if (!io)
		return 0;
	call = call_in(SLOT_CALL);
	if (!call)
		return 0;
	call->outgoing = !!(io & CALL_OUT);
	call->kind = io & ~CALL_OUT;
	if (call->kind == CALL_SPLICE) {
		conn = conn_of(&call->key, file_of(current, syscall_argument_3(regs)), &transport);
		if (!conn) {
			call->outgoing = 0;
			conn = conn_of(&call->key, file_of(current, syscall_argument_1(regs)), &transport);
		}
	} else {
		conn = conn_of(&call->key, file_of(current, syscall_argument_1(regs)), &transport);
	}
	if (conn ? conn->role == ROLE_OTHER : transport != TRANSPORT_UDP)
		return 0;
	call->who = who;
	if (conn && conn->role == ROLE_TLS) {
		tls_socket(conn, call->who, regs);
		return 0;
	}
	if (!find_bytes(&moved, regs, call->kind, call->outgoing))
		return 0;
	call->base = moved.base;
	call->vectors = moved.vectors;
	call->total = moved.total;
	if (!conn) {
		parse_datagram(call, moved.name);
		return 0;
	}
	call->now = bpf_ktime_get_ns();
	/* A server's answer is over when it ends, whenever it began. */
	call->start = call->outgoing && conn->role != ROLE_SERVER ? call_began(current, who, call->now) : call->now;
	begins = conn->role == ROLE_UNKNOWN;
	follow_call(call, SLOT_CALL, conn, regs, ret > 1);
	if (begins)
		end_if_closed(call, SLOT_CALL);
	if (transport == TRANSPORT_UNIX && !ret && !call->outgoing)
		end_if_peer_closed(call, SLOT_CALL, (void *)call->key.address);
	return 0;
}

/* TCP takes the first bytes of a call, or more of them. */
SEC("?tp_btf/tcp_sendmsg_locked")
int BPF_PROG(http_sends, struct sock___http *sk)
{
	struct task_struct *current = current_task();
	struct call_start *state;

	if (!current || !current_in_scope_as(current->tgid))
		return 0;
	state = state_of(current, true);
	if (state && (!state->at || state->sk != (__u64)sk)) {
		state->at = bpf_ktime_get_ns();
		state->sk = (__u64)sk;
	}
	return 0;
}

SEC("?tp_btf/sock_send_length")
int BPF_PROG(http_sent, struct sock___http *sk, int ret)
{
	struct task_struct *current = current_task();
	enum http_transport transport = transport_of(sk);
	struct call *call;

	if (!current || transport == TRANSPORT_OTHER || !current_in_scope_as(current->tgid))
		return 0;
	call = call_in(SLOT_CALL);
	if (!call)
		return 0;
	call->start = take_start(current, sk);
	call->who = who_is(current);
	call->outgoing = 1;
	if (ret >= 0)
		socket_moved(call, SLOT_CALL, current, sk, transport, ret);
	else if (transport == TRANSPORT_UNIX)
		end_if_peer_closed(call, SLOT_CALL, sk);
	return 0;
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(http_received, struct sock___http *sk, int ret, int flags)
{
	struct task_struct *current = current_task();
	enum http_transport transport = transport_of(sk);
	struct call *call;

	if (transport == TRANSPORT_OTHER || flags & MSG_NOT_TAKEN || (ret < 0 && transport != TRANSPORT_UNIX))
		return 0;
	if (!current || !current_in_scope_as(current->tgid))
		return 0;
	call = call_in(SLOT_RECEIVED);
	if (!call)
		return 0;
	call->who = who_is(current);
	call->start = 0;
	call->outgoing = 0;
	if (ret >= 0)
		socket_moved(call, SLOT_RECEIVED, current, sk, transport, ret);
	if (ret <= 0 && transport == TRANSPORT_UNIX)
		end_if_peer_closed(call, SLOT_RECEIVED, sk);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(http_state, struct sock___http *sk, int from, int to)
{
	struct call *call = call_in(SLOT_STATE);
	struct conn *conn;

	if (!call || (to != HTTP_STATE_ESTABLISHED && to != HTTP_STATE_FIN_WAIT1 && to != HTTP_STATE_LAST_ACK &&
		      to != HTTP_STATE_CLOSE))
		return 0;
	call->key.address = (__u64)sk;
	call->key.tgid = call->key.pad = 0;
	conn = bpf_map_lookup_elem(&conns, &call->key);
	if (!conn)
		return 0;
	/* A client may end its half and still wait for its answer. */
	if (to == HTTP_STATE_FIN_WAIT1 && conn->role != ROLE_SERVER)
		return 0;
	call->now = bpf_ktime_get_ns();
	if (to != HTTP_STATE_ESTABLISHED && conn->role < ROLE_OTHER && conn->known &&
	    (is_missing(conn, sk, 0, 0) || is_missing(conn, sk, 1, 0)))
		give_up(conn, UNPARSED_UNSEEN);
	if (to != HTTP_STATE_ESTABLISHED)
		http_finish(SLOT_STATE);
	bpf_map_delete_elem(&conns, &call->key);
	return 0;
}

/* What io_uring moves, no system call shows. */
SEC("?tp_btf/io_uring_submit_req")
int BPF_PROG(http_ring, struct io_kiocb___http *request)
{
	enum http_transport transport = TRANSPORT_OTHER;
	struct conn_key key = {};
	struct conn *conn;

	if (request->opcode > 63 || !(HTTP_RING_MOVES >> request->opcode & 1) || !current_in_scope())
		return 0;
	conn = conn_of(&key, file_of(current_task(), request->cqe.fd), &transport);
	if (conn && conn->role != ROLE_OTHER)
		give_up(conn, UNPARSED_RING);
	if (conn && is_closed((void *)key.address))
		bpf_map_delete_elem(&conns, &key);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(http_process_ends, struct task_struct *task)
{
	if (ends_process(task))
		frame_owner_goes(task->tgid);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(http_process_execs, struct task_struct *task)
{
	frame_owner_goes(task->tgid);
	return 0;
}

/* User space attaches these, to each libssl that it finds. */
#define TLS_PROGRAM(section, name, body)                                                                               \
	SEC(section)                                                                                                   \
	int name(struct pt_regs *ctx)                                                                                  \
	{                                                                                                              \
		stay_on_own_stack(ctx);                                                                                \
		return body;                                                                                           \
	}

TLS_PROGRAM("uprobe/SSL_new", ssl_new, tls_begun())
TLS_PROGRAM("uprobe/SSL_read", ssl_read, tls_enter(ctx, 0, function_argument(ctx, 2), 0))
TLS_PROGRAM("uprobe/SSL_read_ex", ssl_read_ex, tls_enter(ctx, 0, function_argument(ctx, 2), function_argument(ctx, 4)))
TLS_PROGRAM("uprobe/SSL_write", ssl_write, tls_enter(ctx, 1, function_argument(ctx, 2), 0))
TLS_PROGRAM("uprobe/SSL_write_ex", ssl_write_ex,
	    tls_enter(ctx, 1, function_argument(ctx, 2), function_argument(ctx, 4)))
/* Where the kernel encrypts: the file's bytes are never in the process. */
TLS_PROGRAM("uprobe/SSL_sendfile", ssl_sendfile, tls_enter(ctx, 1, 0, 0))
/* At each of their exits. */
TLS_PROGRAM("uprobe/SSL_*", ssl_done, tls_leave(ctx))
TLS_PROGRAM("uprobe/SSL_free", ssl_free, tls_gone(ctx))
