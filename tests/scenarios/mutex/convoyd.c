/* Eight threads that work under one mutex; says what part of their time they waited for it by their own clocks. */
#include "load.h"

#define THREADS 8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double waited[THREADS], lived[THREADS];

__attribute__((noinline)) static void update_ledger(void)
{
	work_for(0.002);
}

static void *serve(void *number)
{
	long own = (long)number;
	double began = now();

	while (!ended) {
		double before = now();

		pthread_mutex_lock(&lock);
		waited[own] += now() - before;
		update_ledger();
		pthread_mutex_unlock(&lock);
		pause_for(0.0002);
	}
	lived[own] = now() - began;
	return 0;
}

int main(void)
{
	pthread_t threads[THREADS];
	double share = 0;

	load_begin();
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], 0, serve, (void *)i);
	for (long i = 0; i < THREADS; i++) {
		pthread_join(threads[i], 0);
		share += waited[i] / lived[i] / THREADS;
	}
	printf("waited=%.3f\n", share);
	return 0;
}
