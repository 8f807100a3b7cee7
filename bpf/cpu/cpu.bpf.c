// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the CPUs run: samples at a fixed rate on each CPU, counted by thread and stack. The time between two samples of
 * a CPU stands for each; samples of an idle CPU are counted, not kept.
 */
#include "ebrec.h"
#include "stack.h"

/* Distinct threads and stacks in one interval: 99 samples a second on 100 CPUs, none alike, fit. */
#define MAX_SAMPLES 10240

enum cpu_event {
	CPU_SAMPLE,
};

enum cpu_metric {
	CPU_SAMPLES, /* counter by process */
	CPU_IDLE,    /* counter by CPU */
};

struct sample_key {
	__u64 kstack;
	__u64 ustack;
	__u32 pid;
	__u32 tid;
};
struct sample_key *export_sample_key;

struct sampled {
	__u64 count;
	__u8 comm[TASK_COMM_LEN]; /* of the thread, when it was first sampled in the interval */
};
struct sampled *export_sampled;

struct sample_record {
	struct event_header header;
	__u64 kstack;
	__u64 ustack;
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct sample_record) == 56, "no holes");

struct sample_record *export_sample_record;
enum cpu_event export_cpu_event;
enum cpu_metric export_cpu_metric;

struct samples {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SAMPLES);
	__type(key, struct sample_key);
	__type(value, struct sampled);
};

struct samples samples_even SEC(".maps");
struct samples samples_odd SEC(".maps");

/* On the stack it would make the verifier of 5.10 walk through the program for minutes. */
static const struct sampled no_sample = {};

static __always_inline void count_sample(void *map, struct sample_key *key)
{
	struct sampled *sampled = bpf_map_lookup_elem(map, key);

	if (!sampled) {
		/* -EEXIST: the thread's sample on another CPU was faster. */
		bpf_map_update_elem(map, key, &no_sample, BPF_NOEXIST);
		sampled = bpf_map_lookup_elem(map, key);
		if (!sampled) {
			count_loss(LOSS_STATE_FULL);
			return;
		}
		bpf_get_current_comm(sampled->comm, sizeof(sampled->comm));
	}
	__sync_fetch_and_add(&sampled->count, 1);
}

static __always_inline void stream_sample(struct sample_key *key)
{
	void *ring = ring_of_this_cpu();
	struct sample_record *record;

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, CPU_SAMPLE, bpf_ktime_get_ns(), key->pid, key->tid);
	record->kstack = key->kstack;
	record->ustack = key->ustack;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	ring_submit(ring, record);
}

SEC("perf_event")
int cpu_sample(void *ctx)
{
	__u64 current = bpf_get_current_pid_tgid();
	struct sample_key key = {};

	if (!current) {
		if (window_start())
			counter_add(CPU_IDLE, 0, bpf_get_smp_processor_id(), 1);
		return 0;
	}
	if (!current_in_scope())
		return 0;
	key.pid = current >> 32;
	key.tid = current;
	counter_add(CPU_SAMPLES, key.pid, 0, 1);
	key.kstack = kernel_stack(ctx);
	key.ustack = user_stack(ctx);
	if (config.stream == STREAM_ALL) {
		stream_sample(&key);
		return 0;
	}
	key.pid = holder_of(key.pid);
	if (is_odd())
		count_sample(&samples_odd, &key);
	else
		count_sample(&samples_even, &key);
	return 0;
}
