/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The part of the kernel that a test of BPF programs plays: maps, memory that can or can't be read, the clock, the thread.
 */
#ifndef NATIVE_MACHINE_H
#define NATIVE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A map of a program, by its definition. */
struct native_map {
	void *map;
	const char *name;
	size_t key_size;
	size_t value_size;
	size_t max_entries;
	size_t type; /* enum bpf_map_type */
};

#define NATIVE_MAP_OF(map_, entries)                                                                                   \
	{                                                                                                              \
		.map = &(map_), .name = #map_, .key_size = sizeof(*(map_).key), .value_size = sizeof(*(map_).value),   \
		.max_entries = entries, .type = sizeof(*(map_).type) / sizeof(int)                                     \
	}
#define NATIVE_MAP(map_) NATIVE_MAP_OF(map_, sizeof(*(map_).max_entries) / sizeof(int))
/* One whose size user space sets. */
#define NATIVE_CELLS(map_) NATIVE_MAP_OF(map_, 4096)

/* The thread that programs run in, the registers of its system call, and the time. */
extern struct native_thread {
	uint64_t who; /* process << 32 | thread */
	void *task;
	void *regs;
	void *tcp; /* what a socket is as one of TCP; NULL: it is none */
	uint64_t now;
} native_thread;

/* Begins anew: no map has an entry, nothing can be read, time is at its start. The array ends with a map of NULL. */
void native_reset(const struct native_map *maps);
/* Calls `each` for every entry of a map. */
void native_each(void *map, void (*each)(const void *key, const void *value));
size_t native_count(void *map);

/*
 * Memory that programs may read by a helper: what is put here since the last native_forget(), to the byte. Reading one byte
 * more fails, as at the end of a mapping.
 */
void native_forget(void);
void *native_put(const void *bytes, size_t size);

/* What is called for each record that reaches a ring. */
extern void (*native_record)(const void *record, size_t size);

#endif
