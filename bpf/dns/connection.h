/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DNS by TCP: each message stands behind its length, in two bytes (RFC 1035, 4.2.2). A call may move a part of a message, or
 * several messages. What is kept of a message is its header and its question; the rest is counted off unread.
 */
#ifndef EBREC_DNS_CONNECTION_H
#define EBREC_DNS_CONNECTION_H

#include "ebrec.h"

#include "io_calls.h"
#include "queries.h"
#include "sock.h"

/* Directions of connections that messages move in at one time. */
#define MAX_STREAMS 2048
#define LENGTH_SIZE 2
#define STREAM_KEPT (LENGTH_SIZE + HEADER_SIZE + QUESTION_SIZE)
/* Messages, parts of them and vectors of one call that are looked at. */
#define CALL_PARTS 128

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct tcp_sock___dns {
	__u32 copied_seq; /* up to where bytes were read */
	__u32 write_seq;  /* up to where bytes were written */
};
#pragma clang attribute pop

const volatile struct dns_knobs {
	__u8 calls[IO_CALLS]; /* enum io_call, by number */
} knobs SEC(".rodata.knobs") = {};
struct dns_knobs *export_dns_knobs;

/* One direction of a connection, by its socket. */
struct stream_key {
	__u64 socket;
	__u32 out;
	__u32 pad;
};

struct stream {
	__u64 left; /* bytes of the message that are still to come, beyond what is kept */
	__u32 have; /* bytes of it that are kept, with its length */
	__u32 upto; /* where in TCP's numbers the last call ended */
	__u8 unread;
	__u8 pad;
	/* The question is aligned. Room for all that is kept behind all that is kept: what the verifier knows of the two. */
	__u8 bytes[2 * STREAM_KEPT + 2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_STREAMS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct stream_key);
	__type(value, struct stream);
} streams SEC(".maps");

static const struct stream no_stream = {};

/* What a call moved, and how far it was looked at. In memory, where the verifier knows nothing of it: one turn is to it like any other. */
struct moved {
	struct stream_key key;
	struct io_bytes bytes;
	__u64 offset; /* of what is next, in all bytes of the call */
	__u64 begins; /* of the buffer or vector, in those */
	__u64 size;   /* of the buffer or vector */
	__u64 who;
};

/* One for each program: by 7.3 another may come in between. */
enum moved_place {
	MOVED_OF_SENT,
	MOVED_OF_RECEIVED,
	MOVED_PLACES,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MOVED_PLACES);
	__type(key, __u32);
	__type(value, struct moved);
} moved_by_place SEC(".maps");

/* The length of the message whose first two bytes are there. */
static __always_inline __u32 message_length(struct stream *stream)
{
	return stream->bytes[0] << 8 | stream->bytes[1];
}

/* How much of the message is kept, with its length; as far as that is known. */
static __always_inline __u32 kept_size(struct stream *stream)
{
	__u32 length;

	if (stream->have < LENGTH_SIZE)
		return LENGTH_SIZE;
	length = LENGTH_SIZE + message_length(stream);
	return length < STREAM_KEPT ? length : STREAM_KEPT;
}

/* What moves here is not looked at from now on. Counted once for a direction. */
static __always_inline void leave_unread(struct stream *stream, __u64 who)
{
	if (!stream->unread)
		counter_add(DNS_UNREAD, who >> 32, 0, 1);
	stream->unread = 1;
}

static __always_inline void message_begins(struct stream *stream)
{
	__builtin_memset(stream->bytes + LENGTH_SIZE, 0, STREAM_KEPT - LENGTH_SIZE);
}

/* Takes what is next of a message out of so many bytes, and gives how many it took; 0: the rest is not to be looked at. */
static __always_inline __u64 take_bytes(struct stream *stream, struct moved *moved, __u64 at, __u64 bytes)
{
	__u32 have = stream->have, taken;

	if (stream->left) {
		if (bytes > stream->left)
			bytes = stream->left;
		stream->left -= bytes;
		return bytes;
	}
	taken = kept_size(stream) - have;
	if (taken > bytes)
		taken = bytes;
	if (have > STREAM_KEPT || taken > STREAM_KEPT || !at ||
	    bpf_probe_read_user(stream->bytes + have, taken, (void *)at)) {
		count_loss(LOSS_UNREADABLE);
		leave_unread(stream, moved->who);
		return 0;
	}
	have += taken;
	stream->have = have;
	if (have == LENGTH_SIZE) {
		message_begins(stream);
		if (message_length(stream) < HEADER_SIZE)
			leave_unread(stream, moved->who);
	} else if (have == STREAM_KEPT) {
		stream->left = LENGTH_SIZE + message_length(stream) - have;
	}
	return taken;
}

static __always_inline bool message_is_whole(struct stream *stream)
{
	return stream->have > LENGTH_SIZE && stream->have == kept_size(stream) && !stream->left;
}

/* Goes on to the next vector. False: there is none. */
static __always_inline bool next_vector(struct moved *moved)
{
	struct user_vector vector;

	if (!moved->bytes.vectors)
		return false;
	if (bpf_probe_read_user(&vector, sizeof(vector), (void *)moved->bytes.vectors)) {
		count_loss(LOSS_UNREADABLE);
		return false;
	}
	moved->begins += moved->size;
	moved->bytes.base = vector.base;
	moved->size = vector.length;
	moved->bytes.vectors += sizeof(vector);
	return true;
}

/* Whether this is a connection of a client with a server of DNS. */
static __always_inline bool is_dns(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP &&
	       BPF_CORE_READ(sk, __sk_common.skc_dport) == bpf_htons(DNS_PORT);
}

/* The socket behind a descriptor of the current task; NULL: it is none. */
static __always_inline struct sock *socket_of(struct task_struct *current, __u32 fd)
{
	struct file___io *file = file_of(current, fd);
	struct socket *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

/* The direction that a call moved bytes in. A connection that is older than the window is between two messages, most often. */
static __always_inline struct stream *stream_of(struct stream_key *key)
{
	struct stream *stream = bpf_map_lookup_elem(&streams, key);

	if (stream || update_or_count(&streams, key, &no_stream, LOSS_STATE_FULL))
		return stream;
	return bpf_map_lookup_elem(&streams, key);
}

/* Whether all bytes before these were looked at: what moves by other ways than calls of these kinds shows in TCP's own numbers. */
static __always_inline bool follows_on(struct stream *stream, struct sock *sk, bool out, __u32 bytes)
{
	struct tcp_sock___dns *tcp = (void *)sk;
	__u32 before = stream->upto;

	stream->upto = out ? BPF_CORE_READ(tcp, write_seq) : BPF_CORE_READ(tcp, copied_seq);
	return !before || before == stream->upto - bytes;
}

static __always_inline void forget_streams(struct sock *sk)
{
	struct stream_key key = {.socket = (__u64)sk};

	bpf_map_delete_elem(&streams, &key);
	key.out = 1;
	bpf_map_delete_elem(&streams, &key);
}

#endif
