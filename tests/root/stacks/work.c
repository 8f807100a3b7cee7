/*
 * Programs of known functions. Each prints what it knows of itself, and ends.
 *
 *   spin MS       70 % of MS milliseconds of CPU time in heavy(), then the rest in light(): `heavy_ns light_ns`
 *   inlined MS    all of it in a function that the compiler puts into outer()
 *   generated MS  all of it in code that it makes at run time and names in /tmp/perf-PID.map; ends with its standard input
 *   replace COUNT [PROGRAM]
 *                 sleeps COUNT times 1 ms in ASLEEP(), which is first_nap() unless it was compiled otherwise, and becomes
 *                 PROGRAM with the same count: on one CPU, and with the same addresses if that is of this source
 *   nap COUNT     at a line on its standard input, sleeps COUNT times 20 ms: `slept_ns`; ends with its standard input
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#ifndef ASLEEP
#define ASLEEP first_nap
#endif

static int64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Ahead of everyone, so that the samples that others get do not thin ours out by chance. */
static void hurry(void)
{
	struct sched_param first = {.sched_priority = 1};

	sched_setscheduler(0, SCHED_FIFO, &first);
}

/* Some 200 us; position-independent and without a call, so that it can be copied. */
__attribute__((section("copied"), noinline)) uint64_t churn(uint64_t value)
{
	for (volatile int i = 0; i < 100000; i++)
		value = value * 6364136223846793005ULL + i;
	return value;
}
extern char __start_copied[], __stop_copied[];

static volatile uint64_t sink;

NOINLINE int64_t heavy(int64_t ns)
{
	int64_t start = now(CLOCK_THREAD_CPUTIME_ID), spent;

	do {
		for (volatile int i = 0; i < 100000; i++)
			sink += i;
		spent = now(CLOCK_THREAD_CPUTIME_ID) - start;
	} while (spent < ns);
	return spent;
}

NOINLINE int64_t light(int64_t ns)
{
	int64_t start = now(CLOCK_THREAD_CPUTIME_ID), spent;

	do {
		for (volatile int i = 0; i < 100000; i++)
			sink -= i;
		spent = now(CLOCK_THREAD_CPUTIME_ID) - start;
	} while (spent < ns);
	return spent;
}

static inline __attribute__((always_inline)) void inner(void)
{
	for (volatile int i = 0; i < 100000; i++)
		sink ^= i;
}

NOINLINE void outer(int64_t ns)
{
	int64_t start = now(CLOCK_THREAD_CPUTIME_ID);

	do
		inner();
	while (now(CLOCK_THREAD_CPUTIME_ID) - start < ns);
}

static void wait_for_the_end(void)
{
	while (getchar() != EOF)
		;
}

static void generated(int64_t ns)
{
	size_t size = __stop_copied - __start_copied;
	void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t (*copy)(uint64_t) = code;
	int64_t start = now(CLOCK_THREAD_CPUTIME_ID);
	char path[64];
	FILE *map;

	memcpy(code, __start_copied, size);
	mprotect(code, 4096, PROT_READ | PROT_EXEC);
	__builtin___clear_cache(code, (char *)code + size);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	map = fopen(path, "w");
	fprintf(map, "%lx %zx made at run time\n", (unsigned long)code, size);
	fclose(map);
	while (now(CLOCK_THREAD_CPUTIME_ID) - start < ns)
		sink += copy(1);
	puts("done");
	fflush(stdout);
	wait_for_the_end();
	unlink(path);
}

static void nap(int count)
{
	struct timespec time = {.tv_nsec = 20000000};
	int64_t start, slept = 0;

	getchar();
	for (int i = 0; i < count; i++) {
		start = now(CLOCK_MONOTONIC);
		nanosleep(&time, NULL);
		slept += now(CLOCK_MONOTONIC) - start;
	}
	printf("%lld\n", (long long)slept);
	fflush(stdout);
	wait_for_the_end();
}

/* Ends in the C library, which need not have a frame: the function that is certain to be seen is the one around. */
static NOINLINE void sleep_ms(void)
{
	struct timespec time = {.tv_nsec = 1000000};

	nanosleep(&time, NULL);
	__asm__ volatile("");
}

NOINLINE void ASLEEP(int count)
{
	for (int i = 0; i < count; i++)
		sleep_ms();
}

static void replace(int count, char **argv)
{
	int now = personality(0xffffffff);
	char *next = argv[3];
	cpu_set_t here;

	if (!(now & ADDR_NO_RANDOMIZE)) {
		personality(now | ADDR_NO_RANDOMIZE);
		CPU_ZERO(&here);
		CPU_SET(sched_getcpu(), &here);
		sched_setaffinity(0, sizeof(here), &here);
		execv(argv[0], argv);
	}
	ASLEEP(count);
	if (next) {
		argv[0] = next;
		argv[3] = NULL;
		execv(next, argv);
	}
}

int main(int argc, char **argv)
{
	int64_t number = argc > 2 ? atoll(argv[2]) : 0, ns = number * 1000000;

	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "nap")) {
		nap(number);
		return 0;
	}
	if (!strcmp(argv[1], "replace")) {
		replace(number, argv);
		return 0;
	}
	hurry();
	if (!strcmp(argv[1], "spin")) {
		int64_t first = heavy(ns * 7 / 10), second = light(ns * 3 / 10);

		printf("%lld %lld\n", (long long)first, (long long)second);
	} else if (!strcmp(argv[1], "inlined")) {
		outer(ns);
	} else {
		generated(ns);
	}
	return 0;
}
