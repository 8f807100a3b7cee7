/*
 * Threads that sleep with thousands of different stacks.
 *
 *     many THREADS SLEEPS    prints how many sleeps there were
 */
/* The kernel follows frame pointers. */
#pragma GCC optimize("no-omit-frame-pointer")

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Two functions, one for each bit of the path: 2^DEPTH stacks. */
#define DEPTH 12

static int sleeps;

static void left(unsigned path, int depth);
static void right(unsigned path, int depth);

static void further(unsigned path, int depth)
{
	static const struct timespec brief = {.tv_nsec = 50000};

	if (!depth)
		nanosleep(&brief, NULL);
	else if (path & 1)
		left(path >> 1, depth - 1);
	else
		right(path >> 1, depth - 1);
}

__attribute__((noinline)) static void left(unsigned path, int depth)
{
	further(path, depth);
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void right(unsigned path, int depth)
{
	further(path, depth);
	__asm__ volatile("" ::: "memory");
}

static void *sleeper(void *first)
{
	for (int i = 0; i < sleeps; i++)
		further((unsigned)(long)first + i * 7, DEPTH);
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = atoi(argv[1]);
	pthread_t ids[64];

	sleeps = atoi(argv[2]);
	for (long i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, sleeper, (void *)(i * 1021));
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("%d\n", threads * sleeps);
	return 0;
}
