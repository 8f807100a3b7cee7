// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Starts /bin/true and waits for it, again and again, on one CPU.
 *
 *     spawn CPU MILLISECONDS
 *
 * Prints "PROCESSES NANOSECONDS CPU_NANOSECONDS".
 */
#define _GNU_SOURCE
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
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

int main(int argc, char **argv)
{
	char *const arguments[] = {"/bin/true", NULL};
	long long start, end, limit, count = 0;
	struct rusage self, child;
	cpu_set_t cpus;
	pid_t pid;

	if (argc < 3)
		return 2;
	limit = atoll(argv[2]) * 1000000;
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[1]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		return 1;
	start = now();
	do {
		if (posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environ))
			return 1;
		waitpid(pid, NULL, 0);
		count++;
		end = now();
	} while (end - start < limit);
	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &child);
	printf("%lld %lld %lld\n", count, end - start, cpu_ns(&self) + cpu_ns(&child));
	return 0;
}
