// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Memory: page faults by process, read out of the counts that the kernel keeps for each thread; stalls, which are the
 * time a thread spent freeing pages (reclaim begin to end) or moving them (compaction begin to end) before it got memory;
 * kswapd's work (wake to sleep); OOM kills with the victim's size. Times in nanoseconds, memory in pages.
 */
#include "ebrec.h"
#include "records.h"

/* Threads that reclaim or compact at one time. Made at the start: when memory is short is no time to ask for some. */
#define MAX_STALLS 8192

struct stall_record *export_stall_record;
struct oom_record *export_oom_record;
struct fault_reading *export_fault_reading;
enum memory_event export_memory_event;
enum memory_metric export_memory_metric;
enum stall export_stall;
enum fault_bits export_fault_bits;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_STALLS);
	__type(key, __u64); /* thread << 32 | enum stall */
	__type(value, __u64);
} stalls SEC(".maps");

/*
 * A hook on each page fault would cost more than many a fault. The kernel counts them for every thread anyway, for
 * getrusage(2): user space walks the threads at the start and at each interval's end, and threads that end in between
 * leave their totals here.
 */
SEC("iter/task")
int faults_walk(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct fault_reading reading = {};

	if (!task || task->exit_state || !in_totals(task))
		return 0;
	reading.start_time = task->start_time;
	reading.minor = task->min_flt;
	reading.major = task->maj_flt;
	reading.pid = task->tgid;
	reading.tid = task->pid;
	reading.exiting = (task->flags & PF_EXITING) != 0;
	if (bpf_seq_write(ctx->meta->seq, &reading, sizeof(reading)))
		return 1; /* the buffer is full: again, with an empty one */
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(memory_exit, struct task_struct *task)
{
	__u64 sub;

	if (!(task->min_flt | task->maj_flt) || !in_totals(task))
		return 0;
	sub = (__u64)task->pid << FAULT_BITS;
	if (task->start_time < totals_start())
		sub |= FAULT_OLD;
	if (task->min_flt)
		counter_add(MEMORY_FAULTS, task->tgid, sub, task->min_flt);
	if (task->maj_flt)
		counter_add(MEMORY_FAULTS, task->tgid, sub | FAULT_MAJOR, task->maj_flt);
	return 0;
}

static __always_inline void stall_begins(enum stall stall)
{
	__u64 key = bpf_get_current_pid_tgid() << 32 | stall, now;

	if (!current_in_scope())
		return;
	now = bpf_ktime_get_ns();
	/* kswapd says again that it is awake; a stall that was never ended is overwritten. */
	if (stall == STALL_KSWAPD && bpf_map_lookup_elem(&stalls, &key))
		return;
	update_or_count(&stalls, &key, &now, LOSS_STATE_FULL);
}

static __always_inline void stream_stall(enum stall stall, __u64 now, __u64 dur, __u64 pages)
{
	void *ring = ring_of_this_cpu();
	struct stall_record *record;
	__u64 id = bpf_get_current_pid_tgid();

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, MEMORY_STALLED, now, id >> 32, id);
	record->dur_ns = dur;
	record->pages = pages;
	record->stall = stall;
	record->pad = 0;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	ring_submit(ring, record);
}

