/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The system calls about files that files.bpf.c times: what each does and which argument says to which file, by its
 * number on each architecture (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
 */
#ifndef EBREC_FILES_CALLS_H
#define EBREC_FILES_CALLS_H

#include "ebrec.h"

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

/* The same of 32-bit code: arch/x86/entry/syscalls/syscall_32.tbl, arch/arm64/tools/syscall_32.tbl. */
static const __u8 compat_file_calls[SYSCALL_NUMBERS] = {
	/* open creat openat2 read readv pread64 write writev pwrite64 fsync fdatasync */
	[5] = FILE_OPEN | FILE_BY_PATH, [8] = FILE_OPEN | FILE_BY_PATH, [437] = FILE_OPEN | FILE_AT,
	[3] = FILE_READ, [145] = FILE_READ, [180] = FILE_READ,
	[4] = FILE_WRITE, [146] = FILE_WRITE, [181] = FILE_WRITE,
	[118] = FILE_FSYNC, [148] = FILE_FDATASYNC,
	/* unlink rename sendfile sendfile64 ftruncate ftruncate64 */
	[10] = FILE_UNLINK | FILE_BY_PATH, [38] = FILE_RENAME | FILE_BY_PATH,
	[187] = FILE_COPY | FILE_SECOND, [239] = FILE_COPY | FILE_SECOND, [93] = FILE_TRUNCATE, [194] = FILE_TRUNCATE,
#if defined(__TARGET_ARCH_x86)
	/* openat preadv preadv2 pwritev pwritev2 sync_file_range */
	[295] = FILE_OPEN | FILE_AT, [333] = FILE_READ, [378] = FILE_READ, [334] = FILE_WRITE, [379] = FILE_WRITE,
	[314] = FILE_SYNC_RANGE,
	/* unlinkat renameat renameat2 copy_file_range fallocate */
	[301] = FILE_UNLINK | FILE_AT, [302] = FILE_RENAME | FILE_AT, [353] = FILE_RENAME | FILE_AT,
	[377] = FILE_COPY, [324] = FILE_ALLOCATE,
#elif defined(__TARGET_ARCH_arm64)
	/* openat preadv preadv2 pwritev pwritev2 sync_file_range2 */
	[322] = FILE_OPEN | FILE_AT, [361] = FILE_READ, [392] = FILE_READ, [362] = FILE_WRITE, [393] = FILE_WRITE,
	[341] = FILE_SYNC_RANGE,
	/* unlinkat renameat renameat2 copy_file_range fallocate */
	[328] = FILE_UNLINK | FILE_AT, [329] = FILE_RENAME | FILE_AT, [382] = FILE_RENAME | FILE_AT,
	[391] = FILE_COPY, [352] = FILE_ALLOCATE,
#endif
};
/* clang-format on */

/* One of the first four arguments of the current task's call, of 32-bit code or not. */
static __always_inline __u64 call_argument(struct pt_regs *regs, int number)
{
	if (task_in_compat_call(current_task(), regs))
		return compat_argument(regs, number);
	switch (number) {
	case 1:
		return syscall_argument_1(regs);
	case 2:
		return syscall_argument_2(regs);
	case 3:
		return syscall_argument_3(regs);
	}
	return syscall_argument_4(regs);
}

#endif
