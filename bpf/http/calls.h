/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sockets that calls move bytes through, and what such a socket is to HTTP.
 */
#ifndef EBREC_HTTP_CALLS_H
#define EBREC_HTTP_CALLS_H

#include "ebrec.h"

#include "sock.h"
#include "io_calls.h"

/* include/uapi/linux/stat.h, include/linux/socket.h, include/uapi/linux/in.h, include/net/tcp_states.h */
#define HTTP_S_IFMT   0170000
#define HTTP_S_IFSOCK 0140000
#define HTTP_AF_UNIX  1
#define HTTP_AF_INET  2
#define HTTP_AF_INET6 10
#define HTTP_STREAM   1
#define HTTP_TCP      6
#define HTTP_UDP      17
#define HTTP_MPTCP    262
/* include/net/sock.h: SHUTDOWN_MASK, of a Unix socket whose peer is closed. */
#define HTTP_SHUTDOWN	       3
#define HTTP_STATE_ESTABLISHED 1
#define HTTP_STATE_FIN_WAIT1   4
#define HTTP_STATE_CLOSE       7
#define HTTP_STATE_LAST_ACK    9

const volatile struct http_knobs {
	__u8 calls[IO_CALLS];
	__u8 routes;  /* count by route */
	__u8 cookies; /* attachments say what place they are at */
	__u8 pad[6];
} knobs SEC(".rodata.knobs") = {};
struct http_knobs *export_http_knobs;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs___http {
	unsigned long di, si, cx, ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs___http {
	__u64 regs[31];
};
#endif

struct sock_common___http {
	__u16 skc_family;
	volatile __u8 skc_state;
	__be16 skc_dport;
	__u16 skc_num;
};
/* 5.6, commit bf9765145b85: before, sk_protocol was a bit field of an int. All that is supported has it as a number of its own. */
struct sock___http {
	struct sock_common___http __sk_common;
	__u16 sk_protocol;
	__u16 sk_type;
	__u8 sk_shutdown;
	struct socket___http *sk_socket;
};
struct unix_sock___http {
	struct sock___http *peer;
};
struct socket___http {
	struct sock___http *sk;
	struct file___io *file; /* NULL: the kernel's own */
};
struct tcp_sock___http {
	__u32 snd_una;
	__u64 bytes_acked;
	__u32 copied_seq; /* up to where bytes were read */
	__u32 write_seq;  /* up to where bytes were written */
};
/* include/linux/io_uring_types.h; its tracepoint has it since 6.0, commit 48863ffd3e81. */
struct io_cqe___http {
	int fd;
};
struct io_kiocb___http {
	__u8 opcode;
	struct io_cqe___http cqe;
};
#pragma clang attribute pop

/* include/uapi/linux/io_uring.h: READV, WRITEV, SENDMSG, RECVMSG, READ, WRITE, SEND, RECV, SEND_ZC, SENDMSG_ZC. */
#define HTTP_RING_MOVES                                                                                                \
	(1ULL << 1 | 1ULL << 2 | 1ULL << 9 | 1ULL << 10 | 1ULL << 22 | 1ULL << 23 | 1ULL << 26 | 1ULL << 27 |          \
	 1ULL << 47 | 1ULL << 48)

/* What would be the file's socket, if it is one of a socket. */
static __always_inline struct sock___http *sock_if_socket(struct file___io *file)
{
	struct socket___http *socket = BPF_CORE_READ(file, private_data);

	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

/* What a socket is to HTTP. */
enum http_transport {
	TRANSPORT_OTHER,
	TRANSPORT_TCP,	/* Multipath TCP too, by the socket that the process has */
	TRANSPORT_UNIX, /* a stream */
	TRANSPORT_UDP,
};

static __always_inline enum http_transport transport(__u16 family, __u16 type, __u16 protocol)
{
	if (family == HTTP_AF_UNIX)
		return type == HTTP_STREAM ? TRANSPORT_UNIX : TRANSPORT_OTHER;
	if (family != HTTP_AF_INET && family != HTTP_AF_INET6)
		return TRANSPORT_OTHER;
	if (protocol == HTTP_UDP)
		return TRANSPORT_UDP;
	return protocol == HTTP_TCP || protocol == HTTP_MPTCP ? TRANSPORT_TCP : TRANSPORT_OTHER;
}

/* By a tracepoint's own argument. */
static __always_inline enum http_transport transport_of(struct sock___http *sk)
{
	return transport(sk->__sk_common.skc_family, sk->sk_type, sk->sk_protocol);
}

/* Of the socket that is behind a file, if it is one. */
static __always_inline enum http_transport transport_of_file(struct file___io *file, struct sock___http *sk)
{
	struct inode___io *inode = BPF_CORE_READ(file, f_inode);

	if ((BPF_CORE_READ(inode, i_mode) & HTTP_S_IFMT) != HTTP_S_IFSOCK)
		return TRANSPORT_OTHER;
	return transport(BPF_CORE_READ(sk, __sk_common.skc_family), BPF_CORE_READ(sk, sk_type),
			 BPF_CORE_READ(sk, sk_protocol));
}

#endif
