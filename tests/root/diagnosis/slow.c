// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Services that are slow for a known reason. Each runs until it is killed, or for a minute.
 *
 *     journal FILE     appends 4 KiB and calls fsync(2), every few milliseconds: the victim of a process that fills the disk
 *     flood FILE       four threads write to FILE past the page cache, 1 MiB at a time: who fills the disk
 *     convoy THREADS   threads that each hold the one mutex of them all for a millisecond at a time
 *     ticker           works for two milliseconds every twenty, by an absolute deadline: the victim of a process that has the CPUs
 *     burn             uses a CPU: who has it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MILLISECOND 1000000L
#define CHUNK (1 << 20)
#define FLOODED (256L << 20)

static pthread_mutex_t only = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void work(long ns)
{
	long long end = now(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (now(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

static void rest(long ns)
{
	struct timespec ts = { .tv_nsec = ns };

	nanosleep(&ts, NULL);
}

static void journal(const char *path)
{
	static char entry[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	if (fd < 0)
		fail(path);
	for (;;) {
		if (write(fd, entry, sizeof(entry)) != sizeof(entry) || fsync(fd))
			fail("write");
		rest(2 * MILLISECOND);
	}
}

static void *flood(void *path)
{
	void *chunk;
	long at = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_DIRECT, 0600);

	if (fd < 0 || posix_memalign(&chunk, 4096, CHUNK))
		fail(path);
	memset(chunk, 1, CHUNK);
	for (;; at = (at + CHUNK) % FLOODED)
		if (pwrite(fd, chunk, CHUNK, at) != CHUNK)
			fail("pwrite");
	return NULL;
}

static void *convoy(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_mutex_lock(&only);
		work(MILLISECOND);
		pthread_mutex_unlock(&only);
	}
	return NULL;
}

static void ticker(void)
{
	struct timespec due;

	clock_gettime(CLOCK_MONOTONIC, &due);
	for (;;) {
		due.tv_nsec += 20 * MILLISECOND;
		if (due.tv_nsec >= 1000 * MILLISECOND) {
			due.tv_nsec -= 1000 * MILLISECOND;
			due.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		work(2 * MILLISECOND);
	}
}

static void threads(long count, void *(*run)(void *), void *with)
{
	pthread_t thread;

	while (count-- > 0)
		if (pthread_create(&thread, NULL, run, with))
			fail("pthread_create");
	pause();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	alarm(60);
	if (!strcmp(what, "journal") && argc > 2)
		journal(argv[2]);
	else if (!strcmp(what, "flood") && argc > 2)
		threads(4, flood, argv[2]);
	else if (!strcmp(what, "convoy") && argc > 2)
		threads(atol(argv[2]), convoy, NULL);
	else if (!strcmp(what, "ticker"))
		ticker();
	else if (!strcmp(what, "burn"))
		work(3600000L * MILLISECOND);
	fprintf(stderr, "unknown workload '%s'\n", what);
	return 2;
}
