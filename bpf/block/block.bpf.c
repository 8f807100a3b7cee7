// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Block I/O: the time a request waited for its device (insert to issue) and the time the device took (issue to
 * completion; of a bio for a disk without requests, submission to completion), in nanoseconds; sizes in bytes; requests in flight at each issue; sequential or random.
 */
#include "ebrec.h"
#include "unfinished.h"
#include "requests.h"
#include "accounts.h"
#include "bios.h"

#define REQ_OP_MASK 0xff

enum block_event {
	BLOCK_DONE,
};

enum block_metric {
	BLOCK_QUEUE_TIME,  /* by disk, operation and process; ns */
	BLOCK_DEVICE_TIME, /* likewise */
	BLOCK_SIZE,	   /* likewise; bytes */
	BLOCK_DEPTH,	   /* by disk; requests */
	BLOCK_ACCESS,	   /* counter by disk, operation and whether sequential; bytes */
	BLOCK_UNSHOWN,	   /* counter by disk and operation; requests */
};

/* Our own names for the request's flags, whose numbers change between kernels. */
enum block_flag {
	BLOCK_SYNC = 0x1,
	BLOCK_META = 0x2,
	BLOCK_FUA = 0x4,
	BLOCK_PREFLUSH = 0x8,
	BLOCK_READAHEAD = 0x10,
};

struct block_record {
	struct event_header header; /* the submitter; ts is the completion */
	__u64 queue_ns;
	__u64 device_ns;
	__u64 sector; /* of 512 bytes */
	__u32 bytes;
	__u32 dev;   /* the kernel's dev_t: major << 20 | minor */
	__s32 error; /* as the tracepoint gives it: 0, -errno, or a positive blk_status_t */
	__u16 flags; /* enum block_flag */
	__u8 op;     /* enum req_op */
	__u8 queued; /* 0: issued at once, queue_ns means nothing */
	__u8 comm[TASK_COMM_LEN];
};
_Static_assert(sizeof(struct block_record) == 80, "no holes");

struct block_record *export_block_record;
enum block_event export_block_event;
enum block_metric export_block_metric;
enum block_flag export_block_flag;

/* The tracepoint's request. The barrier keeps the compiler from choosing an address: the verifier knows `ctx` itself only. */
static __always_inline struct request *request_of(__u64 *ctx)
{
	struct request *rq;

	if (!compat.block_rq_has_queue)
		return (struct request *)ctx[0];
	rq = (struct request *)ctx[1];
	barrier_var(rq);
	return rq;
}

static __always_inline __u16 request_flags(__u32 bits)
{
	__u16 flags = 0;

	if (bits & 1u << bpf_core_enum_value(enum req_flag_bits, __REQ_SYNC))
		flags |= BLOCK_SYNC;
	if (bits & 1u << bpf_core_enum_value(enum req_flag_bits, __REQ_META))
		flags |= BLOCK_META;
	if (bits & 1u << bpf_core_enum_value(enum req_flag_bits, __REQ_FUA))
		flags |= BLOCK_FUA;
	if (bits & 1u << bpf_core_enum_value(enum req_flag_bits, __REQ_PREFLUSH))
		flags |= BLOCK_PREFLUSH;
	if (bits & 1u << bpf_core_enum_value(enum req_flag_bits, __REQ_RAHEAD))
		flags |= BLOCK_READAHEAD;
	return flags;
}

static __always_inline void stream(struct pending *pending, __u64 now, __u64 queue, __u64 device, __u32 dev,
				   __s32 error)
{
	void *ring = ring_of_this_cpu();
	struct block_record *record;

	if (!ring)
		return;
	record = ring_reserve(ring, sizeof(*record));
	if (!record)
		return;
	fill_header(&record->header, BLOCK_DONE, now, pending->pid, pending->tid);
	record->queue_ns = queue;
	record->device_ns = device;
	record->sector = pending->sector;
	record->bytes = pending->bytes;
	record->dev = dev;
	record->error = error;
	record->flags = request_flags(pending->flags);
	record->op = pending->flags & REQ_OP_MASK;
	record->queued = pending->inserted != 0;
	__builtin_memcpy(record->comm, pending->comm, sizeof(record->comm));
	ring_submit(ring, record);
}

