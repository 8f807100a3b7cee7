/* Computes for 100 ms at a time, then gives one of four workers a job of 0.2 ms. Prints the number of jobs at its end. */
#include "load.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t given = PTHREAD_COND_INITIALIZER;
static int jobs;

static void *worker(void *unused)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!jobs)
			pthread_cond_wait(&given, &lock);
		jobs--;
		pthread_mutex_unlock(&lock);
		compute_for(0.0002);
	}
	return unused;
}

int main(void)
{
	pthread_t thread;
	long all = 0;

	for (int i = 0; i < 4; i++)
		pthread_create(&thread, 0, worker, 0);
	load_begin();
	while (!ended) {
		compute_for(0.1);
		pthread_mutex_lock(&lock);
		jobs++;
		pthread_cond_signal(&given);
		pthread_mutex_unlock(&lock);
		all++;
	}
	printf("jobs=%ld\n", all);
	return 0;
}
