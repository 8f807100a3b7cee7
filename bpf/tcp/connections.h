/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the probe tcp remembers: the connections that are open, who listens where, and the peers of this interval.
 *
 * A connection belongs to the process that connected. One that came in belongs to the process that closes it, before
 * that to the first that was seen to have it open, and before that to the one that listens on its port: the kernel
 * makes such a connection in an interrupt, where the current process is an arbitrary one.
 */
#ifndef EBREC_TCP_CONNECTIONS_H
#define EBREC_TCP_CONNECTIONS_H

#include "ebrec.h"

#include "sock.h"

/* Of a large server. They take memory as they come. */
#define MAX_CONNECTIONS 131072
#define MAX_LISTENERS	8192
/* Peers that have a name of their own in one interval. */
#define MAX_PEERS 1024

enum tcp_side {
	SIDE_CONNECT,
	SIDE_ACCEPT,
};

enum connection_flags {
	CONN_SCOPED = 0x1,  /* its owner is in scope */
	CONN_HELD = 0x2,    /* its owner has it among its files, or closed it */
	CONN_COUNTED = 0x4, /* what it moved before the window is known, and not counted */
	CONN_OLD = 0x8,	    /* older than the probe: its side is a guess by who listens */
	CONN_TOLD = 0x10,   /* its row as still open is written */
};

struct connection {
	__u64 began;	   /* SYN sent; 0: not by us, or not seen */
	__u64 established; /* 0: not yet, or not seen */
	__u64 out;	   /* payload that is counted or was before the window, bytes */
	__u64 in;
	__u64 out_before; /* payload before the window */
	__u64 in_before;
	__u32 owner; /* as holder_of() has it: the kernel closes a connection when its process may be gone, and its id another's */
	__u8 side;
	__u8 flags;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CONNECTIONS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* struct sock */
	__type(value, struct connection);
} connections SEC(".maps");

struct listener_key {
	struct address local; /* zero: any */
	__u32 network;	      /* the namespace's number */
	__u32 port;
};

struct listener {
	__u64 sk;
	__u32 owner;
	__u32 scoped;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LISTENERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct listener_key);
	__type(value, struct listener);
} listeners SEC(".maps");

/* The other end, with the port of the end that serves. */
struct peer {
	struct address remote;
	__u16 port;
	__u16 side;
	__u32 pad;
};
_Static_assert(sizeof(struct peer) == 24, "no holes");

/* Emptied by user space once per interval: what is asked for again comes again, with the same number. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PEERS);
	__type(key, __u64);
	__type(value, struct peer);
} peers SEC(".maps");

/* The low bits of a metric's sub, for what it is kept by beside the peer; the peer's number stands above. */
#define PEER_SHIFT 4

struct who {
	__u32 owner;
	__u8 side;
	__u8 scoped;
	__u16 pad;
};

/*
 * Whose a connection was that is closed: the reset that its close sends comes after it, and so do those that answer what
 * the other end had under way. Few are asked for, soon after.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow);
	__type(value, struct who);
} gone SEC(".maps");

static __always_inline bool who_had(struct who *who, struct flow *flow)
{
	struct who *known = bpf_map_lookup_elem(&gone, flow);

	if (known)
		*who = *known;
	return known;
}

/* Multiplication by a large odd number (2^64 / golden ratio) and a shift: neighbours end up far apart. */
static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

static __always_inline __u64 peer_number(struct peer *peer)
{
	__u64 hash = mix(mix(mix(1, peer->remote.high), peer->remote.low), (__u64)peer->port << 8 | peer->side);

	return hash << PEER_SHIFT >> PEER_SHIFT;
}

/* The sub of a metric by peer; 0: other peers, and the loss of the name is counted. */
static __noinline __u64 peer_of(struct flow *flow, __u8 side)
{
	struct peer peer = {}, *known;
	__u64 number;

	if (!flow)
		return 0;
	peer.remote = flow->remote;
	peer.port = side == SIDE_ACCEPT ? flow->local_port : flow->remote_port;
	peer.side = side;
	number = peer_number(&peer);
	known = bpf_map_lookup_elem(&peers, &number);
	if (!known) {
		if (update_or_count(&peers, &number, &peer, LOSS_NAME_NOT_KEPT))
			return 0;
	} else if (known->remote.low != peer.remote.low || known->remote.high != peer.remote.high) {
		/* Two peers with one number. */
		count_loss(LOSS_NAME_NOT_KEPT);
		return 0;
	}
	return number << PEER_SHIFT;
}

static __always_inline struct connection *connection_of(struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&connections, &key);
}

static __always_inline void listener_key(struct listener_key *key, struct sock_common *sk, struct flow *flow)
{
	bool any = !flow->local.high && (!flow->local.low || flow->local.low == mapped(0).low);

	__builtin_memset(key, 0, sizeof(*key));
	if (!any)
		key->local = flow->local;
	key->network = network_of(sk);
	key->port = flow->local_port;
}

/* Who listens where a connection came in: on its very address, else on all. */
static __always_inline struct listener *listener_of(struct sock_common *sk, struct flow *flow)
{
	struct listener *listener;
	struct listener_key key;

	listener_key(&key, sk, flow);
	listener = bpf_map_lookup_elem(&listeners, &key);
	if (listener)
		return listener;
	__builtin_memset(&key.local, 0, sizeof(key.local));
	return bpf_map_lookup_elem(&listeners, &key);
}

static __always_inline void listens(struct sock *sk, struct flow *flow, __u32 pid, bool scoped)
{
	struct listener listener = {.sk = (__u64)sk, .owner = holder_of(pid), .scoped = scoped};
	struct listener_key key;

	listener_key(&key, &sk->__sk_common, flow);
	update_or_count(&listeners, &key, &listener, LOSS_STATE_FULL);
}

/* Whose a socket is; also of one that the probe has not met, as far as can be told. */
static __always_inline void who_of(struct who *who, struct sock *sk, struct sock_common *common, struct flow *flow)
{
	struct connection *conn = connection_of(sk);
	struct listener *listener;

	__builtin_memset(who, 0, sizeof(*who));
	who->scoped = nobody_matches();
	if (conn) {
		who->owner = conn->owner;
		who->side = conn->side;
		who->scoped = conn->flags & CONN_SCOPED;
		return;
	}
	listener = listener_of(common, flow);
	if (listener) {
		who->owner = listener->owner;
		who->side = SIDE_ACCEPT;
		who->scoped = listener->scoped;
	}
}

/* The current process, whatever the time, unless it is a thread of the kernel that cleans up. */
static __always_inline void owned_by_current(struct connection *conn)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (conn->owner && BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return;
	conn->owner = holder_of(pid);
	conn->flags &= ~CONN_SCOPED;
	if (current_matches_as(pid))
		conn->flags |= CONN_SCOPED;
	conn->flags |= CONN_HELD;
}

#endif
