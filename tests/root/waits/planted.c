// Programs whose threads wait for a known reason, for some seconds: `planted REASON SECONDS`.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8

static double until;
static volatile unsigned long sink;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t full, empty;
static int jobs;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void work(double seconds)
{
	double end = now() + seconds;

	while (now() < end)
		for (int i = 0; i < 1000; i++)
			sink += i;
}

static void rest(double seconds)
{
	struct timespec time = {(time_t)seconds, (seconds - (time_t)seconds) * 1e9};

	nanosleep(&time, NULL);
}

static void *works_under_lock(void *unused)
{
	while (now() < until) {
		pthread_mutex_lock(&mutex);
		work(.002);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *rests_under_lock(void *unused)
{
	while (now() < until) {
		pthread_mutex_lock(&mutex);
		rest(.004);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

/* Longer than the recording. */
static void *holds_lock(void *unused)
{
	pthread_mutex_lock(&mutex);
	rest(until - now());
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void *wants_lock(void *unused)
{
	rest(.1);
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

/* Waits for a job with time-outs of a second, as pools do. */
static void take_job(void)
{
	struct timespec time;

	pthread_mutex_lock(&mutex);
	while (!jobs && now() < until) {
		clock_gettime(CLOCK_REALTIME, &time);
		time.tv_sec++;
		pthread_cond_timedwait(&condition, &mutex, &time);
	}
	if (jobs)
		jobs--;
	pthread_mutex_unlock(&mutex);
}

static void give_job(void)
{
	pthread_mutex_lock(&mutex);
	jobs++;
	pthread_mutex_unlock(&mutex);
	pthread_cond_signal(&condition);
}

static void *idles(void *unused)
{
	while (now() < until) {
		take_job();
		work(.0002);
	}
	return NULL;
}

static void *gives_jobs(void *unused)
{
	while (now() < until) {
		rest(.05);
		give_job();
	}
	return NULL;
}

/* A worker that wakes the next. */
static void *passes_on(void *unused)
{
	while (now() < until) {
		take_job();
		work(.0001);
		rest(.02);
		give_job();
	}
	return NULL;
}

static void *meets(void *number)
{
	for (int i = 0; i < 20; i++) {
		if (!number)
			work(.1);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void *produces(void *unused)
{
	while (now() < until) {
		sem_wait(&empty);
		work(.00002);
		sem_post(&full);
	}
	for (int i = 0; i < 4; i++)
		sem_post(&full);
	return NULL;
}

static void *consumes(void *unused)
{
	while (now() < until) {
		sem_wait(&full);
		work(.002);
		sem_post(&empty);
	}
	sem_post(&empty);
	return NULL;
}

static pthread_t threads[THREADS + 1];
static long started;

static void start(long count, void *(*function)(void *))
{
	for (long i = 0; i < count; i++)
		pthread_create(&threads[started++], NULL, function, (void *)i);
}

int main(int count, char **words)
{
	const char *reason = words[1];

	until = now() + atof(words[2]);
	if (!strcmp(reason, "lock-busy")) {
		start(4, works_under_lock);
	} else if (!strcmp(reason, "lock-asleep")) {
		start(4, rests_under_lock);
	} else if (!strcmp(reason, "lock-held")) {
		start(1, holds_lock);
		start(3, wants_lock);
	} else if (!strcmp(reason, "idle-pool")) {
		start(THREADS, idles);
		start(1, gives_jobs);
	} else if (!strcmp(reason, "self-waking-pool")) {
		jobs = 2;
		start(THREADS, passes_on);
	} else if (!strcmp(reason, "barrier")) {
		pthread_barrier_init(&barrier, NULL, 4);
		start(4, meets);
	} else if (!strcmp(reason, "queue")) {
		sem_init(&empty, 0, 4);
		sem_init(&full, 0, 0);
		start(1, produces);
		start(4, consumes);
	} else {
		return 2;
	}
	for (long i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
