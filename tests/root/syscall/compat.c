// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * System calls of 32-bit code out of a 64-bit program (int 0x80), and the newer calls that wait for a futex; x86_64 only.
 *
 *     compat FILE           prints "none" where the kernel takes no 32-bit calls, else what it did:
 *                           nanosleep for 80 ms; open, three writes of 100 bytes, fsync and close of FILE; a futex for 60 ms,
 *                           of 32-bit code, by futex_waitv and by futex_wait
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf refused;

static void refuse(int signal)
{
	(void)signal;
	siglongjmp(refused, 1);
}

static long call(long number, long a, long b, long c, long d)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

struct waitv {
	uint64_t value;
	uint64_t address;
	uint32_t flags;
	uint32_t reserved;
};

int main(int argc, char **argv)
{
	/* Below 4 GiB, so that 32-bit code can point there. */
	char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int32_t *time = (int32_t *)low, *word = (int32_t *)(low + 64);
	char *path = low + 4096;
	struct timespec until;
	struct waitv waiter = {0, (uint64_t)word, 2 /* FUTEX2_SIZE_U32 */, 0};
	long fd;

	if (argc < 2 || low == MAP_FAILED)
		return 99;
	signal(SIGSEGV, refuse);
	if (sigsetjmp(refused, 1) || call(20, 0, 0, 0, 0) != getpid()) {
		puts("none");
		return 0;
	}
	time[1] = 80000000;
	call(162, (long)time, 0, 0, 0);
	strncpy(path, argv[1], 4095);
	fd = call(5, (long)path, 0102, 0600, 0);
	for (int i = 0; i < 3; i++)
		if (call(4, fd, (long)low, 100, 0) != 100)
			return 99;
	call(118, fd, 0, 0, 0);
	call(6, fd, 0, 0, 0);
	time[1] = 60000000;
	call(240, (long)word, FUTEX_WAIT, 0, (long)time);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 60000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	printf("waitv %d\n", syscall(449, &waiter, 1, 0, &until, CLOCK_MONOTONIC) < 0 ? errno : 0);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 60000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	printf("wait %d\n", syscall(455, word, 0UL, ~0UL & 0xffffffff, 2, &until, CLOCK_MONOTONIC) < 0 ? errno : 0);
	printf("address %p\n", (void *)word);
	return 0;
}
