// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Two processes on one CPU hand a byte to and fro through two pipes: each hand-over is one wake-up
 * and one context switch.
 *
 *     pingpong CPU MILLISECONDS | pingpong CPU rounds ROUNDS
 *
 * Prints "EVENTS NANOSECONDS CPU_NANOSECONDS": the context switches of both, as the kernel counted
 * them, and the time and the CPU time that they took.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static long long cpu_ns(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000LL +
	       (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000LL;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	long long start, end = 0, limit, rounds = 0;
	int there[2], back[2], by_rounds;
	struct rusage self, child;
	cpu_set_t cpus;
	char byte = 0;
	pid_t pid;

	if (argc < 3)
		return 2;
	by_rounds = argc > 3 && !strcmp(argv[2], "rounds");
	limit = atoll(argv[by_rounds ? 3 : 2]);
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[1]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		fail("sched_setaffinity");
	if (pipe(there) || pipe(back))
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		close(there[1]);
		close(back[0]);
		while (read(there[0], &byte, 1) == 1)
			if (write(back[1], &byte, 1) != 1)
				fail("write");
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	start = now();
	for (;;) {
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			fail("hand-over");
		rounds++;
		if (by_rounds ? rounds >= limit : !(rounds & 255)) {
			end = now();
			if (by_rounds || end - start >= limit * 1000000)
				break;
		}
	}
	close(there[1]);
	waitpid(pid, NULL, 0);
	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &child);
	printf("%ld %lld %lld\n", self.ru_nvcsw + self.ru_nivcsw + child.ru_nvcsw + child.ru_nivcsw, end - start,
	       cpu_ns(&self) + cpu_ns(&child));
	return 0;
}
