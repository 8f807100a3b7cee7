// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * DNS: the time from a query's leaving for port 53 (net_dev_queue, in the system call of the process that asks) until
 * its answer comes in (netif_receive_skb), in nanoseconds, by process and name asked for; how answers failed; queries
 * without an answer. By TCP, as after an answer that was too long for UDP, it is the time from the return of the call that
 * wrote the query's last byte to the return of the call that read the answer's.
 *
 * Sockets tell what calls moved since Linux 6.3; before, the calls do.
 */
#include "ebrec.h"

#include <bpf/bpf_endian.h>

#include "sock.h"
#include "queries.h"
#include "datagram.h"
#include "connection.h"

/* A number for the name, whatever the case of its letters; also finds where the question ends. */
static __noinline __u64 number_of(struct dns_name *name)
{
	__u64 hash = 0xcbf29ce484222325ULL; /* FNV-1a */
	__u32 left = 0, end = NAME_SIZE;

	if (!name)
		return 0;
	for (__u32 at = 0; at < NAME_SIZE; at++) {
		__u8 byte = name->question[at];

		hash = (hash ^ (byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte)) * 0x100000001b3ULL;
		if (left) {
			left--;
		} else if (!byte) {
			end = at + 1;
			break;
		} else {
			left = byte & 0x3f;
		}
	}
	name->length = end + 4;
	return hash << CODE_BITS >> CODE_BITS;
}

/* The sub of a metric by name; 0: other names, and the loss of the name is counted. */
static __noinline __u64 name_of(struct query *query)
{
	if (!query)
		return 0;
	if (!bpf_map_lookup_elem(&names, &query->number) &&
	    update_or_count(&names, &query->number, &query->name, LOSS_NAME_NOT_KEPT))
		return 0;
	return query->number << CODE_BITS;
}

static __noinline int stream(__u32 event, struct query_key *key, struct query *query, __u64 dur, __u32 flags)
{
	struct dns_record *record;
	void *ring = ring_of_this_cpu();

	if (!ring || !key || !query)
		return 0;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return 0;
	fill_header(&record->header, event, query->sent + dur, query->pid, query->tid);
	record->dur_ns = dur;
	__builtin_memcpy(&record->key, key, sizeof(*key));
	__builtin_memcpy(&record->query, query, sizeof(*query));
	record->flags = flags;
	record->pad = 0;
	ring_submit(ring, record);
	return 0;
}

/* Bit 15 of the flags, in the second word of the header: an answer (RFC 1035, 4.1.1). */
static __always_inline bool is_answer(__be16 *header)
{
	return bpf_ntohs(header[1]) >> 15;
}

/* A query is on its way: its name is in it already. One that is asked again had no answer. */
static __noinline int asked(struct query_key *key, struct query *query)
{
	struct query *before;

	if (!key || !query)
		return 0;
	query->number = number_of(&query->name);
	before = bpf_map_lookup_elem(&queries, key);
	if (before) {
		counter_add(DNS_NO_ANSWERS, before->pid, name_of(before), 1);
		if (config.stream != STREAM_NONE)
			stream(DNS_UNANSWERED, key, before, query->sent - before->sent, 0);
	}
	update_or_count(&queries, key, query, LOSS_STATE_FULL);
	return 0;
}

/* An answer is here, with these flags. */
static __noinline int answered(struct query_key *key, __u32 flags)
{
	struct query *query;
	__u64 dur, sub;

	if (!key)
		return 0;
	query = bpf_map_lookup_elem(&queries, key);
	if (!query)
		return 0; /* asked before the window, or out of scope, or answered already */
	dur = bpf_ktime_get_ns() - query->sent;
	sub = name_of(query);
	hist_add(DNS_LATENCY, query->pid, sub, dur);
	if (flags & 0xf)
		counter_add(DNS_FAILURES, query->pid, sub | (flags & 0xf), 1);
	if (config.stream == STREAM_ALL || (config.stream == STREAM_SLOW && (dur >= config.slow_ns || flags & 0xf)))
		stream(DNS_ANSWERED, key, query, dur, flags);
	bpf_map_delete_elem(&queries, key);
	return 0;
}

