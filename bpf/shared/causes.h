/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a thread waits, as far as the system call that it is in tells: one cause per call, by its number on each
 * architecture (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h; numbers never change).
 */
#ifndef EBREC_CAUSES_H
#define EBREC_CAUSES_H

#include "ebrec.h"

/* Names in src/probes/sched/ledger/names.rs, for the reader in the recording. */
enum ledger_cause {
	CAUSE_OTHER, /* a system call that is none of these */
	CAUSE_FUTEX,
	CAUSE_POLL,
	CAUSE_SLEEP,
	CAUSE_SIGNAL,
	CAUSE_READ, /* of a regular file or block device, as are the next two */
	CAUSE_WRITE,
	CAUSE_COPY,
	CAUSE_PIPE, /* read or written */
	CAUSE_SOCKET,
	CAUSE_DEVICE, /* a character device, read or written: terminals most of all */
	CAUSE_FSYNC,
	CAUSE_FILES, /* opening, listing, renaming… */
	CAUSE_MEMORY,
	CAUSE_CHILD,
	CAUSE_FORK,
	CAUSE_EXEC,
	CAUSE_EXIT,
	CAUSE_ASYNC_IO,
	CAUSE_IOCTL,
	CAUSE_IPC,
	CAUSE_FILE_LOCK,
	CAUSE_PAGE_FAULT,
	CAUSE_BLOCK_IO,	 /* where no system call says it better */
	CAUSE_KERNEL,	 /* a kernel thread */
	CAUSE_ANONYMOUS, /* an eventfd, timerfd, inotify…: read or written */
	CAUSE_LOCK,	 /* of the kernel's own, in whatever call */
	CAUSES,
};

/* Beyond all numbers, a power of two, so that a mask bounds it. */
#define SYSCALL_NUMBERS 512

