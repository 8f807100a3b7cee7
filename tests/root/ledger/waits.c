// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Threads that each wait for one thing, and know for how long: the wall clock less what the kernel itself
 * says of their time on a CPU (their CPU clock) and waiting for one (/proc/PID/task/TID/schedstat).
 *
 *     waits DIRECTORY
 *
 * Prints a line for each: "NAME PID TID BLOCKED_NS ON_CPU_NS RUNNABLE_NS", the last two since the thread's birth.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS     1000000LL
#define WAIT   (600 * MS)
#define BRIEF  100
#define BLOCK  (1 << 20)
#define BLOCKS 64
#define TRIES  1000
#define APART  (MS / 10)

struct reading {
	long long wall, on_cpu, runnable;
};

static const char *directory;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t held;
static int ends[2];
static int shared = -1;
static char *missing;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static long long clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void rest(long long ns)
{
	struct timespec ts = {ns / 1000000000LL, ns % 1000000000LL};

	while (nanosleep(&ts, &ts))
		;
}

static long long waited_for_cpu(void)
{
	long long runnable;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%ld/schedstat", syscall(SYS_gettid));
	file = fopen(path, "r");
	/* The time on a CPU there is up to a tick old; the clock's is not. */
	if (!file || fscanf(file, "%*d %lld", &runnable) != 1)
		fail(path);
	fclose(file);
	return runnable;
}

/* Readings of one moment: with another thread, or another guest, in between they would not be. */
static struct reading take(void)
{
	struct reading now;
	long long before;

	for (int i = 0; i < TRIES; i++) {
		now.runnable = waited_for_cpu();
		before = clock_ns(CLOCK_MONOTONIC);
		now.on_cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		now.wall = clock_ns(CLOCK_MONOTONIC);
		if (now.wall - before < APART && waited_for_cpu() == now.runnable)
			break;
	}
	return now;
}

static void add(struct reading *sum, struct reading from, struct reading to)
{
	sum->wall += to.wall - from.wall;
	sum->on_cpu += to.on_cpu - from.on_cpu;
	sum->runnable += to.runnable - from.runnable;
}

static void tell(const char *name, struct reading sum)
{
	struct reading now = take();

	printf("%s %d %ld %lld %lld %lld\n", name, getpid(), (long)syscall(SYS_gettid),
	       sum.wall - sum.on_cpu - sum.runnable, now.on_cpu, now.runnable);
	fflush(stdout);
}

static void do_sleep(void)
{
	rest(WAIT);
}

static void do_poll(void)
{
	poll(NULL, 0, WAIT / MS);
}

static void do_futex(void)
{
	pthread_barrier_wait(&held);
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
}

static void do_pipe(void)
{
	char byte;

	if (read(ends[0], &byte, 1) != 1)
		fail("read");
}

static void do_spin(void)
{
	long long end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + WAIT;

	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

struct job {
	const char *name;
	void (*work)(void);
};

static void *run(void *arg)
{
	struct job *job = arg;
	struct reading sum = {0}, from;

	prctl(PR_SET_NAME, job->name);
	from = take();
	job->work();
	add(&sum, from, take());
	tell(job->name, sum);
	return NULL;
}

/* Only the calls that wait for the disk are timed, each by itself. */
static void *on_disk(void *arg)
{
	struct reading fsyncs = {0}, reads = {0}, from;
	char path[4096], *block;
	int fd;

	prctl(PR_SET_NAME, arg);
	snprintf(path, sizeof(path), "%s/waits.data", directory);
	fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
	if (fd < 0 || posix_memalign((void **)&block, 4096, BLOCK)) {
		perror(path);
		return NULL;
	}
	memset(block, 1, BLOCK);
	for (int i = 0; i < BLOCKS; i++) {
		fcntl(fd, F_SETFL, 0);
		if (pwrite(fd, block, BLOCK, (off_t)i * BLOCK) != BLOCK)
			fail("pwrite");
		from = take();
		if (fsync(fd))
			fail("fsync");
		add(&fsyncs, from, take());
	}
	fcntl(fd, F_SETFL, O_DIRECT);
	for (int i = 0; i < BLOCKS; i++) {
		from = take();
		if (pread(fd, block, BLOCK, (off_t)i * BLOCK) != BLOCK)
			fail("pread");
		add(&reads, from, take());
	}
	close(fd);
	unlink(path);
	tell("fsync", fsyncs);
	tell("read", reads);
	return NULL;
}

/* Writes from a page that is not there: the kernel waits for it with the file's lock held. */
static void *hold(void *arg)
{
	prctl(PR_SET_NAME, arg);
	if (pwrite(shared, missing, 1, 0) != 1)
		perror("pwrite");
	return NULL;
}

static void do_write(void)
{
	if (pwrite(shared, "", 1, 0) != 1)
		perror("pwrite");
}

/* Says nothing where a program may not handle its own page faults. */
static void on_lock(void)
{
	struct job job = {"lock", do_write};
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_copy copy = {.len = 4096};
	static char page[4096];
	int faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	pthread_t holder, waiter;
	struct uffd_msg fault;
	char path[4096];

	missing = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range.start = copy.dst = (unsigned long)missing;
	copy.src = (unsigned long)page;
	snprintf(path, sizeof(path), "%s/waits.lock", directory);
	shared = open(path, O_RDWR | O_CREAT, 0600);
	if (faults < 0 || shared < 0 || ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &range)) {
		perror("userfaultfd");
		return;
	}
	pthread_create(&holder, NULL, hold, "holder");
	if (read(faults, &fault, sizeof(fault)) != sizeof(fault))
		fail("userfaultfd");
	pthread_create(&waiter, NULL, run, &job);
	rest(WAIT);
	if (ioctl(faults, UFFDIO_COPY, &copy))
		fail("UFFDIO_COPY");
	pthread_join(holder, NULL);
	pthread_join(waiter, NULL);
	unlink(path);
}

static void *brief(void *arg)
{
	prctl(PR_SET_NAME, arg);
	return NULL;
}

/* A child that spins and is stopped for a while: what it does not spend on a CPU or waiting for one, it is stopped. */
static void stopped(void)
{
	pid_t pid = fork();

	if (!pid) {
		struct job job = {"stopped", do_spin};

		run(&job);
		_exit(0);
	}
	rest(WAIT / 4);
	kill(pid, SIGSTOP);
	rest(WAIT);
	kill(pid, SIGCONT);
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	struct job jobs[] = {
		{"sleep", do_sleep}, {"poll", do_poll}, {"futex", do_futex}, {"pipe", do_pipe}, {"spin", do_spin}};
	pthread_t threads[5], disk, one;

	if (argc != 2 || pipe(ends))
		return 2;
	directory = argv[1];
	pthread_barrier_init(&held, NULL, 2);
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < 5; i++)
		pthread_create(&threads[i], NULL, run, &jobs[i]);
	pthread_barrier_wait(&held);
	rest(WAIT);
	pthread_mutex_unlock(&mutex);
	if (write(ends[1], "", 1) != 1)
		return 1;
	for (int i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
	pthread_create(&disk, NULL, on_disk, "disk");
	pthread_join(disk, NULL);
	on_lock();
	for (int i = 0; i < BRIEF; i++) {
		pthread_create(&one, NULL, brief, "brief");
		pthread_join(one, NULL);
	}
	stopped();
	return 0;
}
