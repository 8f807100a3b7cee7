// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * DNS: the time from a query's leaving for port 53 (net_dev_queue, in the system call of the process that asks) until
 * its answer comes in (netif_receive_skb), in nanoseconds, by process and name asked for; how answers failed; queries
 * without an answer; connects to port 53 by TCP, which follow an answer that was too long for UDP.
 */
#include "ebrec.h"

#include <bpf/bpf_endian.h>

#include "sock.h"
#include "queries.h"
#include "datagram.h"

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

SEC("tp_btf/net_dev_queue")
int BPF_PROG(dns_send, struct sk_buff *skb)
{
	__u64 id = bpf_get_current_pid_tgid();
	__be16 header[HEADER_SIZE / 2];
	struct query *query, *before;
	struct datagram datagram;
	struct query_key key;
	__u32 place = SCRATCH_OF_SEND, length;

	/* Without a socket it is on its way through, and was seen where it began. */
	if (!window_start() || !skb->sk)
		return 0;
	if (!read_datagram(&datagram, skb, skb->head + skb->network_header, true) || !current_in_scope_as(id >> 32))
		return 0;
	query = bpf_map_lookup_elem(&scratch_query, &place);
	if (!query || !read_key(&key, &datagram, skb, header) || is_answer(header))
		return 0;
	__builtin_memset(query, 0, sizeof(*query));
	length = datagram.length - HEADER_SIZE;
	if (length > QUESTION_SIZE)
		length = QUESTION_SIZE;
	asm volatile("" : "+r"(length));
	if (length > QUESTION_SIZE ||
	    bpf_probe_read_kernel(query->name.question, length, datagram.payload + HEADER_SIZE)) {
		count_loss(LOSS_UNREADABLE);
		return 0;
	}
	query->sent = bpf_ktime_get_ns();
	query->pid = id >> 32;
	query->tid = id;
	bpf_get_current_comm(query->comm, sizeof(query->comm));
	query->number = number_of(&query->name);
	before = bpf_map_lookup_elem(&queries, &key);
	if (before) {
		counter_add(DNS_NO_ANSWERS, before->pid, name_of(before), 1);
		if (config.stream != STREAM_NONE)
			stream(DNS_UNANSWERED, &key, before, query->sent - before->sent, 0);
	}
	update_or_count(&queries, &key, query, LOSS_STATE_FULL);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(dns_receive, struct sk_buff *skb)
{
	__be16 header[HEADER_SIZE / 2];
	struct datagram datagram;
	struct query_key key;
	struct query *query;
	__u64 dur, sub;
	__u32 flags;

	if (!window_start() || !read_datagram(&datagram, skb, skb->data, false))
		return 0;
	if (!read_key(&key, &datagram, skb, header) || !is_answer(header))
		return 0;
	query = bpf_map_lookup_elem(&queries, &key);
	if (!query)
		return 0; /* asked before the window, or out of scope, or answered already */
	dur = bpf_ktime_get_ns() - query->sent;
	flags = bpf_ntohs(header[1]);
	sub = name_of(query);
	hist_add(DNS_LATENCY, query->pid, sub, dur);
	if (flags & 0xf)
		counter_add(DNS_FAILURES, query->pid, sub | (flags & 0xf), 1);
	if (config.stream == STREAM_ALL || (config.stream == STREAM_SLOW && (dur >= config.slow_ns || flags & 0xf)))
		stream(DNS_ANSWERED, &key, query, dur, flags);
	bpf_map_delete_elem(&queries, &key);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(dns_connect, struct sock *sk, int old, int new)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct query_key key = {};
	struct query *query;
	struct flow flow;
	__u32 place = SCRATCH_OF_CONNECT;

	if (new != TCP_SYN_SENT || !current_in_scope_as(id >> 32))
		return 0;
	if (sk->sk_protocol != IPPROTO_TCP || sk->__sk_common.skc_dport != bpf_htons(DNS_PORT))
		return 0;
	counter_add(DNS_BY_TCP, id >> 32, 0, 1);
	query = bpf_map_lookup_elem(&scratch_query, &place);
	if (config.stream == STREAM_NONE || !query)
		return 0;
	read_flow(&flow, &sk->__sk_common);
	key.local = flow.local;
	key.remote = flow.remote;
	__builtin_memset(query, 0, sizeof(*query));
	query->sent = bpf_ktime_get_ns();
	query->pid = id >> 32;
	query->tid = id;
	bpf_get_current_comm(query->comm, sizeof(query->comm));
	stream(DNS_TCP, &key, query, 0, 0);
	return 0;
}
