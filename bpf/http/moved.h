/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a call that moved bytes to the connection that they belong to.
 */
#ifndef EBREC_HTTP_MOVED_H
#define EBREC_HTTP_MOVED_H

#include "ebrec.h"

#include "sock.h"
#include "calls.h"
#include "conn.h"
#include "call.h"
#include "outcome.h"
#include "parse.h"
#include "quic.h"
#include "tls.h"
#include "window.h"

/* When the call that a thread is in, or was in last, began to write. */
struct call_start {
	__u64 at; /* 0: it is over */
	__u64 sk; /* whose bytes they are, where the socket tells */
};
DEFINE_TASK_STATE(struct call_start)

static __always_inline struct conn *known_conn(struct conn_key *key, struct sock___http *sk)
{
	key->address = (__u64)sk;
	key->tgid = key->pad = 0;
	return bpf_map_lookup_elem(&conns, key);
}

static __always_inline bool is_closed(struct sock___http *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_state) == HTTP_STATE_CLOSE;
}

/* A socket that is already closed gets no further state change: the caller has to remove its entry. */
static __always_inline struct conn *new_conn(struct conn_key *key, struct sock___http *sk, __u64 inode)
{
	struct conn *conn;

	if (update_or_count(&conns, key, &no_conn, LOSS_STATE_FULL))
		return NULL;
	conn = bpf_map_lookup_elem(&conns, key);
	if (!conn)
		return NULL;
	conn->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	conn->inode = inode;
	if (!inode) {
		conn->peer_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
		conn->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	}
	return conn;
}

/* The memory is another socket's by now. How what waited there ended was not seen. */
static __always_inline void forget_conn(struct conn *conn, struct conn_key *key)
{
	if (conn->role < ROLE_OTHER)
		unparsed(conn, UNPARSED_UNSEEN, conn->tail - conn->head + conn->over);
	bpf_map_delete_elem(&conns, key);
}

/*
 * The connection of a file. That it is a TCP socket has been seen to when its entry was made, which is gone when it closes; that
 * it is still the same Unix socket, its inode shows. NULL with a transport: it is another socket.
 */
static __always_inline struct conn *conn_of(struct conn_key *key, struct file___io *file,
					    enum http_transport *transport)
{
	struct sock___http *sk = file ? sock_if_socket(file) : NULL;
	struct conn *conn;
	__u64 inode = 0;

	if (!sk)
		return NULL;
	conn = known_conn(key, sk);
	if (conn && !conn->inode)
		return conn;
	*transport = transport_of_file(file, sk);
	if (*transport == TRANSPORT_UNIX)
		inode = BPF_CORE_READ(file, f_inode, i_ino);
	if (conn && conn->inode == inode)
		return conn;
	if (conn)
		forget_conn(conn, key);
	return *transport == TRANSPORT_TCP || inode ? new_conn(key, sk, inode) : NULL;
}

/* When the call began that ends now; `now` if that was before the window. */
static __always_inline __u64 call_began(struct task_struct *current, __u32 tid, __u64 now)
{
	struct call_start *state;

	if (config.task_storage)
		state = current ? bpf_task_storage_get(&state_by_task, current, 0, 0) : NULL;
	else
		state = bpf_map_lookup_elem(&state_by_tid, &tid);
	return state && state->at ? state->at : now;
}

/* A call of these arguments moved bytes of a connection that is followed; `others`: its first message, and more. */
static __always_inline void follow_call(struct call *call, __u32 slot, struct conn *conn, struct pt_regs *regs,
					bool others)
{
	if (call->total)
		follow(call, conn, slot);
	if (conn->role == ROLE_TLS)
		tls_begins(conn, call->who);
	/* The others of many messages are not looked at. */
	if (call->kind == CALL_MANY && others && (conn->role == ROLE_SERVER || conn->role == ROLE_CLIENT))
		give_up(conn, UNPARSED_MANY_PARTS);
	if (!call->total && !call->outgoing && conn->role == ROLE_CLIENT && call->kind != CALL_MANY &&
	    (call->vectors || syscall_argument_3(regs)))
		http_finish(slot);
}

/*
 * A connection may be reset while the call that begins it is under way: its peer has read enough, and ends. What the call moved
 * is all that there will be.
 */
static __always_inline void end_if_closed(struct call *call, __u32 slot)
{
	if (!is_closed((void *)call->key.address))
		return;
	http_finish(slot);
	bpf_map_delete_elem(&conns, &call->key);
}