/* An end without a begin belongs to a stall that began before the window, or is of no process in scope. */
static __always_inline void stall_ends(enum stall stall, __u16 metric, __u64 pages)
{
	__u64 id = bpf_get_current_pid_tgid(), key = id << 32 | stall;
	__u64 *since = bpf_map_lookup_elem(&stalls, &key), now, dur;
	__u32 pid = id >> 32;

	if (!since)
		return;
	now = bpf_ktime_get_ns();
	dur = now - *since;
	bpf_map_delete_elem(&stalls, &key);
	if (!window_start())
		return;
	hist_add(metric, pid, stall, dur);
	if (metric == MEMORY_RECLAIM_STALL)
		counter_add(MEMORY_RECLAIMED, pid, stall, pages);
	if (stall != STALL_KSWAPD &&
	    (config.stream == STREAM_ALL || (config.stream == STREAM_SLOW && dur >= config.slow_ns)))
		stream_stall(stall, now, dur, pages);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int reclaim_begin(void *ctx)
{
	stall_begins(STALL_RECLAIM);
	return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(reclaim_end, unsigned long nr_reclaimed)
{
	stall_ends(STALL_RECLAIM, MEMORY_RECLAIM_STALL, nr_reclaimed);
	return 0;
}

/* CONFIG_MEMCG */
SEC("?tp_btf/mm_vmscan_memcg_reclaim_begin")
int cgroup_reclaim_begin(void *ctx)
{
	stall_begins(STALL_RECLAIM_CGROUP);
	return 0;
}

SEC("?tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(cgroup_reclaim_end, unsigned long nr_reclaimed)
{
	stall_ends(STALL_RECLAIM_CGROUP, MEMORY_RECLAIM_STALL, nr_reclaimed);
	return 0;
}

/* CONFIG_COMPACTION. kcompactd and khugepaged compact so that others need not: nobody waits for them. */
SEC("?tp_btf/mm_compaction_begin")
int compaction_begin(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!(BPF_CORE_READ(task, flags) & PF_KTHREAD))
		stall_begins(STALL_COMPACTION);
	return 0;
}

SEC("?tp_btf/mm_compaction_end")
int compaction_end(void *ctx)
{
	stall_ends(STALL_COMPACTION, MEMORY_COMPACTION_STALL, 0);
	return 0;
}

SEC("tp_btf/mm_vmscan_kswapd_wake")
int kswapd_wake(void *ctx)
{
	stall_begins(STALL_KSWAPD);
	return 0;
}

SEC("tp_btf/mm_vmscan_kswapd_sleep")
int kswapd_sleep(void *ctx)
{
	stall_ends(STALL_KSWAPD, MEMORY_KSWAPD, 0);
	return 0;
}

static __always_inline void fill_victim(struct oom_record *record, struct task_struct *victim)
{
	struct mm_struct *mm = BPF_CORE_READ(victim, mm);

	record->cgroup_id = BPF_CORE_READ(victim, cgroups, dfl_cgrp, kn, id);
	record->total_vm = BPF_CORE_READ(mm, total_vm);
	record->anon = mm_pages(mm, MM_ANONPAGES);
	record->file = mm_pages(mm, MM_FILEPAGES);
	record->shmem = mm_pages(mm, MM_SHMEMPAGES);
	record->swap = mm_pages(mm, MM_SWAPENTS);
	record->pgtables = BPF_CORE_READ(mm, pgtables_bytes.counter);
	record->uid = BPF_CORE_READ(victim, cred, uid.val);
	record->oom_score_adj = BPF_CORE_READ(victim, signal, oom_score_adj);
	record->sized = mm != NULL;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), victim->comm);
}

static __always_inline void oom_kill(struct task_struct *victim, __u32 pid, __u32 tid)
{
	__u64 asker = bpf_get_current_pid_tgid();
	struct oom_record *record;
	void *ring;

	counter_add(MEMORY_OOM_KILLS, pid, 0, 1);
	if (config.stream == STREAM_NONE)
		return;
	ring = ring_of_this_cpu();
	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	__builtin_memset(record, 0, sizeof(*record));
	fill_header(&record->header, MEMORY_OOM, bpf_ktime_get_ns(), pid, tid);
	if (victim)
		fill_victim(record, victim);
	record->asker_pid = asker >> 32;
	record->asker_tid = asker;
	bpf_get_current_comm(record->asker_comm, sizeof(record->asker_comm));
	ring_submit(ring, record);
}

SEC("tp_btf/mark_victim")
int mark_victim(__u64 *ctx)
{
	if (mark_victim_has_task()) {
		struct task_struct *victim = (void *)ctx[0];

		if (in_scope(victim))
			oom_kill(victim, victim->tgid, victim->pid);
	} else if (process_in_scope(ctx[0])) {
		oom_kill(NULL, ctx[0], ctx[0]);
	}
	return 0;
}
