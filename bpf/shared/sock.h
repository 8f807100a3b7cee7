/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets: the kernel types that are read, and the two ends of a connection. Addresses are 16 bytes each; one of IPv4
 * is kept as the IPv6 address that means the same (RFC 4291, 2.5.5.2), so both ways to use IPv4 look alike.
 */
#ifndef EBREC_SOCK_H
#define EBREC_SOCK_H

#include "ebrec.h"

#include <bpf/bpf_endian.h>

#define AF_INET	    2
#define AF_INET6    10
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define ETH_P_IP    0x0800
#define ETH_P_IPV6  0x86DD
#define S_IFMT	    0170000
#define S_IFSOCK    0140000
/* include/net/sock.h: sock_flags, the end of the stream has come. */
#define SOCK_DONE 1

/* include/net/tcp_states.h */
enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net; /* CONFIG_NET_NS */
} possible_net_t;

/* Read whole: its members have had several names. */
struct in6_addr {
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;	  /* CONFIG_IPV6 */
	struct in6_addr skc_v6_rcv_saddr; /* likewise */
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
	__u16 sk_protocol; /* 5.6: no longer a bit field */
	int sk_err;
	struct socket *sk_socket;
};

struct socket {
	struct sock *sk;
	struct file *file;
};

struct inet_sock {
	__be16 inet_sport;
};

struct tcp_sock {
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 srtt_us; /* eight times */
	__u32 total_retrans;
};

struct request_sock {
	struct sock_common __req_common;
};

struct net_device {
	possible_net_t nd_net;
};

struct sk_buff {
	struct sock *sk;
	struct net_device *dev;
	unsigned int len;
	unsigned int data_len; /* of it not beside the head */
	__be16 protocol;
	unsigned char *head;
	unsigned char *data;
	__u16 network_header;
	__u16 transport_header;
	char cb[48];
};

struct tcp_skb_cb {
	__u16 tcp_gso_segs;
};

struct file___socket {
	void *private_data;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task; /* NULL: the walk is over */
	struct file *file;
};

#pragma clang attribute pop

struct address {
	__u64 high;
	__u64 low; /* both as they are on the wire */
};

/* Seen from here. Ports are in the CPU's byte order. */
struct flow {
	struct address local;
	struct address remote;
	__u16 local_port;
	__u16 remote_port;
	__u32 pad;
};

static __always_inline struct address mapped(__be32 ipv4)
{
	struct address address = {
		.low = (__u64)ipv4 << 32 | bpf_htonl(0xffff),
	};

	return address;
}

/* Of a socket of any sort: full, of a request, or waiting for its time to pass. */
static __always_inline void read_flow(struct flow *flow, struct sock_common *sk)
{
	__builtin_memset(flow, 0, sizeof(*flow));
	if (BPF_CORE_READ(sk, skc_family) == AF_INET) {
		flow->local = mapped(BPF_CORE_READ(sk, skc_rcv_saddr));
		flow->remote = mapped(BPF_CORE_READ(sk, skc_daddr));
	} else if (bpf_core_field_exists(sk->skc_v6_daddr)) {
		bpf_probe_read_kernel(&flow->local, sizeof(flow->local), &sk->skc_v6_rcv_saddr);
		bpf_probe_read_kernel(&flow->remote, sizeof(flow->remote), &sk->skc_v6_daddr);
	}
	flow->local_port = BPF_CORE_READ(sk, skc_num);
	flow->remote_port = bpf_ntohs(BPF_CORE_READ(sk, skc_dport));
}

/* Of a full socket: one that has just lost its port keeps the number of it. */
static __always_inline void read_full_flow(struct flow *flow, struct sock *sk)
{
	__u16 port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));

	read_flow(flow, &sk->__sk_common);
	if (port)
		flow->local_port = port;
}

/* Of a TCP segment that came in. */
static __always_inline bool read_segment_flow(struct flow *flow, const struct sk_buff *skb)
{
	unsigned char *head = BPF_CORE_READ(skb, head);
	unsigned char *network = head + BPF_CORE_READ(skb, network_header);
	unsigned char *transport = head + BPF_CORE_READ(skb, transport_header);
	__be16 ports[2];
	__be32 ipv4[2];
	__u8 version;

	__builtin_memset(flow, 0, sizeof(*flow));
	if (bpf_probe_read_kernel(&version, sizeof(version), network) ||
	    bpf_probe_read_kernel(ports, sizeof(ports), transport))
		return false;
	if (version >> 4 == 4) {
		/* RFC 791: source and destination are the header's last eight bytes. */
		bpf_probe_read_kernel(ipv4, sizeof(ipv4), network + 12);
		flow->remote = mapped(ipv4[0]);
		flow->local = mapped(ipv4[1]);
	} else {
		/* RFC 8200: they follow the first eight bytes. */
		bpf_probe_read_kernel(&flow->remote, sizeof(flow->remote), network + 8);
		bpf_probe_read_kernel(&flow->local, sizeof(flow->local), network + 24);
	}
	flow->remote_port = bpf_ntohs(ports[0]);
	flow->local_port = bpf_ntohs(ports[1]);
	return true;
}

static __always_inline __u32 network_of(struct sock_common *sk)
{
	return BPF_CORE_READ(sk, skc_net.net, ns.inum);
}

#endif