/* The current thread asks now. */
static __always_inline struct query *new_query(__u32 place, __u64 id)
{
	struct query *query = bpf_map_lookup_elem(&scratch_query, &place);

	if (!query)
		return NULL;
	__builtin_memset(query, 0, sizeof(*query));
	query->sent = bpf_ktime_get_ns();
	query->pid = id >> 32;
	query->tid = id;
	bpf_get_current_comm(query->comm, sizeof(query->comm));
	return query;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(dns_send, struct sk_buff *skb)
{
	__u64 id = bpf_get_current_pid_tgid();
	__be16 header[HEADER_SIZE / 2];
	struct datagram datagram;
	struct query_key key;
	struct query *query;
	__u32 length;

	/* Without a socket it is on its way through, and was seen where it began. */
	if (!window_start() || !skb->sk)
		return 0;
	if (!read_datagram(&datagram, skb, skb->head + skb->network_header, true) || !current_in_scope_as(id >> 32))
		return 0;
	if (!read_key(&key, &datagram, skb, header) || is_answer(header))
		return 0;
	query = new_query(SCRATCH_OF_SEND, id);
	if (!query)
		return 0;
	length = datagram.length - HEADER_SIZE;
	if (length > QUESTION_SIZE)
		length = QUESTION_SIZE;
	asm volatile("" : "+r"(length));
	if (length > QUESTION_SIZE ||
	    bpf_probe_read_kernel(query->name.question, length, datagram.payload + HEADER_SIZE)) {
		count_loss(LOSS_UNREADABLE);
		return 0;
	}
	asked(&key, query);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(dns_receive, struct sk_buff *skb)
{
	__be16 header[HEADER_SIZE / 2];
	struct datagram datagram;
	struct query_key key;

	if (!window_start() || !read_datagram(&datagram, skb, skb->data, false))
		return 0;
	if (read_key(&key, &datagram, skb, header) && is_answer(header))
		answered(&key, bpf_ntohs(header[1]));
	return 0;
}

/* A message moved, to the last byte. */
static __always_inline void message_moved(struct stream *stream, struct moved *moved)
{
	struct sock *sk = (struct sock *)moved->key.socket;
	__be16 header[2] = {*(__be16 *)(stream->bytes + LENGTH_SIZE), *(__be16 *)(stream->bytes + LENGTH_SIZE + 2)};
	struct query_key key = {.tcp = 1, .id = header[0]};
	struct query *query;
	struct flow flow;

	read_flow(&flow, &sk->__sk_common);
	key.local = flow.local;
	key.remote = flow.remote;
	key.port = flow.local_port;
	key.network = network_of(&sk->__sk_common);
	stream->have = 0;
	if (is_answer(header) == moved->key.out) {
		leave_unread(stream, moved->who);
		return;
	}
	if (!moved->key.out) {
		answered(&key, bpf_ntohs(header[1]));
		return;
	}
	query = new_query(SCRATCH_OF_CALL, moved->who);
	if (!query)
		return;
	__builtin_memcpy(query->name.question, stream->bytes + LENGTH_SIZE + HEADER_SIZE, QUESTION_SIZE);
	asked(&key, query);
}

/* Goes one part on through the bytes of a call: to the next vector, or over a part of a message. 0: there is no more to see. */
__noinline int dns_part(__u32 place)
{
	struct moved *moved = bpf_map_lookup_elem(&moved_by_place, &place);
	struct stream *stream;
	__u64 in, bytes;

	if (!moved || moved->offset >= moved->bytes.total)
		return 0;
	in = moved->offset - moved->begins;
	if (in >= moved->size)
		return next_vector(moved);
	stream = bpf_map_lookup_elem(&streams, &moved->key);
	if (!stream || stream->unread)
		return 0;
	bytes = moved->size - in;
	if (bytes > moved->bytes.total - moved->offset)
		bytes = moved->bytes.total - moved->offset;
	bytes = take_bytes(stream, moved, moved->bytes.base ? moved->bytes.base + in : 0, bytes);
	moved->offset += bytes;
	if (!stream->unread && message_is_whole(stream))
		message_moved(stream, moved);
	return bytes && !stream->unread;
}

/* A call of the current thread moved bytes of a connection with a server of DNS. `regs`: of a call that can be followed, or NULL. */
static __always_inline void call_moved(__u32 place, __u64 who, struct sock *sk, struct pt_regs *regs, __u8 kind,
				       __u32 bytes)
{
	struct moved *moved = bpf_map_lookup_elem(&moved_by_place, &place);
	bool out = place == MOVED_OF_SENT;
	struct io_bytes found = {.total = bytes};
	struct stream *stream;

	if (!moved)
		return;
	moved->key.socket = (__u64)sk;
	moved->key.out = out;
	moved->key.pad = 0;
	moved->who = who;
	stream = stream_of(&moved->key);
	if (!stream || stream->unread)
		return;
	if (!follows_on(stream, sk, out, bytes) || !regs || kind < CALL_BUFFER || kind > CALL_MESSAGE ||
	    !find_bytes(&found, regs, kind, out)) {
		leave_unread(stream, who);
		return;
	}
	moved->bytes = found;
	moved->offset = moved->begins = 0;
	moved->size = found.vectors ? 0 : bytes;
#pragma clang loop unroll(disable)
	for (__u32 part = 0; part < CALL_PARTS; part++)
		if (!dns_part(place))
			break;
	stream = bpf_map_lookup_elem(&streams, &moved->key);
	if (stream && moved->offset < moved->bytes.total)
		leave_unread(stream, who);
}

/* The registers of the system call that the current thread is in, and what that does; NULL: it is none that can be followed. */
static __always_inline struct pt_regs *regs_of_call(struct task_struct *current, __u8 *kind)
{
	struct pt_regs *regs;
	__u64 number;

	if (current->flags & (PF_KTHREAD | PF_ANY_WORKER))
		return NULL;
	regs = (struct pt_regs *)bpf_task_pt_regs(current);
	number = syscall_number(regs);
	if (number >= IO_CALLS || task_in_compat_call(current, regs))
		return NULL;
	*kind = knobs.calls[number & (IO_CALLS - 1)] & ~CALL_OUT;
	return regs;
}

static __always_inline void socket_moved(__u32 place, struct sock *sk, int bytes)
{
	struct task_struct *current = current_task();
	struct pt_regs *regs;
	__u8 kind = CALL_NONE;

	if (bytes <= 0 || !is_dns(sk) || !current || !current_in_scope_as(current->tgid))
		return;
	regs = regs_of_call(current, &kind);
	if (regs && socket_of(current, syscall_argument_1(regs)) != sk)
		regs = NULL;
	call_moved(place, who_is(current), sk, regs, kind, bytes);
}

SEC("?tp_btf/sock_send_length")
int BPF_PROG(dns_sent, struct sock *sk, int ret)
{
	socket_moved(MOVED_OF_SENT, sk, ret);
	return 0;
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(dns_received, struct sock *sk, int ret, int flags)
{
	if (!(flags & MSG_NOT_TAKEN))
		socket_moved(MOVED_OF_RECEIVED, sk, ret);
	return 0;
}

/* Before Linux 6.3. */
SEC("tp_btf/sys_exit")
int BPF_PROG(dns_exit, struct pt_regs *regs, long ret)
{
	__u64 number = syscall_number(regs), who;
	struct task_struct *current;
	struct sock *sk;
	__u8 call;

	if (number >= IO_CALLS || ret <= 0)
		return 0;
	call = knobs.calls[number & (IO_CALLS - 1)];
	if (!call)
		return 0;
	current = current_task();
	who = who_is(current);
	/* What calls of 32-bit code move shows in TCP's own numbers. */
	if (!current_in_scope_as(who >> 32) || task_in_compat_call(current, regs))
		return 0;
	sk = socket_of(current, syscall_argument_1(regs));
	if (!sk || !is_dns(sk) || (!(call & CALL_OUT) && leaves_bytes(regs, call)))
		return 0;
	call_moved(call & CALL_OUT ? MOVED_OF_SENT : MOVED_OF_RECEIVED, who, sk, regs, call & ~CALL_OUT, ret);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(dns_state, struct sock *sk, int old, int new)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct query_key key = {};
	struct query *query;
	struct flow flow;

	if ((new != TCP_SYN_SENT &&new != TCP_CLOSE) || !is_dns(sk))
		return 0;
	if (new == TCP_CLOSE) {
		forget_streams(sk);
		return 0;
	}
	if (!current_in_scope_as(id >> 32))
		return 0;
	counter_add(DNS_BY_TCP, id >> 32, 0, 1);
	query = new_query(SCRATCH_OF_CONNECT, id);
	if (config.stream == STREAM_NONE || !query)
		return 0;
	read_flow(&flow, &sk->__sk_common);
	key.local = flow.local;
	key.remote = flow.remote;
	key.tcp = 1;
	stream(DNS_TCP, &key, query, 0, 0);
	return 0;
}
