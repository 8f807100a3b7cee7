// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Small programs that press on memory and locks, for the root tests. Each prints what is true of it.
 *
 *     faults PAGES          a child touches PAGES fresh pages and ends; prints its pid and minor faults, as wait4(2) says
 *     stay PAGES            touches PAGES fresh pages, prints its pid and minor faults, as getrusage(2) says, and ends
 *                           with its standard input
 *     hog GROUP             joins the control group and takes memory until it is killed
 *     stream GROUP FILE MIB joins the control group and writes MIB mebibytes to FILE; prints its pid
 *     futex TIMES MS        a thread waits TIMES times for another, which lets it go after MS milliseconds; prints its
 *                           pid, waits, nanoseconds in them, and the address
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L
#define MIB  (1L << 20)

static void fail(const char *what)
{
	perror(what);
	exit(99);
}

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void touch(long pages)
{
	char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	for (long page = 0; page < pages; page++)
		memory[page * PAGE] = 1;
}

static void faults(long pages)
{
	struct rusage usage;
	pid_t pid = fork();

	if (!pid) {
		touch(pages);
		_exit(0);
	}
	if (wait4(pid, NULL, 0, &usage) != pid)
		fail("wait4");
	printf("%d %ld\n", pid, usage.ru_minflt);
}

static void stay(long pages)
{
	struct rusage usage;
	char byte;

	touch(pages);
	getrusage(RUSAGE_SELF, &usage);
	printf("%d %ld\n", getpid(), usage.ru_minflt);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

static void join(const char *group)
{
	char path[4096];
	FILE *procs;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	procs = fopen(path, "w");
	if (!procs || fprintf(procs, "%d\n", getpid()) < 0 || fclose(procs))
		fail(path);
}

static void hog(const char *group)
{
	join(group);
	for (;;)
		touch(MIB / PAGE);
}

static void stream(const char *group, const char *file, long mib)
{
	static char buffer[MIB];
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		fail(file);
	join(group);
	printf("%d\n", getpid());
	while (mib--)
		if (write(fd, buffer, MIB) != MIB)
			fail("write");
	close(fd);
}

static unsigned int gate;
static long times, pause_ms;

static void *open_gate(void *unused)
{
	struct timespec pause = {pause_ms / 1000, pause_ms % 1000 * 1000000};

	for (long i = 0; i < times; i++) {
		/* Wait until the other is about to wait, then a while longer. */
		while (__atomic_load_n(&gate, __ATOMIC_SEQ_CST) != 0)
			usleep(100);
		nanosleep(&pause, NULL);
		__atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &gate, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return unused;
}

static void futex(void)
{
	long long in_wait = 0;
	long waits = 0;
	pthread_t other;

	__atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
	pthread_create(&other, NULL, open_gate, NULL);
	for (long i = 0; i < times; i++) {
		__atomic_store_n(&gate, 0, __ATOMIC_SEQ_CST);
		while (!__atomic_load_n(&gate, __ATOMIC_SEQ_CST)) {
			long long begin = now();

			if (!syscall(SYS_futex, &gate, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0)) {
				waits++;
				in_wait += now() - begin;
			}
		}
	}
	/* Not by pthread_join, which waits in a futex too. */
	printf("%d %ld %lld %p\n", getpid(), waits, in_wait, (void *)&gate);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (!strcmp(what, "faults")) {
		faults(atol(argv[2]));
	} else if (!strcmp(what, "stay")) {
		stay(atol(argv[2]));
	} else if (!strcmp(what, "hog")) {
		hog(argv[2]);
	} else if (!strcmp(what, "stream") && argc == 5) {
		stream(argv[2], argv[3], atol(argv[4]));
	} else if (!strcmp(what, "futex") && argc == 4) {
		times = atol(argv[2]);
		pause_ms = atol(argv[3]);
		futex();
	} else {
		return 2;
	}
	return 0;
}
