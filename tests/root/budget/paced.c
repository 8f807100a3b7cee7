/*
 * Makes system calls for so many milliseconds, in rounds: so many getppid(2), which never fails, a tenth as many close(2) of no descriptor,
 * which always does, and one sleep of a millisecond. Prints how many of each it made, and how many sleeps left their CPU: the timer of one
 * may expire before it does, if the machine itself has no CPU meanwhile.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

int main(int argc, char **argv)
{
	long length = argc > 1 ? atol(argv[1]) : 1000, round = argc > 2 ? atol(argv[2]) : 10;
	struct timespec nap = {.tv_nsec = 1000000};
	long long end = now() + length * 1000000LL;
	long calls = 0, failures = 0, sleeps = 0, slept = 0, before, i;

	while (now() < end) {
		for (i = 0; i < round; i++, calls++)
			syscall(SYS_getppid);
		for (i = 0; i < round / 10; i++, failures++)
			syscall(SYS_close, -1);
		before = switches();
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL);
		slept += switches() > before;
		sleeps++;
	}
	printf("%ld %ld %ld %ld\n", calls, failures, sleeps, slept);
	return 0;
}
