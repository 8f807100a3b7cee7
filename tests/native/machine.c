// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The helpers that the programs in bpf/ call, for a test's process. Everything they hand out is allocated by itself and to
 * the byte, so that a sanitizer sees an access beside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

typedef uint64_t __u64;
typedef uint32_t __u32;

#include "include/bpf/bpf_helpers.h"

#define MOST_MAPS    24
#define MOST_MEMORY  (1 << 20)
#define MAP_ARRAY    2
#define MAP_PERCPU   6
#define MAP_LRU_HASH 9

struct entry {
	struct entry *next;
	void *key;
	void *value;
};

struct native_thread native_thread;
void (*native_record)(const void *record, size_t size);

static const struct native_map *maps;
static struct entry *entries[MOST_MAPS];
static size_t counts[MOST_MAPS];
static unsigned char memory[MOST_MEMORY];
static size_t used;
static size_t record_size;

static void die(const char *why, const char *what)
{
	fprintf(stderr, "%s '%s'\n", why, what);
	abort();
}

static size_t place_of(void *map)
{
	for (size_t i = 0; maps && maps[i].map; i++)
		if (maps[i].map == map)
			return i;
	die("a map that the test does not list", "");
	return 0;
}

static struct entry *find(size_t place, const void *key)
{
	for (struct entry *entry = entries[place]; entry; entry = entry->next)
		if (!memcmp(entry->key, key, maps[place].key_size))
			return entry;
	return NULL;
}

static struct entry *add(size_t place, const void *key)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	entry->key = malloc(maps[place].key_size);
	memcpy(entry->key, key, maps[place].key_size);
	entry->value = calloc(1, maps[place].value_size);
	entry->next = entries[place];
	entries[place] = entry;
	counts[place]++;
	return entry;
}

static void drop(size_t place, struct entry *entry)
{
	struct entry **link = &entries[place];

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	free(entry->key);
	free(entry->value);
	free(entry);
	counts[place]--;
}

static bool is_array(size_t place)
{
	return maps[place].type == MAP_ARRAY || maps[place].type == MAP_PERCPU;
}

void native_reset(const struct native_map *of)
{
	for (size_t i = 0; maps && maps[i].map; i++)
		while (entries[i])
			drop(i, entries[i]);
	maps = of;
	for (size_t i = 0; maps && maps[i].map; i++)
		if (i >= MOST_MAPS)
			die("more maps than there is room for", maps[i].name);
	native_thread.now = 1000000;
	native_forget();
}

void native_each(void *map, void (*each)(const void *key, const void *value))
{
	for (struct entry *entry = entries[place_of(map)]; entry; entry = entry->next)
		each(entry->key, entry->value);
}

size_t native_count(void *map)
{
	return counts[place_of(map)];
}

void native_forget(void)
{
	used = 0;
}

void *native_put(const void *bytes, size_t size)
{
	void *at = memory + used;

	if (size > sizeof(memory) - used)
		die("no room in the memory of", "the process");
	if (size)
		memcpy(at, bytes, size);
	used += size;
	return at;
}

/* Whether the memory is the program's own, or was put there. */
static bool is_readable(const void *from, size_t size)
{
	uintptr_t at = (uintptr_t)from, begin = (uintptr_t)memory;

	if (at < 4096)
		return false;
	if (at + size <= begin || at >= begin + sizeof(memory))
		return true;
	return at >= begin && at - begin + size <= used;
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
	size_t place = place_of(map);
	struct entry *entry;

	if (is_array(place) && *(const uint32_t *)key >= maps[place].max_entries)
		return NULL;
	entry = find(place, key);
	if (!entry && is_array(place))
		entry = add(place, key);
	return entry ? entry->value : NULL;
}

long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
	size_t place = place_of(map);
	struct entry *entry = find(place, key);

	if (entry && flags == 1)
		return -17;
	if (!entry) {
		if (counts[place] >= maps[place].max_entries && maps[place].type == MAP_LRU_HASH)
			drop(place, entries[place]);
		if (counts[place] >= maps[place].max_entries)
			return -7;
		entry = add(place, key);
	}
	memcpy(entry->value, value, maps[place].value_size);
	return 0;
}

long bpf_map_delete_elem(void *map, const void *key)
{
	size_t place = place_of(map);
	struct entry *entry = find(place, key);

	if (!entry)
		return -2;
	drop(place, entry);
	return 0;
}

/* There is one task. */
void *bpf_task_storage_get(void *map, void *task, void *value, __u64 flags)
{
	size_t place = place_of(map);
	char key[8] = {};
	struct entry *entry = find(place, key);

	if (!entry && flags)
		entry = add(place, key);
	return entry ? entry->value : NULL;
}

static long read_memory(void *to, __u32 size, const void *from)
{
	if (!is_readable(from, size)) {
		memset(to, 0, size);
		return -14;
	}
	memcpy(to, from, size);
	return 0;
}

long bpf_probe_read_user(void *to, __u32 size, const void *from)
{
	uintptr_t at = (uintptr_t)from, begin = (uintptr_t)memory;

	/* The memory of the process is what was put there, and nothing else. */
	if (at < begin || at >= begin + sizeof(memory)) {
		memset(to, 0, size);
		return -14;
	}
	return read_memory(to, size, from);
}

long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	return read_memory(to, size, from);
}

void *bpf_ringbuf_reserve(void *ring, __u64 size, __u64 flags)
{
	record_size = size;
	return malloc(size);
}

void bpf_ringbuf_submit(void *record, __u64 flags)
{
	native_record(record, record_size);
	free(record);
}

void bpf_ringbuf_discard(void *record, __u64 flags)
{
	free(record);
}

long bpf_ringbuf_output(void *ring, void *record, __u64 size, __u64 flags)
{
	native_record(record, size);
	return 0;
}

__u64 bpf_ringbuf_query(void *ring, __u64 what)
{
	return 0;
}

__u64 bpf_ktime_get_ns(void)
{
	return native_thread.now += 1000;
}

/* Nothing is thinned here, so nothing draws. */
__u32 bpf_get_prandom_u32(void)
{
	return 0;
}

__u64 bpf_get_current_pid_tgid(void)
{
	return native_thread.who;
}

__u64 bpf_get_current_uid_gid(void)
{
	return 0;
}

__u64 bpf_get_current_ancestor_cgroup_id(int level)
{
	return 1;
}

__u64 bpf_get_current_task(void)
{
	return (uintptr_t)native_thread.task;
}

void *bpf_get_current_task_btf(void)
{
	return native_thread.task;
}

long bpf_get_current_comm(void *to, __u32 size)
{
	memset(to, 0, size);
	memcpy(to, "test", 4);
	return 0;
}

__u32 bpf_get_smp_processor_id(void)
{
	return 0;
}

__u64 bpf_get_attach_cookie(void *ctx)
{
	return 0;
}

long bpf_task_pt_regs(void *task)
{
	return (long)native_thread.regs;
}

void *bpf_skc_to_tcp_sock(void *sk)
{
	return native_thread.tcp;
}
