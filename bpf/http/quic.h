/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * QUIC, which HTTP/3 goes through, is encrypted from its first packet on: its connections are counted, and that is all. One
 * begins with packets of a long header (RFC 9000, 17.2) to port 443 and from there; each peer of a socket is a connection.
 */
#ifndef EBREC_HTTP_QUIC_H
#define EBREC_HTTP_QUIC_H

#include "ebrec.h"

#include "bytes.h"
#include "calls.h"
#include "conn.h"
#include "call.h"

#define QUIC_PORT 443
/* Connections that are remembered; one that starts again after as many others counts again. */
#define QUIC_CONNECTIONS 8192
/* The form of the header, and the bit that is always set. */
#define QUIC_LONG 0xc0

struct quic_key {
	__u64 sk;
	__u64 peer[3]; /* as the call gives it: struct sockaddr_in, or struct sockaddr_in6 up to its address's end */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, QUIC_CONNECTIONS);
	__type(key, struct quic_key);
	__type(value, __u8);
} quic_seen SEC(".maps");

/* RFC 9000, RFC 9369, and the drafts that browsers spoke before. */
static __always_inline bool is_quic(const __u8 *bytes)
{
	__u32 version = (__u32)bytes[1] << 24 | bytes[2] << 16 | bytes[3] << 8 | bytes[4];

	return (bytes[0] & QUIC_LONG) == QUIC_LONG &&
	       (version == 1 || version == 0x6b3343cf || version >> 8 == 0xff0000);
}

/* A datagram was moved; `name`: the peer's address in the process's memory, or 0. */
static __always_inline void parse_datagram(struct call *call, __u64 name)
{
	struct sock___http *sk = (void *)call->key.address;
	struct quic_key key = {.sk = call->key.address};
	__u8 bytes[8] = {}, yes = 1;
	__be16 port = BPF_CORE_READ(sk, __sk_common.skc_dport);

	if (!first_part(call) || call->total < 5 || call->length < 5 || !call->source)
		return;
	if (!port && name && !bpf_probe_read_user(key.peer, sizeof(key.peer), (void *)name)) {
		port = key.peer[0] >> 16;
		if ((__u16)key.peer[0] == HTTP_AF_INET)
			key.peer[1] = key.peer[2] = 0;
	}
	if (port != __builtin_bswap16(QUIC_PORT) && BPF_CORE_READ(sk, __sk_common.skc_num) != QUIC_PORT)
		return;
	if (bpf_probe_read_user(bytes, 5, (void *)call->source) || !is_quic(bytes) ||
	    bpf_map_lookup_elem(&quic_seen, &key))
		return;
	update_or_count(&quic_seen, &key, &yes, LOSS_STATE_FULL);
	if (window_start())
		counter_add(HTTP_UNPARSED, call->who >> 32, UNPARSED_QUIC, 1);
}

#endif
