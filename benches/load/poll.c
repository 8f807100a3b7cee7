// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The least that a poller of /proc does: reads /proc/PID/stat and /proc/PID/schedstat of every process, again and again.
 *
 *     poll PERIOD_MILLISECONDS MILLISECONDS PARENT LATE
 *
 * Counts the children of PARENT that it has seen, and the waits of LATE that it could tell: those in which the process was found
 * asleep, without having run in between, over at least 50 ms.
 *
 * Prints "live" when it begins, and "ROUNDS CPU_NANOSECONDS CHILDREN WAITS" at the end.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_PIDS    (1 << 22) /* PID_MAX_LIMIT of linux/threads.h */
#define LONG_ENOUGH 50000000LL

static unsigned char seen[MAX_PIDS];

static long long now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int read_file(int proc, const char *pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pid, name);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	got = read(fd, text, size - 1);
	close(fd);
	if (got <= 0)
		return -1;
	text[got] = 0;
	return 0;
}

int main(int argc, char **argv)
{
	long long period, end, next, rounds = 0, children = 0, waits = 0;
	long long slices_before = -1, asleep_since = 0, asleep_until = 0;
	long parent, late;
	DIR *proc;

	if (argc < 5)
		return 2;
	period = atoll(argv[1]) * 1000000;
	parent = atol(argv[3]);
	late = atol(argv[4]);
	proc = opendir("/proc");
	if (!proc)
		return 1;
	puts("live");
	fflush(stdout);
	next = now(CLOCK_MONOTONIC);
	for (end = next + atoll(argv[2]) * 1000000; next < end; rounds++) {
		struct timespec at;
		struct dirent *entry;
		long long then;

		rewinddir(proc);
		while ((entry = readdir(proc))) {
			char stat[1024], schedstat[128], state, *rest;
			long pid = atol(entry->d_name), ppid, slices;

			if (!isdigit((unsigned char)entry->d_name[0]) || pid >= MAX_PIDS)
				continue;
			if (read_file(dirfd(proc), entry->d_name, "stat", stat, sizeof(stat)) ||
			    read_file(dirfd(proc), entry->d_name, "schedstat", schedstat, sizeof(schedstat)))
				continue;
			/* A name may have brackets and spaces in it: the rest is behind the last bracket. */
			rest = strrchr(stat, ')');
			if (!rest || sscanf(rest + 1, " %c %ld", &state, &ppid) != 2 ||
			    sscanf(schedstat, "%*s %*s %ld", &slices) != 1)
				continue;
			if (ppid == parent && !strncmp(strchr(stat, '('), "(crowd-short)", 13) && !seen[pid]) {
				seen[pid] = 1;
				children++;
			}
			if (pid == late) {
				long long at_ns = now(CLOCK_MONOTONIC);

				if (slices != slices_before) {
					waits += asleep_until - asleep_since >= LONG_ENOUGH;
					asleep_since = at_ns;
				}
				asleep_until = at_ns;
				slices_before = slices;
			}
		}
		then = now(CLOCK_MONOTONIC);
		/* A round that takes longer than the period is followed at once by the next. */
		next = next + period > then ? next + period : then;
		at.tv_sec = next / 1000000000;
		at.tv_nsec = next % 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
	printf("%lld %lld %lld %lld\n", rounds, now(CLOCK_PROCESS_CPUTIME_ID), children, waits);
	return 0;
}