/* The calls of 32-bit code that move bytes through sockets: those whose first argument is the descriptor. */
static const __u8 compat_calls[IO_CALLS] = {
#if defined(__TARGET_ARCH_x86)
	/* arch/x86/entry/syscalls/syscall_32.tbl: sendto, sendmsg, recvfrom, recvmsg */
	[369 ... 372] = 1,
#else
	/* arch/arm64/tools/syscall_32.tbl: send, sendto, recv, recvfrom, sendmsg, recvmsg */
	[289 ... 292] = 1,
	[296 ... 297] = 1,
#endif
	/* On both: read, write, readv, writev */
	[3 ... 4] = 1,
	[145 ... 146] = 1,
};

/* 32-bit code's calls are not looked at. */
static __always_inline void compat_call(struct task_struct *current, struct pt_regs *regs, __u64 number)
{
	enum http_transport transport = TRANSPORT_OTHER;
	struct conn_key key = {};
	struct conn *conn;

	if (!compat_calls[number & (IO_CALLS - 1)])
		return;
	conn = conn_of(&key, file_of(current, compat_argument(regs, 1)), &transport);
	if (conn && conn->role != ROLE_OTHER)
		give_up(conn, UNPARSED_COMPAT);
	if (conn && is_closed((void *)key.address))
		bpf_map_delete_elem(&conns, &key);
}

/* One end of a connection of Unix sockets: what waits for an answer there gets none. */
static __always_inline void end_of_unix(struct call *call, __u32 slot, struct sock___http *sk)
{
	struct conn *conn = known_conn(&call->key, sk);

	if (!conn || !conn->inode)
		return;
	http_finish(slot);
	bpf_map_delete_elem(&conns, &call->key);
}

/* A Unix socket has no bytes for its reader, or takes none: its peer may have closed. The last look at it, and at its peer. */
static __always_inline void end_if_peer_closed(struct call *call, __u32 slot, struct sock___http *sk)
{
	struct unix_sock___http *unix_sk = (void *)sk;

	if (BPF_CORE_READ(sk, sk_shutdown) != HTTP_SHUTDOWN)
		return;
	call->now = bpf_ktime_get_ns();
	end_of_unix(call, slot, sk);
	if (bpf_core_field_exists(unix_sk->peer))
		end_of_unix(call, slot, BPF_CORE_READ(unix_sk, peer));
}

/*
 * Where the sockets tell.
 */

/* Takes the time at which the call began that ends now; 0: that was before the window. */
static __always_inline __u64 take_start(struct task_struct *current, struct sock___http *sk)
{
	struct call_start *state = state_of(current, false);
	__u64 at;

	if (!state || state->sk != (__u64)sk)
		return 0;
	at = state->at;
	state->at = 0;
	return at;
}

/* The registers of the system call that the current thread is in; NULL: there is none that is known to move bytes. */
static __always_inline struct pt_regs *regs_of_call(struct task_struct *current, __u8 *io)
{
	struct pt_regs *regs;
	__u64 number;

	if (current->flags & (PF_KTHREAD | PF_ANY_WORKER))
		return NULL;
	regs = (struct pt_regs *)bpf_task_pt_regs(current);
	number = syscall_number(regs);
	if (number >= IO_CALLS || task_in_compat_call(current, regs))
		return NULL;
	*io = knobs.calls[number & (IO_CALLS - 1)];
	return *io ? regs : NULL;
}

static __always_inline bool is_compat_call(struct task_struct *current)
{
	if (current->flags & (PF_KTHREAD | PF_ANY_WORKER))
		return false;
	return task_in_compat_call(current, (struct pt_regs *)bpf_task_pt_regs(current));
}

/* Whether the call is about this socket: what the kernel sends of its own is done within calls, too. */
static __always_inline bool is_about(struct task_struct *current, struct pt_regs *regs, __u8 io, struct sock___http *sk)
{
	struct socket___http *socket = sk->sk_socket;
	__u32 fd = io == (CALL_SPLICE | CALL_OUT) ? syscall_argument_3(regs) : syscall_argument_1(regs);

	return socket && socket->file && (__u64)socket->file == (__u64)file_of(current, fd);
}

/*
 * How many bytes were read from the socket, or written to it, by none of the calls that are looked at since the last one that
 * was. By 7.3 the kernel leaves out a program that another thread was preempted in.
 */
static __always_inline __u32 moved_unseen(struct conn *conn, struct sock___http *sk, __u32 outgoing, __u32 bytes)
{
	struct tcp_sock___http *tcp = (void *)bpf_skc_to_tcp_sock(sk);
	__u32 upto, *before = &conn->upto[outgoing & 1];
	__s32 unseen;

	if (!tcp)
		return 0;
	upto = outgoing ? tcp->write_seq : tcp->copied_seq;
	unseen = conn->known & 1 << (outgoing & 1) ? upto - bytes - *before : 0;
	conn->known |= 1 << (outgoing & 1);
	*before = upto;
	/* The end of the stream counts as one. */
	return unseen > 1 ? unseen : 0;
}

