/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Datagrams of UDP to and from port 53, and what tells a query from others in them.
 */
#ifndef EBREC_DNS_DATAGRAM_H
#define EBREC_DNS_DATAGRAM_H

#include "ebrec.h"

#include <bpf/bpf_endian.h>

#include "sock.h"
#include "queries.h"

struct datagram {
	struct flow flow;
	unsigned char *payload;
	__u32 length; /* of the payload beside the head, which is all that can be read */
};

/* A UDP datagram, seen from here; `out`: which of its addresses is ours. */
static __always_inline bool read_datagram(struct datagram *datagram, struct sk_buff *skb, unsigned char *network,
					  bool out)
{
	__u32 linear = skb->len - skb->data_len, before = network - skb->data, size;
	struct address source = {}, destination = {};
	__be16 protocol = skb->protocol, ports[2];
	__u8 header[40];

	/* On the way out the device's own header stands before it. */
	if (before > 64)
		before = 0;
	if (protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_probe_read_kernel(header, 20, network) || header[9] != IPPROTO_UDP)
			return false;
		/* A later fragment has no ports. */
		if (header[6] & 0x1f || header[7])
			return false;
		size = (header[0] & 0xf) * 4;
		source = mapped(*(__be32 *)&header[12]);
		destination = mapped(*(__be32 *)&header[16]);
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_probe_read_kernel(header, 40, network) || header[6] != IPPROTO_UDP)
			return false;
		size = 40;
		__builtin_memcpy(&source, &header[8], 16);
		__builtin_memcpy(&destination, &header[24], 16);
	} else {
		return false;
	}
	if (bpf_probe_read_kernel(ports, sizeof(ports), network + size) ||
	    (out ? ports[1] : ports[0]) != bpf_htons(DNS_PORT))
		return false;
	__builtin_memset(datagram, 0, sizeof(*datagram));
	datagram->flow.local = out ? source : destination;
	datagram->flow.remote = out ? destination : source;
	datagram->flow.local_port = bpf_ntohs(out ? ports[0] : ports[1]);
	datagram->flow.remote_port = DNS_PORT;
	datagram->payload = network + size + 8;
	before += size + 8;
	datagram->length = linear > before ? linear - before : 0;
	return true;
}

static __always_inline bool read_key(struct query_key *key, struct datagram *datagram, struct sk_buff *skb,
				     __be16 *header)
{
	if (datagram->length < HEADER_SIZE || bpf_probe_read_kernel(header, HEADER_SIZE, datagram->payload)) {
		count_loss(LOSS_UNREADABLE);
		return false;
	}
	__builtin_memset(key, 0, sizeof(*key));
	key->local = datagram->flow.local;
	key->remote = datagram->flow.remote;
	key->port = datagram->flow.local_port;
	key->network = BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
	key->id = header[0];
	return true;
}

#endif