/* clang-format off */
static const __u8 cause_of_syscall[SYSCALL_NUMBERS] = {
#if defined(__TARGET_ARCH_x86)
	/* futex futex_waitv futex_wait */
	[202] = CAUSE_FUTEX, [449] = CAUSE_FUTEX, [455] = CAUSE_FUTEX,
	/* poll ppoll select pselect6 epoll_wait epoll_pwait epoll_pwait2 */
	[7] = CAUSE_POLL, [23] = CAUSE_POLL, [232] = CAUSE_POLL, [270 ... 271] = CAUSE_POLL, [281] = CAUSE_POLL,
	[441] = CAUSE_POLL,
	/* nanosleep clock_nanosleep */
	[35] = CAUSE_SLEEP, [230] = CAUSE_SLEEP,
	/* pause rt_sigsuspend rt_sigtimedwait */
	[34] = CAUSE_SIGNAL, [128] = CAUSE_SIGNAL, [130] = CAUSE_SIGNAL,
	/* read readv pread64 preadv preadv2 */
	[0] = CAUSE_READ, [17] = CAUSE_READ, [19] = CAUSE_READ, [295] = CAUSE_READ, [327] = CAUSE_READ,
	/* write writev pwrite64 pwritev pwritev2 */
	[1] = CAUSE_WRITE, [18] = CAUSE_WRITE, [20] = CAUSE_WRITE, [296] = CAUSE_WRITE, [328] = CAUSE_WRITE,
	/* sendfile splice tee vmsplice copy_file_range */
	[40] = CAUSE_COPY, [275 ... 276] = CAUSE_COPY, [278] = CAUSE_COPY, [326] = CAUSE_COPY,
	/* accept accept4 connect recvfrom recvmsg recvmmsg sendto sendmsg sendmmsg shutdown */
	[42 ... 48] = CAUSE_SOCKET, [288] = CAUSE_SOCKET, [299] = CAUSE_SOCKET, [307] = CAUSE_SOCKET,
	/* fsync fdatasync sync syncfs msync sync_file_range */
	[26] = CAUSE_FSYNC, [74 ... 75] = CAUSE_FSYNC, [162] = CAUSE_FSYNC, [277] = CAUSE_FSYNC, [306] = CAUSE_FSYNC,
	/*
	 * open openat openat2 creat close stat lstat fstat newfstatat statx access faccessat faccessat2
	 * getdents getdents64 rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat link linkat
	 * symlink symlinkat readlink readlinkat chmod fchmod fchmodat chown fchown fchownat lchown truncate
	 * ftruncate fallocate utimensat getxattr setxattr lgetxattr fgetxattr lsetxattr fsetxattr listxattr
	 * statfs fstatfs mount umount2 chdir fchdir lseek readahead fadvise64 mknod mknodat
	 */
	[2 ... 6] = CAUSE_FILES, [8] = CAUSE_FILES, [21] = CAUSE_FILES, [76 ... 78] = CAUSE_FILES,
	[80 ... 94] = CAUSE_FILES, [133] = CAUSE_FILES, [137 ... 138] = CAUSE_FILES, [165 ... 166] = CAUSE_FILES,
	[187 ... 194] = CAUSE_FILES, [217] = CAUSE_FILES, [221] = CAUSE_FILES, [257 ... 260] = CAUSE_FILES,
	[262 ... 269] = CAUSE_FILES, [280] = CAUSE_FILES, [285] = CAUSE_FILES, [316] = CAUSE_FILES,
	[332] = CAUSE_FILES, [437] = CAUSE_FILES, [439] = CAUSE_FILES,
	/*
	 * mmap munmap mremap mprotect brk madvise mlock mlock2 mlockall munlock munlockall process_madvise
	 * mbind move_pages migrate_pages remap_file_pages membarrier
	 */
	[9 ... 12] = CAUSE_MEMORY, [25] = CAUSE_MEMORY, [28] = CAUSE_MEMORY, [149 ... 152] = CAUSE_MEMORY,
	[216] = CAUSE_MEMORY, [237] = CAUSE_MEMORY, [256] = CAUSE_MEMORY, [279] = CAUSE_MEMORY,
	[324 ... 325] = CAUSE_MEMORY, [440] = CAUSE_MEMORY,
	/* wait4 waitid */
	[61] = CAUSE_CHILD, [247] = CAUSE_CHILD,
	/* clone clone3 fork vfork unshare setns */
	[56 ... 58] = CAUSE_FORK, [272] = CAUSE_FORK, [308] = CAUSE_FORK, [435] = CAUSE_FORK,
	/* execve execveat */
	[59] = CAUSE_EXEC, [322] = CAUSE_EXEC,
	/* exit exit_group */
	[60] = CAUSE_EXIT, [231] = CAUSE_EXIT,
	/* io_uring_enter io_uring_setup io_uring_register io_submit io_getevents io_pgetevents io_destroy */
	[207 ... 209] = CAUSE_ASYNC_IO, [333] = CAUSE_ASYNC_IO, [425 ... 427] = CAUSE_ASYNC_IO,
	/* ioctl */
	[16] = CAUSE_IOCTL,
	/* msgrcv msgsnd semop semtimedop mq_timedsend mq_timedreceive */
	[65] = CAUSE_IPC, [69 ... 70] = CAUSE_IPC, [220] = CAUSE_IPC, [242 ... 243] = CAUSE_IPC,
	/* flock fcntl */
	[72 ... 73] = CAUSE_FILE_LOCK,
#elif defined(__TARGET_ARCH_arm64)
	/* futex futex_waitv futex_wait */
	[98] = CAUSE_FUTEX, [449] = CAUSE_FUTEX, [455] = CAUSE_FUTEX,
	/* ppoll pselect6 epoll_pwait epoll_pwait2 */
	[22] = CAUSE_POLL, [72 ... 73] = CAUSE_POLL, [441] = CAUSE_POLL,
	/* nanosleep clock_nanosleep */
	[101] = CAUSE_SLEEP, [115] = CAUSE_SLEEP,
	/* rt_sigsuspend rt_sigtimedwait */
	[133] = CAUSE_SIGNAL, [137] = CAUSE_SIGNAL,
	/* read readv pread64 preadv preadv2 */
	[63] = CAUSE_READ, [65] = CAUSE_READ, [67] = CAUSE_READ, [69] = CAUSE_READ, [286] = CAUSE_READ,
	/* write writev pwrite64 pwritev pwritev2 */
	[64] = CAUSE_WRITE, [66] = CAUSE_WRITE, [68] = CAUSE_WRITE, [70] = CAUSE_WRITE, [287] = CAUSE_WRITE,
	/* sendfile splice tee vmsplice copy_file_range */
	[71] = CAUSE_COPY, [75 ... 77] = CAUSE_COPY, [285] = CAUSE_COPY,
	/* accept accept4 connect recvfrom recvmsg recvmmsg sendto sendmsg sendmmsg shutdown */
	[202 ... 203] = CAUSE_SOCKET, [206 ... 207] = CAUSE_SOCKET, [210 ... 212] = CAUSE_SOCKET,
	[242 ... 243] = CAUSE_SOCKET, [269] = CAUSE_SOCKET,
	/* fsync fdatasync sync syncfs msync sync_file_range */
	[81 ... 84] = CAUSE_FSYNC, [227] = CAUSE_FSYNC, [267] = CAUSE_FSYNC,
	/*
	 * openat openat2 close fstat newfstatat statx faccessat faccessat2 getdents64 renameat renameat2
	 * mkdirat unlinkat linkat symlinkat readlinkat fchmod fchmodat fchown fchownat truncate ftruncate
	 * fallocate utimensat getxattr setxattr lgetxattr fgetxattr lsetxattr fsetxattr listxattr statfs
	 * fstatfs mount umount2 chdir fchdir lseek readahead fadvise64 mknodat
	 */
	[5 ... 11] = CAUSE_FILES, [33 ... 40] = CAUSE_FILES, [43 ... 50] = CAUSE_FILES, [52 ... 57] = CAUSE_FILES,
	[61 ... 62] = CAUSE_FILES, [78 ... 80] = CAUSE_FILES, [88] = CAUSE_FILES, [213] = CAUSE_FILES,
	[223] = CAUSE_FILES, [276] = CAUSE_FILES, [291] = CAUSE_FILES, [437] = CAUSE_FILES, [439] = CAUSE_FILES,
	/*
	 * mmap munmap mremap mprotect brk madvise mlock mlock2 mlockall munlock munlockall process_madvise
	 * mbind move_pages migrate_pages remap_file_pages membarrier
	 */
	[214 ... 216] = CAUSE_MEMORY, [222] = CAUSE_MEMORY, [226] = CAUSE_MEMORY, [228 ... 231] = CAUSE_MEMORY,
	[233 ... 235] = CAUSE_MEMORY, [238 ... 239] = CAUSE_MEMORY, [283 ... 284] = CAUSE_MEMORY,
	[440] = CAUSE_MEMORY,
	/* wait4 waitid */
	[95] = CAUSE_CHILD, [260] = CAUSE_CHILD,
	/* clone clone3 unshare setns */
	[97] = CAUSE_FORK, [220] = CAUSE_FORK, [268] = CAUSE_FORK, [435] = CAUSE_FORK,
	/* execve execveat */
	[221] = CAUSE_EXEC, [281] = CAUSE_EXEC,
	/* exit exit_group */
	[93 ... 94] = CAUSE_EXIT,
	/* io_uring_enter io_uring_setup io_uring_register io_submit io_getevents io_pgetevents io_destroy */
	[1 ... 2] = CAUSE_ASYNC_IO, [4] = CAUSE_ASYNC_IO, [292] = CAUSE_ASYNC_IO, [425 ... 427] = CAUSE_ASYNC_IO,
	/* ioctl */
	[29] = CAUSE_IOCTL,
	/* msgrcv msgsnd semop semtimedop mq_timedsend mq_timedreceive */
	[182 ... 183] = CAUSE_IPC, [188 ... 189] = CAUSE_IPC, [192 ... 193] = CAUSE_IPC,
	/* flock fcntl */
	[25] = CAUSE_FILE_LOCK, [32] = CAUSE_FILE_LOCK,
#endif
};
/* clang-format on */

#endif
