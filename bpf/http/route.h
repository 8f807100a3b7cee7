/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The route of a path, as a number: paths that differ in numbers, UUIDs and hashes between their slashes have the same one.
 * src/routes.rs folds the text of a path alike.
 */
#ifndef EBREC_HTTP_ROUTE_H
#define EBREC_HTTP_ROUTE_H

#include "ebrec.h"

#include "conn.h"
#include "call.h"

/* Routes that are told apart in a recording: more than a web server has, unless it is scanned. The rest is "other". */
#define HTTP_ROUTES 1024
/* From this length on a part of hexadecimal digits is the name of a thing. */
#define ROUTE_LEAST_HEX 8

/* The first path that was seen of a route. */
struct route {
	__u32 bytes;
	__u8 path[HTTP_PATH];
};

struct route *export_route;

/* By number; stays for the whole recording. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HTTP_ROUTES);
	__type(key, __u32);
	__type(value, struct route);
} routes SEC(".maps");

/* What a byte of a part counts as: a digit, or what else a hexadecimal number or a UUID has. */
#define ROUTE_DIGIT  1
#define ROUTE_LETTER (1 << 16)
static const __u32 route_bytes[256] = {
	['0' ... '9'] = ROUTE_DIGIT,
	['a' ... 'f'] = ROUTE_LETTER,
	['A' ... 'F'] = ROUTE_LETTER,
	['-'] = ROUTE_LETTER,
};

/* A part of a path while it is gone through. In memory: one turn of the loop is to the verifier like any other then. */
struct route_walk {
	volatile __u64 whole; /* hash of the parts before */
	volatile __u64 part;  /* hash of this one */
	volatile __u32 length;
	volatile __u32 counts; /* of its bytes, as above */
};

struct route_scratch {
	struct route_walk walk;
	struct route route;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CALL_SLOTS);
	__type(key, __u32);
	__type(value, struct route_scratch);
} route_scratches SEC(".maps");

#define FNV_START 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

static __always_inline void begin_part(struct route_walk *walk)
{
	walk->part = FNV_START;
	walk->length = walk->counts = 0;
}

static __always_inline void end_part(struct route_walk *walk, bool cut)
{
	__u32 digits = walk->counts & 0xffff, letters = walk->counts >> 16;
	bool number = digits && digits + letters == walk->length && (!letters || walk->length >= ROUTE_LEAST_HEX);
	__u64 part = cut ? 1 : number ? 2 : walk->part;

	walk->whole = (walk->whole ^ part) * FNV_PRIME;
	begin_part(walk);
}

static __always_inline void take_byte(struct route_walk *walk, __u8 byte)
{
	walk->part = (walk->part ^ byte) * FNV_PRIME;
	walk->length++;
	walk->counts += route_bytes[byte];
}

/* Goes through the path in this slot's scratch; 0: there is no room for another route. */
__noinline int http_route(__u32 slot)
{
	struct route_scratch *scratch = bpf_map_lookup_elem(&route_scratches, &slot);
	struct route_walk *walk;
	struct route *route;
	bool cut = true;
	__u32 number;

	if (!scratch)
		return 0;
	walk = &scratch->walk;
	route = &scratch->route;
	walk->whole = FNV_START;
	begin_part(walk);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < HTTP_PATH; i++) {
		__u8 byte = i < route->bytes ? route->path[i] : ' ';

		if (byte <= ' ' || byte == '?' || byte == '#') {
			cut = false;
			break;
		}
		if (byte == '/')
			end_part(walk, false);
		else
			take_byte(walk, byte);
	}
	end_part(walk, cut);
	number = (walk->whole ^ walk->whole >> 32) ?: 1;
	if (!bpf_map_lookup_elem(&routes, &number) && update_or_count(&routes, &number, route, LOSS_NAME_NOT_KEPT))
		return 0;
	return number;
}

/* In a metric's `sub`. */
static __always_inline __u64 route_of(struct request_seen *request, __u32 slot)
{
	struct route_scratch *scratch;

	if (!knobs.routes)
		return 0;
	scratch = bpf_map_lookup_elem(&route_scratches, &slot);
	if (!scratch)
		return 0;
	scratch->route.bytes = request->path_bytes;
	bpf_probe_read_kernel(scratch->route.path, HTTP_PATH, request->path);
	return (__u64)(__u32)http_route(slot) << HTTP_SUB_ROUTE_SHIFT;
}

/* Whether anybody will ask for the paths of requests. */
static __always_inline bool keeps_paths(void)
{
	return config.stream != STREAM_NONE || knobs.routes;
}

#endif
