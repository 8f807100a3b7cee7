// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * One thread on one CPU that works, or sleeps again and again, under a stack of so many frames.
 *
 *     depth CPU MILLISECONDS FRAMES work|sleep
 *
 * Prints "EVENTS NANOSECONDS CPU_NANOSECONDS": turns of its loop, and the time and the CPU time that they took. While it sleeps, another
 * process has the CPU with the lowest priority: then it prints that one's turns, the time, and in the last place the number of sleeps. A sleep
 * is longer than those of which ebrec leaves out stacks.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile long sink;
static long long limit;
static int sleeps;

static long long now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static long loop(void)
{
	const struct timespec pause = {.tv_nsec = 150000};
	long long end = now(CLOCK_MONOTONIC) + limit;
	long events = 0;

	do {
		if (sleeps) {
			nanosleep(&pause, NULL);
			events++;
			continue;
		}
		for (int i = 0; i < 10000; i++)
			sink += i;
		events += 10000;
	} while (now(CLOCK_MONOTONIC) < end);
	return events;
}

__attribute__((noinline)) static long descend(int frames)
{
	long events = frames > 1 ? descend(frames - 1) : loop();

	/* No tail call. */
	sink++;
	return events;
}

/* An idle CPU of a virtual machine takes longer to wake up than anything that is measured here. */
static pid_t keep_busy(volatile long *turns)
{
	const struct sched_param lowest = {};
	pid_t pid = fork();

	if (pid)
		return pid;
	sched_setscheduler(0, SCHED_IDLE, &lowest);
	for (;;)
		++*turns;
}

int main(int argc, char **argv)
{
	volatile long *turns;
	long long begin, cpu;
	cpu_set_t cpus;
	pid_t busy = 0;
	long events;

	if (argc != 5)
		return 2;
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[1]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus)) {
		perror("sched_setaffinity");
		return 1;
	}
	prctl(PR_SET_TIMERSLACK, 1);
	limit = atoll(argv[2]) * 1000000;
	sleeps = !strcmp(argv[4], "sleep");
	turns = mmap(NULL, sizeof(*turns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sleeps && (turns == MAP_FAILED || (busy = keep_busy(turns)) < 0)) {
		perror("a process that keeps the CPU busy");
		return 1;
	}
	begin = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	/* main and what calls it are frames, too. */
	events = descend(atoi(argv[3]) - 4);
	if (busy) {
		printf("%ld %lld %ld\n", *turns, now(CLOCK_MONOTONIC) - begin, events);
		kill(busy, SIGKILL);
		waitpid(busy, NULL, 0);
		return 0;
	}
	printf("%ld %lld %lld\n", events, now(CLOCK_MONOTONIC) - begin, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	return 0;
}
