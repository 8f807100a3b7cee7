/* Three threads that read under a lock for 20 ms at a time, and one that wants to write every 5 ms; glibc prefers readers by default. */
#include "load.h"

#define READERS 3

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static void *look_up(void *number)
{
	pause_for(0.003 * (long)number);
	while (!ended) {
		pthread_rwlock_rdlock(&lock);
		work_for(0.002);
		pause_for(0.018);
		pthread_rwlock_unlock(&lock);
		pause_for(0.01);
	}
	return 0;
}

static void *update(void *share)
{
	double began = now(), waited = 0;

	while (!ended) {
		double before = now();

		pthread_rwlock_wrlock(&lock);
		waited += now() - before;
		pthread_rwlock_unlock(&lock);
		pause_for(0.005);
	}
	*(double *)share = waited / (now() - began);
	return 0;
}

int main(void)
{
	pthread_t threads[READERS + 1];
	double share = 0;

	load_begin();
	for (long i = 0; i < READERS; i++)
		pthread_create(&threads[i], 0, look_up, (void *)i);
	pthread_create(&threads[READERS], 0, update, &share);
	for (int i = 0; i <= READERS; i++)
		pthread_join(threads[i], 0);
	printf("waited=%.3f\n", share);
	return 0;
}
