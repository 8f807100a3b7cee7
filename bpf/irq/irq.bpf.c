// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Interrupts: the time in each hard interrupt's handler (entry to exit) and in each soft interrupt
 * (entry to exit), and the time from a soft interrupt's raising to its entry, in nanoseconds. Times
 * include what interrupts them in turn.
 */
#include "ebrec.h"

#include "pointer.h"

/* include/linux/interrupt.h: ten since 2.6.34; room for a few more. */
#define MAX_SOFTIRQS 16
/* Handlers of the devices of a large machine. */
#define MAX_ACTIONS   4096
#define IRQ_NAME_SIZE 32

enum irq_event {
	IRQ_HARD,
	IRQ_SOFT,
};

enum irq_metric {
	IRQ_HARD_TIME,	/* by handler; ns */
	IRQ_SOFT_TIME,	/* by vector; ns */
	IRQ_SOFT_DELAY, /* by vector; ns */
};

struct irq_record {
	struct event_header header; /* the thread that was interrupted; ts is the end */
	__u64 dur_ns;
	__u64 delay_ns; /* of a soft interrupt, from its raising */
	__u32 number;	/* the interrupt's, or the vector */
	__s32 ret;	/* the handler's: 0 not its own, 1 handled, 2 its thread goes on */
	__u32 delayed;	/* 0: its raising was not seen */
	__u32 pad;
	__u8 comm[TASK_COMM_LEN];
	__u8 name[IRQ_NAME_SIZE]; /* of a hard interrupt's handler */
};
_Static_assert(sizeof(struct irq_record) == 104, "no holes");

/* A handler, by the address of its struct irqaction, which stays in memory. */
struct irq_handler {
	__u32 number;
	__u8 name[IRQ_NAME_SIZE];
};

struct irq_record *export_irq_record;
struct irq_handler *export_irq_handler;
enum irq_event export_irq_event;
enum irq_metric export_irq_metric;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ACTIONS);
	__type(key, __u64);
	__type(value, struct irq_handler);
} handlers SEC(".maps");

struct on_cpu {
	__u64 hard_since; /* handlers run with interrupts off: one at a time */
	struct soft {
		__u64 raised;
		__u64 delay;
		__u64 since;
	} soft[MAX_SOFTIRQS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct on_cpu);
} here SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct irqaction {
	const char *name;
};
#pragma clang attribute pop

static __always_inline struct on_cpu *this_cpu(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&here, &zero);
}

/* The verifier wants to see the bound on the very register that is added; there are ten vectors. */
static __always_inline struct soft *vector_of(struct on_cpu *cpu, __u64 vector)
{
	asm volatile("%0 &= %1" : "+r"(vector) : "i"(MAX_SOFTIRQS - 1));
	return &cpu->soft[vector];
}

/*
 * An interrupt is not the work of the process that it interrupts, so without a filter it counts
 * whatever runs, ebrec included; with one, those count that took time from a process in scope.
 */
static __always_inline bool interrupt_in_scope(void)
{
	if (!config.task_filters && !config.uid_count && !config.cgroup_count)
		return window_start() != 0;
	return current_in_scope();
}

static __always_inline bool is_streamed(__u64 ns)
{
	return (config.stream == STREAM_ALL && row_is_drawn()) ||
	       (config.stream == STREAM_SLOW && ns >= config.slow_ns);
}

static __always_inline struct irq_record *new_record(void *ring, __u8 event, __u64 now, __u64 dur)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct irq_record *record = ring_reserve(ring, sizeof(*record));

	if (!record)
		return NULL;
	__builtin_memset(record, 0, sizeof(*record));
	fill_header(&record->header, event, now, id >> 32, id);
	record->dur_ns = dur;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	return record;
}

SEC("tp_btf/irq_handler_entry")
int irq_entry(void *ctx)
{
	struct on_cpu *cpu = this_cpu();

	if (cpu)
		cpu->hard_since = interrupt_in_scope() ? bpf_ktime_get_ns() : 0;
	return 0;
}

static __always_inline struct irq_handler *handler_of(int irq, struct irqaction *action)
{
	__u64 key = (__u64)action;
	struct irq_handler *known = bpf_map_lookup_elem(&handlers, &key), fresh = {};

	/* The number tells most times when the memory of a handler that went serves another. */
	if (known && known->number == irq)
		return known;
	fresh.number = irq;
	bpf_probe_read_kernel_str(fresh.name, sizeof(fresh.name), action->name);
	if (update_or_count(&handlers, &key, &fresh, LOSS_STATE_FULL))
		return NULL;
	return bpf_map_lookup_elem(&handlers, &key);
}

SEC("tp_btf/irq_handler_exit")
int BPF_PROG(irq_exit, int irq, struct irqaction *action, int ret)
{
	struct on_cpu *cpu = this_cpu();
	struct irq_handler *handler;
	struct irq_record *record;
	__u64 now, dur;
	void *ring;

	if (!cpu || !cpu->hard_since)
		return 0;
	now = bpf_ktime_get_ns();
	dur = now - cpu->hard_since;
	cpu->hard_since = 0;
	if (!window_start())
		return 0;
	handler = handler_of(irq, action);
	hist_add(IRQ_HARD_TIME, 0, number_of(action), dur);
	if (!is_streamed(dur))
		return 0;
	ring = ring_of_this_cpu();
	if (!ring)
		return 0;
	record = new_record(ring, IRQ_HARD, now, dur);
	if (!record)
		return 0;
	record->number = irq;
	record->ret = ret;
	if (handler)
		__builtin_memcpy(record->name, handler->name, sizeof(record->name));
	ring_submit(ring, record);
	return 0;
}

SEC("tp_btf/softirq_raise")
int BPF_PROG(softirq_raise, unsigned int vector)
{
	struct on_cpu *cpu = this_cpu();
	struct soft *soft;

	if (!cpu || !window_start())
		return 0;
	soft = vector_of(cpu, vector);
	/* Raised again before it ran: it waits since the first time. Always on the CPU that will run it. */
	if (!soft->raised)
		soft->raised = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_entry, unsigned int vector)
{
	struct on_cpu *cpu = this_cpu();
	struct soft *soft;
	__u64 raised;

	if (!cpu)
		return 0;
	soft = vector_of(cpu, vector);
	raised = soft->raised;
	soft->raised = 0;
	soft->delay = 0;
	soft->since = 0;
	if (!interrupt_in_scope())
		return 0;
	soft->since = bpf_ktime_get_ns();
	if (raised) {
		soft->delay = soft->since - raised;
		hist_add(IRQ_SOFT_DELAY, 0, vector, soft->delay);
	}
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(softirq_exit, unsigned int vector)
{
	struct on_cpu *cpu = this_cpu();
	struct irq_record *record;
	struct soft *soft;
	__u64 now, dur;
	void *ring;

	if (!cpu)
		return 0;
	soft = vector_of(cpu, vector);
	if (!soft->since)
		return 0;
	now = bpf_ktime_get_ns();
	dur = now - soft->since;
	soft->since = 0;
	if (!window_start())
		return 0;
	hist_add(IRQ_SOFT_TIME, 0, vector, dur);
	if (!is_streamed(dur > soft->delay ? dur : soft->delay))
		return 0;
	ring = ring_of_this_cpu();
	if (!ring)
		return 0;
	record = new_record(ring, IRQ_SOFT, now, dur);
	if (!record)
		return 0;
	record->number = vector;
	record->delay_ns = soft->delay;
	record->delayed = soft->delay != 0;
	ring_submit(ring, record);
	return 0;
}