/* A request's body went by, into a pipe, say: it would not have been looked at. When an answer's ends would not be known. */
static __always_inline bool was_body(struct conn *conn, __u32 outgoing, __u32 unseen)
{
	struct direction *direction = &conn->direction[outgoing & 1];

	if (is_answer(conn, outgoing) || direction->part != PART_BODY || unseen > direction->left)
		return false;
	direction->left -= unseen;
	direction->bytes += unseen;
	if (!direction->left)
		direction->part = direction->chunked ? PART_CHUNK : PART_START;
	return true;
}

/* Whether something went by that should have been looked at. */
static __always_inline bool is_missing(struct conn *conn, struct sock___http *sk, __u32 outgoing, __u32 bytes)
{
	__u32 unseen = moved_unseen(conn, sk, outgoing, bytes);

	return unseen && !was_body(conn, outgoing, unseen);
}

/* A Unix socket of the kernel's own has no file: 0. */
static __always_inline __u64 inode_of(struct sock___http *sk)
{
	struct socket___http *socket = sk->sk_socket;
	struct file___io *file = socket ? socket->file : NULL;

	return file ? BPF_CORE_READ(file, f_inode, i_ino) : 0;
}

/*
 * Whether these bytes are the first that were sent. A connection that has been reset while its first send waited for room has no entry
 * yet, and what was sent may be a request, which gets no answer; with bytes before, the entry is gone.
 */
static __always_inline bool is_first_sent(struct sock___http *sk, __u32 bytes)
{
	struct tcp_sock___http *tcp = (void *)bpf_skc_to_tcp_sock(sk);
	__u32 before;

	if (!tcp)
		return false;
	before = tcp->write_seq - bytes - (tcp->snd_una - (__u32)tcp->bytes_acked);
	/* The SYN counts as one of those acknowledged. */
	return before <= 1;
}

static __always_inline void socket_moved(struct call *call, __u32 slot, struct task_struct *current,
					 struct sock___http *sk, enum http_transport transport, __u32 bytes)
{
	__u64 inode = transport == TRANSPORT_UNIX ? inode_of(sk) : 0;
	struct io_bytes moved = {.total = bytes};
	struct conn *conn = known_conn(&call->key, sk);
	struct pt_regs *regs;
	bool closed;
	__u8 io = 0;

	if (conn && conn->inode != inode) {
		forget_conn(conn, &call->key);
		conn = NULL;
	}
	closed = is_closed(sk);
	if (!conn && (transport == TRANSPORT_TCP || inode) &&
	    (!closed || (transport == TRANSPORT_TCP && call->outgoing && is_first_sent(sk, bytes))))
		conn = new_conn(&call->key, sk, inode);
	if (conn ? conn->role == ROLE_OTHER : transport != TRANSPORT_UDP)
		return;
	if (conn && conn->role == ROLE_TLS) {
		tls_socket(conn, call->who, (struct pt_regs *)bpf_task_pt_regs(current));
		return;
	}
	regs = regs_of_call(current, &io);
	if (conn && is_missing(conn, sk, call->outgoing, bytes) && conn->role != ROLE_UNKNOWN) {
		start_over(conn);
		if (conn->role == ROLE_OTHER)
			return;
	}
	if (!regs && conn && is_compat_call(current)) {
		give_up(conn, UNPARSED_COMPAT);
		return;
	}
	if (!regs || (conn && conn->role == ROLE_UNKNOWN && !is_about(current, regs, io, sk))) {
		if (conn)
			conn->role == ROLE_UNKNOWN ? (void)(conn->role = ROLE_OTHER) : give_up(conn, UNPARSED_UNSEEN);
		return;
	}
	call->kind = io & ~CALL_OUT;
	if (!find_bytes(&moved, regs, call->kind, call->outgoing))
		return;
	call->base = moved.base;
	call->vectors = moved.vectors;
	call->total = bytes;
	if (!conn) {
		/* Where it came from is not in the process's memory yet: the answer to it will tell. */
		if (call->outgoing || sk->__sk_common.skc_dport)
			parse_datagram(call, moved.name);
		return;
	}
	/* When a client's request is written whole says nothing. */
	call->now = call->start && conn->role == ROLE_CLIENT ? call->start : bpf_ktime_get_ns();
	call->start = call->start ?: call->now;
	follow_call(call, slot, conn, regs, syscall_argument_3(regs) > 1);
	if (closed)
		end_if_closed(call, slot);
}

#endif
