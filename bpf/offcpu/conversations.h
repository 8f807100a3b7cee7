/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose turn it is on each socket: whether a request that came in on an accepted one is unanswered, or a question that went out on a
 * connecting one. A wait is for an answer, or within a request, by that and not by its system call.
 *
 * Since 6.3, whose tracepoints tell of every send and receive. What goes one way only (a log that is shipped, a subscription) is neither:
 * a second message in the same direction after a while shows it. Sockets without sides (socketpair(2), most of UDP) are not judged.
 */
#ifndef EBREC_OFFCPU_CONVERSATIONS_H
#define EBREC_OFFCPU_CONVERSATIONS_H

#include "ebrec.h"

#include "sock.h"
#include "state.h"

/* Sockets that moved bytes lately, and threads that did; the oldest make room. */
#define MAX_CONVERSATIONS 16384
#define MAX_TALKERS	  8192
/* Ports that are listened on, in all network namespaces. */
#define MAX_LISTENERS 8192
/* Parts of one message follow one another sooner. */
#define ONE_WAY_NS 100000000
#define AF_UNIX	   1
#define MSG_PEEK   2

enum turn {
	TURN_NOBODYS,
	TURN_SENT,
	TURN_RECEIVED,
};

enum talk_side {
	SIDE_UNKNOWN,
	SIDE_ACCEPTED,
	SIDE_CONNECTED,
};

struct conversation {
	__u64 moved;  /* when bytes last did */
	__u32 opener; /* the thread that opened what is open */
	__u8 turn;    /* enum turn: what was last */
	__u8 side;    /* enum talk_side */
	__u8 open;    /* a request or question */
	__u8 one_way;
};

/* By the inode of the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CONVERSATIONS);
	__type(key, __u64);
	__type(value, struct conversation);
} conversations SEC(".maps");

/* What a thread has open, and for how long it had anything open so far. */
struct talker {
	__u64 request_ns;
	__u64 request_since;
	__u64 question_ns;
	__u64 question_since;
	__s32 requests;
	__s32 questions;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_TALKERS);
	__type(key, __u32);
	__type(value, struct talker);
} talkers SEC(".maps");

struct listening {
	__u32 network; /* the namespace's number */
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LISTENERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct listening);
	__type(value, __u32);
} listening SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct unix_address;
struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};
#pragma clang attribute pop

static __always_inline void note_listener(struct sock *sk)
{
	struct listening key = {
		.network = network_of(&sk->__sk_common),
		.port = BPF_CORE_READ(sk, __sk_common.skc_num),
	};
	__u32 one = 1;

	update_or_count(&listening, &key, &one, LOSS_STATE_FULL);
}

/* An accepted socket has its listener's port, or the address of its Unix socket; who connects seldom has any. */
static __always_inline enum talk_side side_of(struct sock *sk)
{
	struct unix_sock *local = (void *)sk, *remote;
	struct listening key = {};
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if (family == AF_UNIX) {
		remote = (void *)BPF_CORE_READ(local, peer);
		if (!remote || !BPF_CORE_READ(local, addr) == !BPF_CORE_READ(remote, addr))
			return SIDE_UNKNOWN;
		return BPF_CORE_READ(local, addr) ? SIDE_ACCEPTED : SIDE_CONNECTED;
	}
	if (family != AF_INET && family != AF_INET6)
		return SIDE_UNKNOWN;
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return BPF_CORE_READ(sk, __sk_common.skc_dport) ? SIDE_CONNECTED : SIDE_UNKNOWN;
	key.network = network_of(&sk->__sk_common);
	key.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	return bpf_map_lookup_elem(&listening, &key) ? SIDE_ACCEPTED : SIDE_CONNECTED;
}

static __always_inline struct talker *talker_of(__u32 tid, bool create)
{
	struct talker *talker = bpf_map_lookup_elem(&talkers, &tid), none = {};

	if (!talker && create) {
		bpf_map_update_elem(&talkers, &tid, &none, BPF_NOEXIST);
		talker = bpf_map_lookup_elem(&talkers, &tid);
	}
	return talker;
}

static __always_inline void open_turn(struct conversation *with, __u32 tid, __u64 now)
{
	struct talker *talker = talker_of(tid, true);

	if (!talker)
		return;
	with->open = 1;
	with->opener = tid;
	if (with->side == SIDE_ACCEPTED) {
		if (!__sync_fetch_and_add(&talker->requests, 1))
			talker->request_since = now;
	} else if (!__sync_fetch_and_add(&talker->questions, 1)) {
		talker->question_since = now;
	}
}

static __always_inline void close_turn(struct conversation *with, __u64 now)
{
	struct talker *talker;

	if (!with->open)
		return;
	with->open = 0;
	talker = talker_of(with->opener, false);
	if (!talker)
		return;
	if (with->side == SIDE_ACCEPTED) {
		if (__sync_fetch_and_add(&talker->requests, -1) == 1)
			talker->request_ns += now - talker->request_since;
	} else if (__sync_fetch_and_add(&talker->questions, -1) == 1) {
		talker->question_ns += now - talker->question_since;
	}
}

static __always_inline __u64 inode_of_socket(struct sock *sk)
{
	return sk->sk_socket->file->f_inode->i_ino;
}

