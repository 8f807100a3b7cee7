// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Many processes that sleep, some that live for 1 to 5 ms of CPU time, and one that waits.
 *
 *     crowd PROCESSES MILLISECONDS CHILDREN_PER_SECOND
 *
 * PROCESSES sleep until the end. `crowd-short` are children one after the other, evenly over the time. `crowd-late` waits
 * for a byte in a pipe, which comes 100 ms after it began to wait, as often as that fits.
 *
 * Prints "live PID LATE_PID" when all sleep, and begins when a line comes on its standard input. Prints "CHILDREN WAITS" at the end.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_NS 100000000LL

static long long now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void sleep_until(long long at)
{
	struct timespec ts = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
		;
}

/* Ends with its parent, whatever that ends by. */
static pid_t start(const char *name)
{
	pid_t pid = fork();

	if (pid < 0)
		exit(1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
	}
	return pid;
}

static void use_cpu(long long ns)
{
	long long end = now(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (now(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

/* Counts its own waits, as bytes may come late on a busy machine. Ends when nobody writes any more. */
static void wait_for_bytes(int pipe, volatile long long *waits)
{
	long long before = now(CLOCK_MONOTONIC);
	ssize_t got;
	char byte;

	do {
		long long after;

		got = read(pipe, &byte, 1);
		after = now(CLOCK_MONOTONIC);
		*waits += after - before >= WAIT_NS / 2;
		before = after;
	} while (got == 1);
	_exit(0);
}

/* It writes at the end of each wait; the reader begins the next one at once. */
static void end_waits(int pipe, long long end)
{
	long long at = now(CLOCK_MONOTONIC);

	for (at += WAIT_NS; at < end && now(CLOCK_MONOTONIC) < end; at += WAIT_NS) {
		sleep_until(at);
		if (write(pipe, "x", 1) != 1)
			_exit(1);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	long long begin, end, between, children = 0;
	volatile long long *waits;
	int processes, bytes[2];
	struct rlimit limit;
	pid_t late, *crowd;
	char line[8];

	if (argc < 4 || pipe(bytes))
		return 2;
	processes = atoi(argv[1]);
	between = 1000000000LL / atoll(argv[3]);
	crowd = calloc(processes, sizeof(*crowd));
	waits = mmap(NULL, sizeof(*waits), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!crowd || waits == MAP_FAILED)
		return 1;
	getrlimit(RLIMIT_NPROC, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NPROC, &limit);
	for (int at = 0; at < processes; at++) {
		crowd[at] = start("crowd-asleep");
		if (crowd[at] == 0)
			for (;;)
				pause();
	}
	late = start("crowd-late");
	if (late == 0) {
		close(bytes[1]);
		wait_for_bytes(bytes[0], waits);
	}
	printf("live %d %d\n", getpid(), late);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	/* What it waited for until now is not counted. */
	*waits = 0;
	begin = now(CLOCK_MONOTONIC);
	end = begin + atoll(argv[2]) * 1000000;
	if (start("crowd-writer") == 0)
		end_waits(bytes[1], end);
	/* On a busy machine there are fewer: none begins after the end. */
	for (long long at = begin + between; at < end && now(CLOCK_MONOTONIC) < end; at += between) {
		pid_t child;

		sleep_until(at);
		child = start("crowd-short");
		if (child == 0) {
			use_cpu((1 + children % 5) * 1000000);
			_exit(0);
		}
		waitpid(child, NULL, 0);
		children++;
	}
	close(bytes[1]);
	sleep_until(end);
	for (int at = 0; at < processes; at++)
		kill(crowd[at], SIGKILL);
	while (wait(NULL) > 0)
		;
	printf("%lld %lld\n", children, *waits);
	return 0;
}