/* Not inlined: three programs end requests. */
static __noinline void ended(struct pending *pending, __u32 dev, __u64 now, __s32 error)
{
	__u64 queue, device, sub;

	queue = pending->inserted ? pending->issued - pending->inserted : 0;
	device = now - pending->issued;
	sub = (__u64)dev << 8 | (pending->flags & REQ_OP_MASK);
	if (pending->inserted)
		hist_add(BLOCK_QUEUE_TIME, pending->pid, sub, queue);
	hist_add(BLOCK_DEVICE_TIME, pending->pid, sub, device);
	hist_add(BLOCK_SIZE, pending->pid, sub, pending->bytes);
	if ((config.stream == STREAM_ALL && row_is_drawn()) ||
	    (config.stream == STREAM_SLOW && (error || queue + device >= config.slow_ns)))
		stream(pending, now, queue, device, dev, error);
}

/* The address is another request's by now. One that was issued has completed, and the kernel did not show it. */
static __always_inline void forget(struct pending *pending, struct request *rq)
{
	__u32 dev = disk_number(rq), op = pending->flags & REQ_OP_MASK;
	__u64 key = (__u64)rq, end;
	struct disk *disk;

	if (pending->issued) {
		end = end_by_counters((__u64)request_disk(rq), dev, group_of(op), pending->allocated, pending->issued);
		if (!end) {
			count_loss(LOSS_END_UNSEEN);
		} else if (window_start()) {
			counter_add(BLOCK_UNSHOWN, 0, (__u64)dev << 16 | op << 8, 1);
			ended(pending, dev, end, 0);
		}
		disk = bpf_map_lookup_elem(&disks, &dev);
		if (disk)
			__sync_fetch_and_add(&disk->in_flight, -1);
	}
	bpf_map_delete_elem(&requests, &key);
}

static __always_inline void inserted(struct request *rq)
{
	__u64 key = (__u64)rq;
	struct pending *pending = bpf_map_lookup_elem(&requests, &key);

	/* A requeued request is inserted again; its time began before. */
	if (pending && pending->requeued)
		return;
	if (pending)
		forget(pending, rq);
	pending = submitted(key);
	if (pending)
		pending->inserted = bpf_ktime_get_ns();
}

/* The device gets it. Size and place are taken here: completion has consumed them. */
static __always_inline void sent(struct pending *pending, __u32 dev, __u64 sector, __u32 bytes, __u32 flags)
{
	struct disk *disk = bpf_map_lookup_elem(&disks, &dev);
	__u32 op = flags & REQ_OP_MASK;

	if (!disk) {
		struct disk fresh = {.next_sector = ~0ULL};

		bpf_map_update_elem(&disks, &dev, &fresh, BPF_NOEXIST);
		disk = bpf_map_lookup_elem(&disks, &dev);
	}
	if (!disk) {
		count_loss(LOSS_STATE_FULL);
	} else if (!pending->issued) { /* a requeued request is issued again */
		/* Not fetched by the same instruction: that came with 5.12. */
		__sync_fetch_and_add(&disk->in_flight, 1);
		if (window_start())
			hist_add(BLOCK_DEPTH, 0, dev, disk->in_flight);
		if (window_start() && bytes) {
			counter_add(BLOCK_ACCESS, 0, (__u64)dev << 16 | op << 8 | (sector == disk->next_sector), bytes);
			disk->next_sector = sector + (bytes >> 9);
		}
	}
	pending->bytes = bytes;
	pending->sector = sector;
	pending->flags = flags;
	pending->issued = bpf_ktime_get_ns();
}

