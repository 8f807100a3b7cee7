/* An urgent thread and one of lowest priority that share a mutex; says what share of its time the urgent one waited for it. */
#include <sched.h>

#include "load.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *tidy_up(void *unused)
{
	sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	if (nice(19) < 0)
		return 0;
	for (;;) {
		pthread_mutex_lock(&lock);
		compute_for(0.005);
		pthread_mutex_unlock(&lock);
		pause_for(0.002);
	}
	return unused;
}

int main(void)
{
	double began = now(), waited = 0;
	pthread_t thread;

	load_begin();
	pthread_create(&thread, 0, tidy_up, 0);
	while (!ended) {
		double before = now();

		pthread_mutex_lock(&lock);
		waited += now() - before;
		compute_for(0.001);
		pthread_mutex_unlock(&lock);
		pause_for(0.005);
	}
	printf("waited=%.3f\n", waited / (now() - began));
	return 0;
}
