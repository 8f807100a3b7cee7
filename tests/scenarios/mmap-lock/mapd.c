/* Eight threads that map, touch and unmap memory: each holds the lock of the process's mappings, and all want it. */
#include <sys/mman.h>

#include "load.h"

#define THREADS 8
#define SIZE (4 << 20)

static double waited[THREADS], lived[THREADS];

static double cpu(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void *serve(void *number)
{
	long own = (long)number;
	double began = now();

	while (!ended) {
		double before = now(), used = cpu();
		char *memory = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		munmap(memory, SIZE);
		waited[own] += now() - before - (cpu() - used);
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
