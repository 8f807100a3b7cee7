// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * One process calls a function that does nothing again and again on one CPU.
 *
 *     functions CPU MILLISECONDS
 *
 * Prints "EVENTS NANOSECONDS CPU_NANOSECONDS": the calls, and the time and the CPU time that they took.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long long now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* Its first instruction is a nop, which the kernel need not execute for the probe in its place. */
__attribute__((noinline, used)) void empty(long number)
{
	asm volatile("nop" : : "r"(number));
}

int main(int argc, char **argv)
{
	long long begin, cpu, end;
	long calls = 0;
	cpu_set_t set;

	if (argc != 3) {
		fprintf(stderr, "usage: functions CPU MILLISECONDS\n");
		return 2;
	}
	CPU_ZERO(&set);
	CPU_SET(atoi(argv[1]), &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("sched_setaffinity");
		return 1;
	}
	begin = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	end = begin + atoll(argv[2]) * 1000000;
	do {
		for (int i = 0; i < 1000; i++)
			empty(i);
		calls += 1000;
	} while (now(CLOCK_MONOTONIC) < end);
	printf("%ld %lld %lld\n", calls, now(CLOCK_MONOTONIC) - begin, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	return 0;
}
