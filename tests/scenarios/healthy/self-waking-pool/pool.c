/* A pool whose workers wake one another through one condition variable, two hundred times a second; says how many jobs it did. */
#include "load.h"

#define WORKERS 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static int jobs;
static volatile long done;

static void put(void)
{
	pthread_mutex_lock(&lock);
	jobs++;
	pthread_cond_signal(&more);
	pthread_mutex_unlock(&lock);
}

static void *work(void *unused)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!jobs)
			pthread_cond_wait(&more, &lock);
		jobs--;
		done++;
		pthread_mutex_unlock(&lock);
		pause_for(0.02);
		put();
	}
	return unused;
}

int main(void)
{
	pthread_t thread;

	load_begin();
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&thread, 0, work, 0);
	for (int i = 0; i < 4; i++)
		put();
	while (!ended)
		pause();
	printf("done=%ld\n", done);
	return 0;
}
