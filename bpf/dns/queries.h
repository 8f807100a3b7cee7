/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Queries that wait for their answer, the names that are asked for, and what reaches user space of them.
 */
#ifndef EBREC_DNS_QUERIES_H
#define EBREC_DNS_QUERIES_H

#include "ebrec.h"

#include "sock.h"

/* Queries that wait for their answer at one time. */
#define MAX_QUERIES 4096
/* Names that are told apart in one interval. */
#define MAX_NAMES 1024
#define DNS_PORT  53
/* RFC 1035: 255 bytes of name, with the lengths of its labels; then type and class. */
#define NAME_SIZE     255
#define QUESTION_SIZE 260
#define HEADER_SIZE   12

enum dns_event {
	DNS_ANSWERED,
	DNS_UNANSWERED, /* the same was asked again */
	DNS_TCP,	/* connect */
};

enum dns_metric {
	DNS_LATENCY,	/* by process and name; ns */
	DNS_FAILURES,	/* counter by process, name and code */
	DNS_NO_ANSWERS, /* counter by process and name; most are added by user space */
	DNS_BY_TCP,	/* counter by process */
	DNS_UNREAD,	/* counter by process; directions of connections by TCP */
};

struct query_key {
	struct address local;
	struct address remote;
	__u32 network; /* the namespace's number */
	__u16 port;
	__u16 id;
	__u64 tcp; /* 0: by UDP */
};

/* What is asked for, as it is on the wire. */
struct dns_name {
	__u8 question[QUESTION_SIZE];
	__u32 length; /* of it, with type and class */
};

struct query {
	__u64 sent;
	__u64 number; /* of the name */
	__u32 pid;
	__u32 tid;
	__u8 comm[TASK_COMM_LEN];
	struct dns_name name;
};
_Static_assert(sizeof(struct query) == 304, "no holes");

struct dns_record {
	struct event_header header;
	__u64 dur_ns;
	struct query_key key;
	struct query query;
	__u32 flags; /* of the answer, the code in the low four bits */
	__u32 pad;
};
_Static_assert(sizeof(struct dns_record) == 392, "no holes");

struct dns_record *export_dns_record;
struct query *export_query;
struct query_key *export_query_key;
struct dns_name *export_dns_name;
enum dns_event export_dns_event;
enum dns_metric export_dns_metric;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_QUERIES);
	__type(key, struct query_key);
	__type(value, struct query);
} queries SEC(".maps");

/* By number; emptied by user space once per interval. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAMES);
	__type(key, __u64);
	__type(value, struct dns_name);
} names SEC(".maps");

/* Too large for the stack. One for each program: a connect may be interrupted by what is sent. */
enum scratch_place {
	SCRATCH_OF_SEND,
	SCRATCH_OF_CONNECT,
	SCRATCH_OF_CALL,
	SCRATCHES,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCHES);
	__type(key, __u32);
	__type(value, struct query);
} scratch_query SEC(".maps");

/* The low bits of a metric's sub are the answer's code. */
#define CODE_BITS 4

#endif
