/* What the scenarios' programs share: clocks, work, pauses, and an end by SIGTERM that leaves time to print counts. */
#ifndef LOAD_H
#define LOAD_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

static void load_end(int number)
{
	ended = number;
}

/* Makes SIGTERM set `ended`. System calls go on, but sleeps end. */
static inline void load_begin(void)
{
	signal(SIGTERM, load_end);
}

/* Seconds. */
static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Uses a CPU until some seconds have passed. */
static inline void work_for(double seconds)
{
	for (double until = now() + seconds; now() < until;)
		;
}

/* Uses some seconds of CPU time, however long that takes. */
static inline void compute_for(double seconds)
{
	struct timespec time;
	double until;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	until = time.tv_sec + time.tv_nsec / 1e9 + seconds;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	while (time.tv_sec + time.tv_nsec / 1e9 < until);
}

static inline void pause_for(double seconds)
{
	nanosleep(&(struct timespec){ .tv_sec = seconds, .tv_nsec = (seconds - (long)seconds) * 1e9 }, 0);
}

#endif
