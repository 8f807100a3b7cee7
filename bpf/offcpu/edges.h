/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Waits added up by who waited for what and who ended it: one edge for each thread, target and waker in an interval.
 */
#ifndef EBREC_OFFCPU_EDGES_H
#define EBREC_OFFCPU_EDGES_H

#include "ebrec.h"

#include "conversations.h"
#include "past.h"
#include "sock.h"
#include "state.h"

/* A machine of a thousand threads has under a thousand edges in a second; each takes about 200 bytes, in two sets. */
#define MAX_EDGES 16384
/* Processes whose waits found no room: one cell each. */
#define MAX_OTHER_EDGES 1024

struct edge_key {
	__u64 target;
	__u32 pid;
	__u32 tid;
	__u32 waker_pid;
	__u32 waker_tid;
	__u8 on;    /* enum wait_on */
	__u8 by;    /* enum wait_by */
	__u8 cause; /* enum ledger_cause */
	__u8 pad[5];
};
_Static_assert(sizeof(struct edge_key) == 32, "no holes");

/* Which socket: its family, protocol and state, and the two ends of one of the Internet's. */
struct endpoint {
	struct flow flow;
	__u16 family; /* 0: not known */
	__u16 protocol;
	__u8 state; /* enum tcp_state */
	__u8 pad[3];
};
_Static_assert(sizeof(struct endpoint) == 48, "no holes");

/* Nanoseconds, all but count. */
struct edge {
	__u64 count;
	__u64 sum;
	__u64 max;
	__u64 active;
	__u64 unknown;
	__u64 contended;
	__u64 handed;
	__u64 judged; /* of which it is known whether a request or a question was open, and the parts in which one was */
	__u64 request;
	__u64 question;
	__u32 owner; /* the last that a lock told */
	__u32 fd;    /* one more than a descriptor that leads to the target; 0: there is none */
	__u8 comm[TASK_COMM_LEN];
	struct endpoint socket; /* of a socket */
};
_Static_assert(sizeof(struct edge) == 104 + sizeof(struct endpoint), "no holes");

/* A sleep that is still open when the window ends, as the iterator tells it. */
struct open_wait {
	struct edge_key key;
	__u64 since;
	__u64 woken; /* 0: not yet */
	__u64 active;
	__u64 unknown;
	__u64 request;
	__u64 question;
	__u64 address; /* of a futex: not rounded */
	__u32 value;
	__u32 flags; /* enum wait_flags */
	__u32 owner;
	__u32 fd;
	__u8 comm[TASK_COMM_LEN];
	struct endpoint socket;
};
_Static_assert(sizeof(struct open_wait) == 120 + sizeof(struct endpoint), "no holes");

struct edges {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_EDGES);
	__type(key, struct edge_key);
	__type(value, struct edge);
};

struct other_edges {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_OTHER_EDGES);
	__type(key, struct edge_key);
	__type(value, struct edge);
};

struct edges edges_even SEC(".maps");
struct edges edges_odd SEC(".maps");
struct other_edges other_edges_even SEC(".maps");
struct other_edges other_edges_odd SEC(".maps");

static __always_inline void fill_key(struct edge_key *key, struct task_struct *task, struct task_state *state)
{
	key->target = state->on == ON_FUTEX ? state->target & FUTEX_MASK : state->target;
	key->pid = task->tgid;
	key->tid = task->pid;
	key->waker_pid = state->by == BY_THREAD ? state->waker_pid : 0;
	key->waker_tid = state->by == BY_THREAD ? state->waker_tid : 0;
	key->on = state->on;
	key->by = state->by;
	key->cause = state->cause;
}

/* An edge is added to where its thread is switched in, which happens on one CPU at a time; several threads share what has no room. */
static __always_inline void add_ns(__u64 *sum, __u64 ns, bool shared)
{
	if (shared)
		__sync_fetch_and_add(sum, ns);
	else
		*sum += ns;
}

static __always_inline void add_to_edge(struct edge *edge, struct task_struct *task, struct task_state *state,
					__u64 slept, __u64 until, bool shared)
{
	__u64 request, question;

	add_ns(&edge->count, 1, shared);
	add_ns(&edge->sum, slept, shared);
	if (slept > edge->max)
		edge->max = slept;
	add_ns(&edge->active, state->active_ns, shared);
	add_ns(&edge->unknown, state->unknown_ns, shared);
	if (state->flags & WAIT_CONTENDED)
		add_ns(&edge->contended, slept, shared);
	if (state->flags & WAIT_HANDED)
		add_ns(&edge->handed, slept, shared);
	if (state->flags & WAIT_JUDGED) {
		turns_of(state, task->pid, slept, until, &request, &question);
		add_ns(&edge->judged, slept, shared);
		add_ns(&edge->request, request, shared);
		add_ns(&edge->question, question, shared);
	}
	if (state->owner)
		edge->owner = state->owner;
}

/* The socket behind a descriptor, if that still leads to the inode. */
static __always_inline void read_socket(struct endpoint *found, struct task_struct *task, __u32 fd, __u64 inode)
{
	struct fdtable *table = task->files->fdt;
	struct file *file = NULL;
	struct socket *socket;
	struct sock *sk;

	if (fd >= table->max_fds)
		return;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	if (BPF_CORE_READ(file, f_inode, i_ino) != inode)
		return;
	socket = BPF_CORE_READ((struct file___socket *)file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	found->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	found->protocol = BPF_CORE_READ(sk, sk_protocol);
	found->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (found->family == AF_INET || found->family == AF_INET6)
		read_flow(&found->flow, &sk->__sk_common);
}

/* Too large for the stack. */
static const struct edge no_edge = {};

static __always_inline struct edge *new_edge(void *map, struct edge_key *key, struct task_struct *task, __u32 fd)
{
	struct edge *edge;

	bpf_map_update_elem(map, key, &no_edge, BPF_NOEXIST);
	edge = bpf_map_lookup_elem(map, key);
	if (!edge)
		return NULL;
	edge->fd = fd;
	bpf_probe_read_kernel(edge->comm, sizeof(edge->comm), task->comm);
	if (key->on == ON_SOCKET && fd)
		read_socket(&edge->socket, task, fd - 1, key->target);
	return edge;
}

/* Where there is no room for the edge it is added to one of its process, whose target and waker are nobody's. */
static __always_inline void add_edge(struct task_struct *task, struct task_state *state, __u64 slept, __u64 until)
{
	bool odd = is_odd();
	struct edge_key key = {};
	struct edge *edge;

	fill_key(&key, task, state);
	edge = odd ? bpf_map_lookup_elem(&edges_odd, &key) : bpf_map_lookup_elem(&edges_even, &key);
	if (!edge)
		edge = new_edge(odd ? (void *)&edges_odd : (void *)&edges_even, &key, task, state->fd);
	if (edge) {
		add_to_edge(edge, task, state, slept, until, false);
		return;
	}
	count_loss(LOSS_NAME_NOT_KEPT);
	key.target = 0;
	key.tid = 0;
	key.waker_pid = 0;
	key.waker_tid = 0;
	key.by = BY_UNSEEN;
	edge = new_edge(odd ? (void *)&other_edges_odd : (void *)&other_edges_even, &key, task, 0);
	if (edge)
		add_to_edge(edge, task, state, slept, until, true);
	else
		count_loss(LOSS_STATE_FULL);
}

#endif