static __always_inline void issued(struct request *rq)
{
	__u64 key = (__u64)rq;
	struct pending *pending = bpf_map_lookup_elem(&requests, &key);

	if (pending && pending->issued && !pending->requeued) {
		forget(pending, rq);
		pending = NULL;
	}
	if (!pending)
		pending = submitted(key);
	if (!pending)
		return;
	pending->requeued = 0;
	if (is_counted(rq)) {
		pending->allocated = allocated(rq);
		learn_cpu(rq);
	}
	sent(pending, disk_number(rq), rq->__sector, rq->__data_len, rq->cmd_flags);
}

SEC("tp_btf/block_rq_insert")
int block_insert(__u64 *ctx)
{
	inserted(request_of(ctx));
	return 0;
}

/* It became part of another request: it is neither issued nor completed, and its address is used again. */
SEC("tp_btf/block_rq_merge")
int block_merge(__u64 *ctx)
{
	__u64 key = (__u64)request_of(ctx);

	bpf_map_delete_elem(&requests, &key);
	return 0;
}

/* The device could not take it: it is issued again, often after another insertion. */
SEC("tp_btf/block_rq_requeue")
int block_requeue(__u64 *ctx)
{
	__u64 key = (__u64)request_of(ctx);
	struct pending *pending = bpf_map_lookup_elem(&requests, &key);

	if (pending)
		pending->requeued = 1;
	return 0;
}

SEC("tp_btf/block_rq_issue")
int block_issue(__u64 *ctx)
{
	issued(request_of(ctx));
	return 0;
}

/* The device is done with it. */
static __always_inline void came_back(__u64 key, __u32 dev, __u64 now, __s32 error)
{
	struct pending *pending = bpf_map_lookup_elem(&requests, &key);
	struct disk *disk;

	if (!pending || !pending->issued)
		return;
	disk = bpf_map_lookup_elem(&disks, &dev);
	if (disk)
		__sync_fetch_and_add(&disk->in_flight, -1);
	if (window_start())
		ended(pending, dev, now, error);
	else
		count_unfinished();
	bpf_map_delete_elem(&requests, &key);
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(block_complete, struct request *rq, int error, unsigned int nr_bytes)
{
	__u64 key = (__u64)rq, now;
	__u32 dev;

	/* A request may complete in parts; the last part is all that is left of it. */
	if (nr_bytes < rq->__data_len)
		return 0;
	now = bpf_ktime_get_ns();
	dev = disk_number(rq);
	if (window_start() && is_counted(rq))
		completion_shown(rq, dev, now);
	came_back(key, dev, now, error);
	return 0;
}

/* A bio is traced from its first submission to its end, however often it is split in between. */
SEC("tp_btf/block_bio_queue")
int block_bio_queue(__u64 *ctx)
{
	struct pending *pending;
	struct disk *disk;
	struct bio *bio;
	__u64 key;
	__u32 dev;

	if (compat.block_rq_has_queue)
		bio = (struct bio *)ctx[1];
	else
		bio = (struct bio *)ctx[0];
	barrier_var(bio);
	dev = bio_disk(bio);
	if (!dev)
		return 0;
	key = (__u64)bio;
	if (bpf_map_lookup_elem(&requests, &key)) {
		count_loss(LOSS_END_UNSEEN);
		disk = bpf_map_lookup_elem(&disks, &dev);
		if (disk)
			__sync_fetch_and_add(&disk->in_flight, -1);
	}
	pending = submitted(key);
	if (pending)
		sent(pending, dev, BPF_CORE_READ(bio, bi_iter.bi_sector), BPF_CORE_READ(bio, bi_iter.bi_size),
		     BPF_CORE_READ(bio, bi_opf));
	return 0;
}

SEC("tp_btf/block_bio_complete")
int BPF_PROG(block_bio_complete, struct request_queue___bios *queue, struct bio *bio)
{
	__u32 dev;

	/* Of a disk with requests: all that most machines ever have. */
	if (queue->mq_ops)
		return 0;
	dev = bio_disk(bio);
	if (dev)
		came_back((__u64)bio, dev, bpf_ktime_get_ns(), bio->bi_status);
	return 0;
}
