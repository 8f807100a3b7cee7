// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Small programs whose behaviour is known, for the root tests. Each prints what is true of it on standard output.
 *
 *     true N PROGRAM        starts PROGRAM N times, one after the other; prints how many ended with status 0
 *     storm N               forks N children that end at once with status 0
 *     leader-first STATUS   the first thread ends first, then another ends the process with STATUS
 *     spin MS               uses MS milliseconds of CPU time
 *     sleeps N              sleeps N times; prints the kernel's count of its voluntary switches meanwhile
 *     touch MIB             writes to MIB mebibytes of memory
 *     pingpong N            two threads hand a byte to and fro N times
 *     family N              a child, which forks a child, which ends: N times; prints "child N grandchild N"
 *     wait                  ends when its standard input does
 *     lines MS              prints the time of CLOCK_REALTIME in ns each MS milliseconds, each from a child of its own
 *     usage PROGRAM ...     runs PROGRAM; prints, as wait4(2) and clocks say:
 *                           PID STATUS CPU_NS MAXRSS_BYTES VOLUNTARY INVOLUNTARY LIFETIME_NS WAITED_NS
 *                           (WAITED_NS: for a CPU, as its /proc/PID/schedstat says)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(99);
}

static int run_true(long count, char *program)
{
	char *argv[] = {program, NULL};
	long ended = 0;

	while (count--) {
		int status;
		pid_t pid;

		if (posix_spawn(&pid, program, NULL, NULL, argv, environ))
			fail("posix_spawn");
		if (waitpid(pid, &status, 0) == pid && status == 0)
			ended++;
	}
	printf("%ld\n", ended);
	return 0;
}

static int storm(long count)
{
	while (count--) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	return 0;
}

static void *outlive_leader(void *status)
{
	char path[64], stat[256], *state;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	do {
		int fd = open(path, O_RDONLY);
		ssize_t len = read(fd, stat, sizeof(stat) - 1);

		close(fd);
		stat[len > 0 ? len : 0] = 0;
		state = strrchr(stat, ')');
		sched_yield();
	} while (!state || state[2] != 'Z');
	_exit((long)status);
}

static int leader_first(long status)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, outlive_leader, (void *)status))
		fail("pthread_create");
	pthread_exit(NULL);
}

static int spin(long ms)
{
	while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < ms * 1000000LL)
		;
	return 0;
}

static long voluntary(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static int sleeps(long count)
{
	struct timespec nap = {.tv_nsec = 200000};
	long before = voluntary(), i;

	for (i = 0; i < count; i++)
		nanosleep(&nap, NULL);
	printf("%ld\n", voluntary() - before);
	return 0;
}

static int touch(long mib)
{
	size_t size = mib << 20, at;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	for (at = 0; at < size; at += 4096)
		memory[at] = 1;
	return 0;
}

static int there[2], back[2];

static void *answer(void *unused)
{
	char byte;

	while (read(there[0], &byte, 1) == 1)
		if (write(back[1], &byte, 1) != 1)
			break;
	return unused;
}

static int pingpong(long count)
{
	pthread_t thread;
	char byte = 0;

	if (pipe(there) || pipe(back) || pthread_create(&thread, NULL, answer, NULL))
		fail("pingpong");
	while (count--)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			fail("hand-over");
	close(there[1]);
	pthread_join(thread, NULL);
	return 0;
}

static int family(long count)
{
	while (count--) {
		pid_t child = fork();

		if (child < 0)
			fail("fork");
		if (!child) {
			pid_t grandchild = fork();

			if (!grandchild)
				_exit(0);
			waitpid(grandchild, NULL, 0);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	return 0;
}

static int wait_for_end(void)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

static int lines(long ms)
{
	struct timespec nap = {.tv_nsec = ms * 1000000};
	struct timespec now;

	for (;;) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		clock_gettime(CLOCK_REALTIME, &now);
		printf("%d %lld\n", pid, now.tv_sec * 1000000000LL + now.tv_nsec);
		if (fflush(stdout))
			return 0;
		nanosleep(&nap, NULL);
	}
}

/* How long a process of one thread waited for a CPU: the second number of its schedstat. */
static long long waited_ns(pid_t pid)
{
	char path[32];
	long long waited;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%*d %lld", &waited) != 1)
		fail(path);
	fclose(file);
	return waited;
}

static int usage(char **argv)
{
	long long begin = clock_ns(CLOCK_MONOTONIC), cpu, waited;
	siginfo_t ended;
	struct rusage used;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (!pid) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (waitid(P_PID, pid, &ended, WEXITED | WNOWAIT))
		fail("waitid");
	waited = waited_ns(pid);
	if (wait4(pid, &status, 0, &used) != pid)
		fail("wait4");
	cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000LL;
	cpu += (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000LL;
	printf("%d %d %lld %ld %ld %ld %lld %lld\n", pid, status, cpu, used.ru_maxrss * 1024, used.ru_nvcsw,
	       used.ru_nivcsw, clock_ns(CLOCK_MONOTONIC) - begin, waited);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	long number = argc > 2 ? atol(argv[2]) : 0;

	if (!strcmp(what, "true") && argc > 3)
		return run_true(number, argv[3]);
	if (!strcmp(what, "usage") && argc > 2)
		return usage(argv + 2);
	if (!strcmp(what, "storm"))
		return storm(number);
	if (!strcmp(what, "leader-first"))
		return leader_first(number);
	if (!strcmp(what, "spin"))
		return spin(number);
	if (!strcmp(what, "sleeps"))
		return sleeps(number);
	if (!strcmp(what, "touch"))
		return touch(number);
	if (!strcmp(what, "pingpong"))
		return pingpong(number);
	if (!strcmp(what, "family"))
		return family(number);
	if (!strcmp(what, "wait"))
		return wait_for_end();
	if (!strcmp(what, "lines"))
		return lines(number);
	fprintf(stderr, "workload: what?\n");
	return 99;
}
