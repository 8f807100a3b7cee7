/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Disks that take bios as they come, without a queue of requests: zram, RAM disks, persistent memory. A bio of theirs is a
 * request here, from its submission to its completion. Those that stand on other disks (device mapper, RAID) are left out: what
 * they send on is seen there.
 */
#ifndef EBREC_BLOCK_BIOS_H
#define EBREC_BLOCK_BIOS_H

#include "ebrec.h"

#include "requests.h"

/* Disks that stand on others; user space knows them. */
#define STACKED_DISKS 64

const volatile struct block_knobs {
	__u32 stacked[STACKED_DISKS]; /* as the kernel's dev_t; 0: none more */
} knobs SEC(".rodata.knobs") = {};
struct block_knobs *export_block_knobs;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct request_queue___bios {
	void *mq_ops;
};
struct gendisk___bios {
	int major;
	int first_minor;
	struct request_queue___bios *queue;
};
struct block_device___bios {
	struct gendisk___bios *bd_disk;
};
struct bvec_iter {
	__u64 bi_sector;
	unsigned int bi_size;
};
struct bio {
	struct block_device___bios *bi_bdev;
	unsigned int bi_opf;
	struct bvec_iter bi_iter;
	__u8 bi_status;
};
/* 5.12, commit 309dca309fc3: bio.bi_disk went; the disk is the block device's. */
struct bio___before_5_12 {
	struct gendisk___bios *bi_disk;
};
#pragma clang attribute pop

/* The number of a bio's disk, if that has no queue of requests and stands on no other; else 0. */
static __always_inline __u32 bio_disk(struct bio *bio)
{
	struct bio___before_5_12 *old = (void *)bio;
	struct gendisk___bios *disk;
	__u32 dev;

	if (bpf_core_field_exists(old->bi_disk))
		disk = BPF_CORE_READ(old, bi_disk);
	else
		disk = BPF_CORE_READ(bio, bi_bdev, bd_disk);
	if (!disk || BPF_CORE_READ(disk, queue, mq_ops))
		return 0;
	dev = (__u32)BPF_CORE_READ(disk, major) << 20 | BPF_CORE_READ(disk, first_minor);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < STACKED_DISKS && knobs.stacked[i]; i++)
		if (knobs.stacked[i] == dev)
			return 0;
	return dev;
}

#endif
