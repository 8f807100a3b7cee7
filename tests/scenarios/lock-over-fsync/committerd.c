/* Six threads that append a record and sync it under one mutex. */
#include <fcntl.h>

#include "load.h"

#define THREADS 6

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double waited[THREADS], lived[THREADS], synced;
static int journal;

static void *commit(void *number)
{
	long own = (long)number;
	double began = now();
	char record[4096] = { 0 };

	while (!ended) {
		double before = now(), has;

		pthread_mutex_lock(&lock);
		has = now();
		waited[own] += has - before;
		pwrite(journal, record, sizeof(record), 0);
		fdatasync(journal);
		synced += now() - has;
		pthread_mutex_unlock(&lock);
		pause_for(0.0005);
	}
	lived[own] = now() - began;
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	double share = 0;

	journal = open(argv[argc - 1], O_RDWR | O_CREAT, 0600);
	load_begin();
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], 0, commit, (void *)i);
	for (long i = 0; i < THREADS; i++) {
		pthread_join(threads[i], 0);
		share += waited[i] / lived[i] / THREADS;
	}
	printf("waited=%.3f synced=%.3f\n", share, synced / lived[0]);
	return 0;
}