static __always_inline void moved(struct sock *sk, int bytes, enum turn turn)
{
	struct conversation *with, fresh = {};
	__u64 inode, now;
	bool opens;

	if (bytes < 0 || !current_in_scope())
		return;
	inode = inode_of_socket(sk);
	if (!inode)
		return;
	with = bpf_map_lookup_elem(&conversations, &inode);
	if (!with) {
		fresh.side = side_of(sk);
		bpf_map_update_elem(&conversations, &inode, &fresh, BPF_NOEXIST);
		with = bpf_map_lookup_elem(&conversations, &inode);
		if (!with)
			return;
	}
	if (with->side == SIDE_UNKNOWN)
		return;
	now = bpf_ktime_get_ns();
	/* Bytes may move before the listeners that there were are noted: who seems to ask may answer on a port that is listened on. */
	if (with->side == SIDE_CONNECTED && turn == TURN_SENT && with->turn != turn && !with->open)
		with->side = side_of(sk);
	opens = with->side == (turn == TURN_RECEIVED ? SIDE_ACCEPTED : SIDE_CONNECTED);
	if (!opens || !bytes) {
		/* The answer, or the end of the stream. */
		close_turn(with, now);
		with->one_way = 0;
	} else if (with->turn == turn) {
		if (now - with->moved > ONE_WAY_NS) {
			close_turn(with, now);
			with->one_way = 1;
		}
	} else if (!with->open) {
		open_turn(with, (__u32)bpf_get_current_pid_tgid(), now);
	}
	with->turn = turn;
	with->moved = now;
}

/* 6.3, commit 6e6eda44b939 */
SEC("?tp_btf/sock_send_length")
int BPF_PROG(offcpu_sent, struct sock *sk, int ret, int flags)
{
	moved(sk, ret, TURN_SENT);
	return 0;
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(offcpu_received, struct sock *sk, int ret, int flags)
{
	if (!(flags & MSG_PEEK))
		moved(sk, ret, TURN_RECEIVED);
	return 0;
}

/* Before a connection is closed its turn ends with it. Loaded with the two above, since what they do needs Linux 5.12 as well. */
SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(offcpu_state, const struct sock *sk, int oldstate, int newstate)
{
	struct conversation *with;
	__u64 inode;

	/* Also before the window begins: those that there are by then were listed before. */
	if (newstate == TCP_LISTEN)
		note_listener((void *)sk);
	if (!totals_start())
		return 0;
	if (newstate != TCP_FIN_WAIT1 && newstate != TCP_LAST_ACK && newstate != TCP_CLOSE)
		return 0;
	inode = inode_of_socket((void *)sk);
	with = inode ? bpf_map_lookup_elem(&conversations, &inode) : NULL;
	if (with)
		close_turn(with, bpf_ktime_get_ns());
	return 0;
}

/* The listeners that there are, listed before the window begins and when it does; loaded likewise. */
SEC("?iter/task_file")
int offcpu_listeners(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct inode *inode;
	struct sock *sk;

	if (!ctx->task || !file)
		return 0;
	inode = file->f_inode;
	if ((inode->i_mode & S_IFMT) != S_IFSOCK)
		return 0;
	sk = BPF_CORE_READ((struct socket *)((struct file___socket *)file)->private_data, sk);
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN &&
	    (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET ||
	     BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6))
		note_listener(sk);
	return 0;
}

#if defined(__TARGET_ARCH_x86)
#define NR_ACCEPT  43
#define NR_ACCEPT4 288
#elif defined(__TARGET_ARCH_arm64)
#define NR_ACCEPT  202
#define NR_ACCEPT4 242
#endif

static __always_inline __u64 open_requests_ns(struct talker *talker, __u64 now)
{
	return talker->request_ns + (talker->requests > 0 ? now - talker->request_since : 0);
}

static __always_inline __u64 open_questions_ns(struct talker *talker, __u64 now)
{
	return talker->question_ns + (talker->questions > 0 ? now - talker->question_since : 0);
}

/* A thread goes to sleep: whether it does so with something open. A socket is judged by itself, all else by what the thread has open. */
static __always_inline void note_turn(struct task_state *state, __u32 tid, __u64 now)
{
	struct conversation *with;
	struct talker *talker;

	switch (state->on) {
	case ON_SOCKET:
		if (state->syscall == NR_ACCEPT || state->syscall == NR_ACCEPT4) {
			state->flags |= WAIT_JUDGED;
			return;
		}
		with = bpf_map_lookup_elem(&conversations, &state->target);
		if (!with || with->side == SIDE_UNKNOWN || with->one_way)
			return;
		state->flags |= WAIT_JUDGED;
		if (with->open)
			state->flags |= with->side == SIDE_ACCEPTED ? WAIT_REQUEST : WAIT_QUESTION;
		return;
	case ON_FUTEX:
	case ON_PIPE:
	case ON_CHILD:
	case ON_SEMAPHORE:
	case ON_EPOLL:
	case ON_POLL:
	case ON_EVENT_FILE:
	case ON_TIMER:
		state->flags |= WAIT_JUDGED;
		talker = talker_of(tid, false);
		if (!talker)
			return;
		state->flags |= WAIT_TALKER;
		state->request_mark = open_requests_ns(talker, now);
		state->question_mark = open_questions_ns(talker, now);
	}
}

/* How much of a wait of `slept` ns that ends at `until` was with a request or a question open. */
static __always_inline void turns_of(struct task_state *state, __u32 tid, __u64 slept, __u64 until, __u64 *request,
				     __u64 *question)
{
	struct talker *talker;

	*request = state->flags & WAIT_REQUEST ? slept : 0;
	*question = state->flags & WAIT_QUESTION ? slept : 0;
	if (!(state->flags & WAIT_TALKER))
		return;
	talker = talker_of(tid, false);
	if (!talker)
		return;
	*request = open_requests_ns(talker, until) - state->request_mark;
	*question = open_questions_ns(talker, until) - state->question_mark;
	/* A turn may have ended between the wake-up and this look. */
	if (*request > slept)
		*request = slept;
	if (*question > slept)
		*question = slept;
}

#endif
