/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a thread waits, as causes.h has it, for calls of 32-bit code, whose numbers are others (arch/x86/entry/syscalls/syscall_32.tbl and
 * arch/arm/tools/syscall.tbl). `socketcall` and `ipc` of x86 stand for many calls, nearly all of which wait for their peer.
 */
#ifndef EBREC_COMPAT_CAUSES_H
#define EBREC_COMPAT_CAUSES_H

#include "ebrec.h"

#include "causes.h"

/* clang-format off */
static const __u8 cause_of_compat_syscall[SYSCALL_NUMBERS] = {
#if defined(__TARGET_ARCH_x86)
	/* futex futex_time64 futex_waitv futex_wait */
	[240] = CAUSE_FUTEX, [422] = CAUSE_FUTEX, [449] = CAUSE_FUTEX, [455] = CAUSE_FUTEX,
	/* poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_wait epoll_pwait epoll_pwait2 */
	[82] = CAUSE_POLL, [142] = CAUSE_POLL, [168] = CAUSE_POLL, [256] = CAUSE_POLL,
	[308 ... 309] = CAUSE_POLL, [319] = CAUSE_POLL, [413 ... 414] = CAUSE_POLL, [441] = CAUSE_POLL,
	/* nanosleep clock_nanosleep clock_nanosleep_time64 */
	[162] = CAUSE_SLEEP, [267] = CAUSE_SLEEP, [407] = CAUSE_SLEEP,
	/* pause sigsuspend rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 */
	[29] = CAUSE_SIGNAL, [72] = CAUSE_SIGNAL, [177] = CAUSE_SIGNAL, [179] = CAUSE_SIGNAL,
	[421] = CAUSE_SIGNAL,
	/* read readv pread64 preadv preadv2 */
	[3] = CAUSE_READ, [145] = CAUSE_READ, [180] = CAUSE_READ, [333] = CAUSE_READ, [378] = CAUSE_READ,
	/* write writev pwrite64 pwritev pwritev2 */
	[4] = CAUSE_WRITE, [146] = CAUSE_WRITE, [181] = CAUSE_WRITE, [334] = CAUSE_WRITE, [379] = CAUSE_WRITE,
	/* sendfile sendfile64 splice tee vmsplice copy_file_range */
	[187] = CAUSE_COPY, [239] = CAUSE_COPY, [313] = CAUSE_COPY, [315 ... 316] = CAUSE_COPY,
	[377] = CAUSE_COPY,
	/* socketcall accept4 connect recvfrom recvmsg recvmmsg recvmmsg_time64 sendto sendmsg sendmmsg shutdown */
	[102] = CAUSE_SOCKET, [337] = CAUSE_SOCKET, [345] = CAUSE_SOCKET, [362] = CAUSE_SOCKET,
	[364] = CAUSE_SOCKET, [369 ... 373] = CAUSE_SOCKET, [417] = CAUSE_SOCKET,
	/* fsync fdatasync sync syncfs msync sync_file_range */
	[36] = CAUSE_FSYNC, [118] = CAUSE_FSYNC, [144] = CAUSE_FSYNC, [148] = CAUSE_FSYNC, [314] = CAUSE_FSYNC,
	[344] = CAUSE_FSYNC,
	/*
	 * open openat openat2 creat close stat lstat fstat stat64 lstat64 fstat64 fstatat64 statx access faccessat
	 * faccessat2 getdents getdents64 rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat link linkat
	 * symlink symlinkat readlink readlinkat chmod fchmod fchmodat chown fchown lchown chown32 fchown32
	 * lchown32 fchownat truncate ftruncate truncate64 ftruncate64 fallocate utimensat utimensat_time64
	 * getxattr setxattr lgetxattr fgetxattr lsetxattr fsetxattr listxattr statfs fstatfs statfs64 fstatfs64
	 * mount umount umount2 chdir fchdir lseek _llseek readahead fadvise64 fadvise64_64 mknod mknodat
	 */
	[5 ... 6] = CAUSE_FILES, [8 ... 10] = CAUSE_FILES, [12] = CAUSE_FILES, [14 ... 16] = CAUSE_FILES,
	[19] = CAUSE_FILES, [21 ... 22] = CAUSE_FILES, [33] = CAUSE_FILES, [38 ... 40] = CAUSE_FILES,
	[52] = CAUSE_FILES, [83] = CAUSE_FILES, [85] = CAUSE_FILES, [92 ... 95] = CAUSE_FILES,
	[99 ... 100] = CAUSE_FILES, [106 ... 108] = CAUSE_FILES, [133] = CAUSE_FILES,
	[140 ... 141] = CAUSE_FILES, [182] = CAUSE_FILES, [193 ... 198] = CAUSE_FILES, [207] = CAUSE_FILES,
	[212] = CAUSE_FILES, [220] = CAUSE_FILES, [225 ... 232] = CAUSE_FILES, [250] = CAUSE_FILES,
	[268 ... 269] = CAUSE_FILES, [272] = CAUSE_FILES, [295 ... 298] = CAUSE_FILES,
	[300 ... 307] = CAUSE_FILES, [320] = CAUSE_FILES, [324] = CAUSE_FILES, [353] = CAUSE_FILES,
	[383] = CAUSE_FILES, [412] = CAUSE_FILES, [437] = CAUSE_FILES, [439] = CAUSE_FILES,
	/*
	 * mmap mmap2 munmap mremap mprotect brk madvise mlock mlock2 mlockall munlock munlockall process_madvise
	 * mbind move_pages migrate_pages remap_file_pages membarrier
	 */
	[45] = CAUSE_MEMORY, [90 ... 91] = CAUSE_MEMORY, [125] = CAUSE_MEMORY, [150 ... 153] = CAUSE_MEMORY,
	[163] = CAUSE_MEMORY, [192] = CAUSE_MEMORY, [219] = CAUSE_MEMORY, [257] = CAUSE_MEMORY,
	[274] = CAUSE_MEMORY, [294] = CAUSE_MEMORY, [317] = CAUSE_MEMORY, [375 ... 376] = CAUSE_MEMORY,
	[440] = CAUSE_MEMORY,
	/* waitpid wait4 waitid */
	[7] = CAUSE_CHILD, [114] = CAUSE_CHILD, [284] = CAUSE_CHILD,
	/* clone clone3 fork vfork unshare setns */
	[2] = CAUSE_FORK, [120] = CAUSE_FORK, [190] = CAUSE_FORK, [310] = CAUSE_FORK, [346] = CAUSE_FORK,
	[435] = CAUSE_FORK,
	/* execve execveat */
	[11] = CAUSE_EXEC, [358] = CAUSE_EXEC,
	/* exit exit_group */
	[1] = CAUSE_EXIT, [252] = CAUSE_EXIT,
	/*
	 * io_uring_enter io_uring_setup io_uring_register io_submit io_getevents io_pgetevents
	 * io_pgetevents_time64 io_destroy
	 */
	[246 ... 248] = CAUSE_ASYNC_IO, [385] = CAUSE_ASYNC_IO, [416] = CAUSE_ASYNC_IO,
	[425 ... 427] = CAUSE_ASYNC_IO,
	/* ioctl */
	[54] = CAUSE_IOCTL,
	/*
	 * ipc msgrcv msgsnd semtimedop_time64 mq_timedsend mq_timedsend_time64 mq_timedreceive
	 * mq_timedreceive_time64
	 */
	[117] = CAUSE_IPC, [279 ... 280] = CAUSE_IPC, [400 ... 401] = CAUSE_IPC, [418 ... 420] = CAUSE_IPC,
	/* flock fcntl fcntl64 */
	[55] = CAUSE_FILE_LOCK, [143] = CAUSE_FILE_LOCK, [221] = CAUSE_FILE_LOCK,
#elif defined(__TARGET_ARCH_arm64)
	/* futex futex_time64 futex_waitv futex_wait */
	[240] = CAUSE_FUTEX, [422] = CAUSE_FUTEX, [449] = CAUSE_FUTEX, [455] = CAUSE_FUTEX,
	/* poll ppoll ppoll_time64 _newselect pselect6 pselect6_time64 epoll_wait epoll_pwait epoll_pwait2 */
	[142] = CAUSE_POLL, [168] = CAUSE_POLL, [252] = CAUSE_POLL, [335 ... 336] = CAUSE_POLL,
	[346] = CAUSE_POLL, [413 ... 414] = CAUSE_POLL, [441] = CAUSE_POLL,
	/* nanosleep clock_nanosleep clock_nanosleep_time64 */
	[162] = CAUSE_SLEEP, [265] = CAUSE_SLEEP, [407] = CAUSE_SLEEP,
	/* pause sigsuspend rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 */
	[29] = CAUSE_SIGNAL, [72] = CAUSE_SIGNAL, [177] = CAUSE_SIGNAL, [179] = CAUSE_SIGNAL,
	[421] = CAUSE_SIGNAL,
	/* read readv pread64 preadv preadv2 */
	[3] = CAUSE_READ, [145] = CAUSE_READ, [180] = CAUSE_READ, [361] = CAUSE_READ, [392] = CAUSE_READ,
	/* write writev pwrite64 pwritev pwritev2 */
	[4] = CAUSE_WRITE, [146] = CAUSE_WRITE, [181] = CAUSE_WRITE, [362] = CAUSE_WRITE, [393] = CAUSE_WRITE,
	/* sendfile sendfile64 splice tee vmsplice copy_file_range */
	[187] = CAUSE_COPY, [239] = CAUSE_COPY, [340] = CAUSE_COPY, [342 ... 343] = CAUSE_COPY,
	[391] = CAUSE_COPY,
	/*
	 * accept accept4 connect recv recvfrom recvmsg recvmmsg recvmmsg_time64 send sendto sendmsg sendmmsg
	 * shutdown
	 */
	[283] = CAUSE_SOCKET, [285] = CAUSE_SOCKET, [289 ... 293] = CAUSE_SOCKET, [296 ... 297] = CAUSE_SOCKET,
	[365 ... 366] = CAUSE_SOCKET, [374] = CAUSE_SOCKET, [417] = CAUSE_SOCKET,
	/* fsync fdatasync sync syncfs msync arm_sync_file_range */
	[36] = CAUSE_FSYNC, [118] = CAUSE_FSYNC, [144] = CAUSE_FSYNC, [148] = CAUSE_FSYNC, [341] = CAUSE_FSYNC,
	[373] = CAUSE_FSYNC,
	/*
	 * open openat openat2 creat close stat lstat fstat stat64 lstat64 fstat64 fstatat64 statx access faccessat
	 * faccessat2 getdents getdents64 rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat link linkat
	 * symlink symlinkat readlink readlinkat chmod fchmod fchmodat chown fchown lchown chown32 fchown32
	 * lchown32 fchownat truncate ftruncate truncate64 ftruncate64 fallocate utimensat utimensat_time64
	 * getxattr setxattr lgetxattr fgetxattr lsetxattr fsetxattr listxattr statfs fstatfs statfs64 fstatfs64
	 * mount umount2 chdir fchdir lseek _llseek readahead arm_fadvise64_64 mknod mknodat
	 */
	[5 ... 6] = CAUSE_FILES, [8 ... 10] = CAUSE_FILES, [12] = CAUSE_FILES, [14 ... 16] = CAUSE_FILES,
	[19] = CAUSE_FILES, [21] = CAUSE_FILES, [33] = CAUSE_FILES, [38 ... 40] = CAUSE_FILES,
	[52] = CAUSE_FILES, [83] = CAUSE_FILES, [85] = CAUSE_FILES, [92 ... 95] = CAUSE_FILES,
	[99 ... 100] = CAUSE_FILES, [106 ... 108] = CAUSE_FILES, [133] = CAUSE_FILES,
	[140 ... 141] = CAUSE_FILES, [182] = CAUSE_FILES, [193 ... 198] = CAUSE_FILES, [207] = CAUSE_FILES,
	[212] = CAUSE_FILES, [217] = CAUSE_FILES, [225 ... 232] = CAUSE_FILES, [266 ... 267] = CAUSE_FILES,
	[270] = CAUSE_FILES, [322 ... 325] = CAUSE_FILES, [327 ... 334] = CAUSE_FILES, [348] = CAUSE_FILES,
	[352] = CAUSE_FILES, [382] = CAUSE_FILES, [397] = CAUSE_FILES, [412] = CAUSE_FILES, [437] = CAUSE_FILES,
	[439] = CAUSE_FILES,
	/*
	 * mmap2 munmap mremap mprotect brk madvise mlock mlock2 mlockall munlock munlockall process_madvise mbind
	 * move_pages migrate_pages remap_file_pages membarrier
	 */
	[45] = CAUSE_MEMORY, [91] = CAUSE_MEMORY, [125] = CAUSE_MEMORY, [150 ... 153] = CAUSE_MEMORY,
	[163] = CAUSE_MEMORY, [192] = CAUSE_MEMORY, [220] = CAUSE_MEMORY, [253] = CAUSE_MEMORY,
	[319] = CAUSE_MEMORY, [344] = CAUSE_MEMORY, [389 ... 390] = CAUSE_MEMORY, [400] = CAUSE_MEMORY,
	[440] = CAUSE_MEMORY,
	/* wait4 waitid */
	[114] = CAUSE_CHILD, [280] = CAUSE_CHILD,
	/* clone clone3 fork vfork unshare setns */
	[2] = CAUSE_FORK, [120] = CAUSE_FORK, [190] = CAUSE_FORK, [337] = CAUSE_FORK, [375] = CAUSE_FORK,
	[435] = CAUSE_FORK,
	/* execve execveat */
	[11] = CAUSE_EXEC, [387] = CAUSE_EXEC,
	/* exit exit_group */
	[1] = CAUSE_EXIT, [248] = CAUSE_EXIT,
	/*
	 * io_uring_enter io_uring_setup io_uring_register io_submit io_getevents io_pgetevents
	 * io_pgetevents_time64 io_destroy
	 */
	[244 ... 246] = CAUSE_ASYNC_IO, [399] = CAUSE_ASYNC_IO, [416] = CAUSE_ASYNC_IO,
	[425 ... 427] = CAUSE_ASYNC_IO,
	/* ioctl */
	[54] = CAUSE_IOCTL,
	/*
	 * msgrcv msgsnd semop semtimedop semtimedop_time64 mq_timedsend mq_timedsend_time64 mq_timedreceive
	 * mq_timedreceive_time64
	 */
	[276 ... 277] = CAUSE_IPC, [298] = CAUSE_IPC, [301 ... 302] = CAUSE_IPC, [312] = CAUSE_IPC,
	[418 ... 420] = CAUSE_IPC,
	/* flock fcntl fcntl64 */
	[55] = CAUSE_FILE_LOCK, [143] = CAUSE_FILE_LOCK, [221] = CAUSE_FILE_LOCK,
#endif
};
/* clang-format on */

#endif
