/* Makes system calls whose number, errors and lengths are known. What it measures by its own clock it prints. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void nap(long ms)
{
	struct timespec length = {.tv_nsec = ms * 1000000};

	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &length, NULL);
}

/* Calls of which each returns one thing: 1000 that work, 700 that fail in four ways, 7 wake-ups and 4 waits. */
static void fixed(void)
{
	struct timespec brief = {.tv_nsec = 1000000};
	int i, word = 0;

	for (i = 0; i < 1000; i++)
		syscall(SYS_getppid);
	for (i = 0; i < 300; i++)
		syscall(SYS_openat, AT_FDCWD, "/nowhere/at/all", O_RDONLY);
	for (i = 0; i < 100; i++)
		syscall(SYS_openat, AT_FDCWD, "/dev/null/not-a-directory", O_RDONLY);
	for (i = 0; i < 200; i++)
		syscall(SYS_fsync, -1);
	for (i = 0; i < 100; i++)
		syscall(9999);
	for (i = 0; i < 7; i++)
		syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL);
	for (i = 0; i < 4; i++)
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &brief);
}

/* Sleeps and reads from a slow pipe, 20 ms each. */
static int lengths(long count)
{
	long long slept = 0, read_for = 0, begin;
	int ends[2], i;
	char byte;

	/* The measurement is ready when it says so. */
	if (read(0, &byte, 1) != 1 || pipe(ends))
		return 1;
	for (i = 0; i < count; i++) {
		begin = now();
		nap(20);
		slept += now() - begin;
	}
	if (!fork()) {
		for (i = 0; i < count; i++) {
			nap(20);
			if (write(ends[1], &byte, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	for (i = 0; i < count; i++) {
		begin = now();
		if (read(ends[0], &byte, 1) != 1)
			return 1;
		read_for += now() - begin;
	}
	printf("%lld %lld\n", slept, read_for);
	return 0;
}

/* Bursts at full rate with rests between them. */
static void storm(long bursts)
{
	int i;

	while (bursts--) {
		for (i = 0; i < 20000; i++)
			syscall(SYS_getppid);
		nap(10);
	}
}

/* So many processes, one after the other, that call getppid 50 times each. */
static int crowd(long count)
{
	int i, status;
	pid_t child;

	while (count--) {
		child = fork();
		if (child < 0)
			return 1;
		if (!child) {
			for (i = 0; i < 50; i++)
				syscall(SYS_getppid);
			_exit(0);
		}
		if (waitpid(child, &status, 0) != child || status)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	long number = argc > 2 ? atol(argv[2]) : 0;

	if (argc > 1 && !strcmp(argv[1], "lengths"))
		return lengths(number);
	if (argc > 1 && !strcmp(argv[1], "crowd"))
		return crowd(number);
	if (argc > 1 && !strcmp(argv[1], "storm"))
		storm(number);
	else
		fixed();
	return 0;
}
