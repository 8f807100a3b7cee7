/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of a connection that speaks HTTP: where in a message each of its directions is, which requests wait for
 * their answer, and the answer under way.
 */
#ifndef EBREC_HTTP_CONN_H
#define EBREC_HTTP_CONN_H

#include "ebrec.h"

#include "sock.h"
#include "calls.h"

/* More than a busy proxy has open; an entry takes 2.2 KiB while its connection lives. */
#define HTTP_CONNECTIONS 16384
/* Requests of one connection that wait for their answers: browsers that pipelined sent six. */
#define HTTP_WAITING 16
/* Bytes of a target that are kept. */
#define HTTP_PATH 80
/* The first bytes of a line, kept until the rest arrives: what is read of a header, and a request line up to HTTP_PATH bytes of target. */
#define HTTP_CARRY 128
/* Calls without a message's start after which a connection that was there before the window is not HTTP. */
#define HTTP_TRIES 4
/* Times that parsing a connection starts over, without an answer in between, after bytes that were not seen. */
#define HTTP_RESTARTS 8

enum http_event {
	HTTP_ANSWERED,
	HTTP_UNANSWERED,
};

enum http_metric {
	HTTP_LATENCY,	       /* by process, method, status, side and TLS; ns */
	HTTP_UNANSWERED_COUNT, /* by process, method, side and TLS */
	HTTP_UNPARSED,	       /* by process and reason */
};

enum http_reason {
	UNPARSED_HTTP2,	      /* a connection that began with the preface of HTTP/2 */
	UNPARSED_UPGRADED,    /* a connection that left HTTP: 101, or CONNECT */
	UNPARSED_NO_REQUEST,  /* an answer whose request was not seen */
	UNPARSED_PIPELINE,    /* a request behind HTTP_WAITING others */
	UNPARSED_OUT_OF_STEP, /* a connection of which the end of a message could not be found */
	UNPARSED_MANY_PARTS,  /* a connection with a call of more parts than are looked at */
	UNPARSED_TLS,	      /* a connection with TLS, by a process that does not use libssl */
	UNPARSED_RING,	      /* a connection that bytes go through by io_uring */
	UNPARSED_QUIC,	      /* a connection of QUIC, which HTTP/3 goes through */
	UNPARSED_COMPAT,      /* a connection that 32-bit code reads or writes, whose calls are others */
	UNPARSED_UNSEEN,      /* requests under way, or a connection, when bytes moved by no call that was looked at */
	UNPARSED_REASONS,
};

/* The methods of RFC 9110 and RFC 5789; any other token (PROPFIND, QUERY, PURGE) has a number of its own from METHOD_NAMED on. */
enum http_method {
	METHOD_UNKNOWN,
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_CONNECT,
	METHOD_OPTIONS,
	METHOD_TRACE,
	METHOD_PATCH,
	METHOD_OTHER, /* one for whose name there was no room */
	METHOD_NAMED = 16,
	METHODS = 256,
};

/* A metric's `sub`. */
enum http_sub {
	HTTP_SUB_METHOD = 0xff,
	HTTP_SUB_CLIENT = 1 << 8,
	HTTP_SUB_TLS = 1 << 9,
	HTTP_SUB_STATUS_SHIFT = 16,
	HTTP_SUB_ROUTE_SHIFT = 32, /* 0: not asked for, or one too many */
};

/* What another method is called; zeroes behind it. No method that is registered is longer (RFC 9110, 16.1.1). */
#define HTTP_METHOD_BYTES 16

struct method_name {
	__u8 text[HTTP_METHOD_BYTES];
};

struct method_name *export_method_name;

/* By number, once it was seen; stays for the whole recording. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, METHODS - METHOD_NAMED);
	__type(key, __u32);
	__type(value, struct method_name);
} methods SEC(".maps");

struct http_record {
	struct event_header header; /* ts: the end of the answer; pad: the `sub` */
	__u64 took_ns;
	__u64 bytes; /* of the answer, with its header */
	__u16 peer_port;
	__u16 port; /* the server's */
	__u8 path_bytes;
	__u8 family; /* AF_* of the socket; 0: not known */
	__u8 pad[2];
	__u8 comm[TASK_COMM_LEN]; /* of the thread, when the request's first line moved */
	__u8 path[HTTP_PATH];	  /* from METHOD_NAMED on its last bytes are the method's name */
};
_Static_assert(sizeof(struct http_record) == 144, "no holes");

struct http_record *export_http_record;
enum http_event export_http_event;
enum http_metric export_http_metric;
enum http_reason export_http_reason;
enum http_method export_http_method;
enum http_sub export_http_sub;

enum http_role {
	ROLE_UNKNOWN,
	ROLE_SERVER,
	ROLE_CLIENT,
	ROLE_OTHER, /* not HTTP/1, or no longer to be followed */
	ROLE_TLS,   /* HTTP, if it is, is seen in libssl */
};

/* What comes next in a direction. */
enum http_part {
	PART_START,   /* a request line or a status line */
	PART_HEADER,  /* a line of the header */
	PART_BODY,    /* `left` bytes */
	PART_CHUNK,   /* a line with a chunk's size */
	PART_TRAILER, /* a line after the last chunk */
	PART_REST,    /* everything until the connection's end */
};

struct direction {
	__u64 left;  /* of the body or the chunk; in a header, its Content-Length */
	__u64 since; /* when the first byte of the message moved */
	__u64 bytes; /* of the message so far */
	__u8 part;
	__u8 chunked;
	__u8 has_length;
	__u8 carried; /* bytes in `carry` */
	__u8 in_line; /* the rest of a line that says nothing of interest is to come */
	__u8 pad;
	__u16 status; /* of an answer */
	__u8 carry[HTTP_CARRY];
};

struct request_seen {
	__u64 start;
	__u32 tid;
	__u8 method;
	__u8 path_bytes;
	__u8 pad[2];
	__u8 comm[TASK_COMM_LEN]; /* as in the record, as the next */
	__u8 path[HTTP_PATH];
};

struct conn_key {
	__u64 address; /* of the kernel's struct sock, or of libssl's SSL */
	__u32 tgid;    /* of the SSL; 0: a socket */
	__u32 pad;
};

struct conn {
	struct direction direction[2]; /* what comes in, what goes out */
	__u64 early_at;		       /* when the last answer came that was ahead of its request */
	__u64 last;		       /* when the answer under way last moved */
	__u64 inode;		       /* of a Unix socket: the kernel does not show when it closes; 0: it is none */
	__u32 pid;
	__u32 head; /* the request that is next to be answered */
	__u32 tail; /* where the next request goes */
	__u32 over; /* requests that found the queue full */
	__u32 early;
	__u16 status; /* of the answer under way; 0: none */
	__u16 peer_port;
	__u16 port;
	__u8 role;
	__u8 tries;
	__u8 begun; /* a request was seen */
	__u8 tls;
	__u8 known;    /* 1, 2: what is in `upto` */
	__u8 restarts; /* since the last answer */
	__u8 family;   /* AF_* of the socket; 0: not known */
	__u32 upto[2]; /* the socket's copied_seq and write_seq after the last call that read and wrote */
	struct request_seen waiting[HTTP_WAITING];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HTTP_CONNECTIONS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct conn_key);
	__type(value, struct conn);
} conns SEC(".maps");

static const struct conn no_conn = {};
struct conn *export_conn;

#endif
