/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The system calls about files that files.bpf.c times: what each does and which argument says to which file, by its
 * number on each architecture (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
 */
#ifndef EBREC_FILE_CALLS_H
#define EBREC_FILE_CALLS_H

/* Names in src/probes/files.rs. */
enum file_op {
	FILE_OTHER, /* none of these */
	FILE_OPEN,
	FILE_READ,
	FILE_WRITE,
	FILE_FSYNC,
	FILE_FDATASYNC,
	FILE_SYNC_RANGE,
	FILE_UNLINK,
	FILE_RENAME,
	FILE_COPY,
	FILE_TRUNCATE,
	FILE_ALLOCATE,
	FILE_OP_MASK = 0xf,
	FILE_BY_PATH = 0x10, /* else by descriptor */
	FILE_SECOND = 0x20,  /* the second argument is path or descriptor, not the first */
	FILE_AT = 0x30,	     /* a path after its directory's descriptor */
};

/* Beyond all numbers, a power of two, so that a mask bounds it. */
#define SYSCALL_NUMBERS 512

/* clang-format off */
static const __u8 file_calls[SYSCALL_NUMBERS] = {
#if defined(__TARGET_ARCH_x86)
	/* open creat openat openat2 */
	[2] = FILE_OPEN | FILE_BY_PATH, [85] = FILE_OPEN | FILE_BY_PATH, [257] = FILE_OPEN | FILE_AT,
	[437] = FILE_OPEN | FILE_AT,
	/* read pread64 readv preadv preadv2 */
	[0] = FILE_READ, [17] = FILE_READ, [19] = FILE_READ, [295] = FILE_READ, [327] = FILE_READ,
	/* write pwrite64 writev pwritev pwritev2 */
	[1] = FILE_WRITE, [18] = FILE_WRITE, [20] = FILE_WRITE, [296] = FILE_WRITE, [328] = FILE_WRITE,
	/* fsync fdatasync sync_file_range */
	[74] = FILE_FSYNC, [75] = FILE_FDATASYNC, [277] = FILE_SYNC_RANGE,
	/* unlink unlinkat rename renameat renameat2 */
	[87] = FILE_UNLINK | FILE_BY_PATH, [263] = FILE_UNLINK | FILE_AT, [82] = FILE_RENAME | FILE_BY_PATH,
	[264] = FILE_RENAME | FILE_AT, [316] = FILE_RENAME | FILE_AT,
	/* sendfile copy_file_range ftruncate fallocate */
	[40] = FILE_COPY | FILE_SECOND, [326] = FILE_COPY, [77] = FILE_TRUNCATE, [285] = FILE_ALLOCATE,
#elif defined(__TARGET_ARCH_arm64)
	/* openat openat2 */
	[56] = FILE_OPEN | FILE_AT, [437] = FILE_OPEN | FILE_AT,
	/* read pread64 readv preadv preadv2 */
	[63] = FILE_READ, [65] = FILE_READ, [67] = FILE_READ, [69] = FILE_READ, [286] = FILE_READ,
	/* write pwrite64 writev pwritev pwritev2 */
	[64] = FILE_WRITE, [66] = FILE_WRITE, [68] = FILE_WRITE, [70] = FILE_WRITE, [287] = FILE_WRITE,
	/* fsync fdatasync sync_file_range */
	[82] = FILE_FSYNC, [83] = FILE_FDATASYNC, [84] = FILE_SYNC_RANGE,
	/* unlinkat renameat renameat2 */
	[35] = FILE_UNLINK | FILE_AT, [38] = FILE_RENAME | FILE_AT, [276] = FILE_RENAME | FILE_AT,
	/* sendfile copy_file_range ftruncate fallocate */
	[71] = FILE_COPY | FILE_SECOND, [285] = FILE_COPY, [46] = FILE_TRUNCATE, [47] = FILE_ALLOCATE,
#endif
};
/* clang-format on */

#endif
