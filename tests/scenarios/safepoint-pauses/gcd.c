/* Six workers, and a collector that stops them all for 200 ms of work; says what share of their time they stood still by their own clocks. */
#include "load.h"

#define WORKERS 6

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_stopped = PTHREAD_COND_INITIALIZER, go_on = PTHREAD_COND_INITIALIZER;
static volatile int stop, stopped;
static double stood, lived;

static void safepoint(double *own)
{
	double before;

	if (!stop)
		return;
	before = now();
	pthread_mutex_lock(&lock);
	stopped++;
	pthread_cond_signal(&all_stopped);
	while (stop)
		pthread_cond_wait(&go_on, &lock);
	stopped--;
	pthread_mutex_unlock(&lock);
	*own += now() - before;
}

static void *serve(void *unused)
{
	double began = now(), own = 0;

	while (!ended) {
		compute_for(0.0005);
		safepoint(&own);
		pause_for(0.002);
		safepoint(&own);
	}
	pthread_mutex_lock(&lock);
	stopped++;
	pthread_cond_signal(&all_stopped);
	stood += own;
	lived += now() - began;
	pthread_mutex_unlock(&lock);
	return unused;
}

static void collect(void)
{
	pthread_mutex_lock(&lock);
	stop = 1;
	while (stopped < WORKERS)
		pthread_cond_wait(&all_stopped, &lock);
	pthread_mutex_unlock(&lock);
	work_for(0.2);
	pthread_mutex_lock(&lock);
	stop = 0;
	pthread_cond_broadcast(&go_on);
	pthread_mutex_unlock(&lock);
}

int main(void)
{
	pthread_t threads[WORKERS];

	load_begin();
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], 0, serve, 0);
	while (!ended) {
		pause_for(0.25);
		collect();
	}
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], 0);
	printf("stood=%.3f\n", stood / lived);
	return 0;
}
