/* Six threads that append 64 KiB blocks to one file around the page cache; says what share of their time they were in write. */
#include <fcntl.h>

#include "load.h"

#define THREADS 6

static int file;
static long end_of_file;
static double writing[THREADS], lived[THREADS];

static void *append(void *number)
{
	long own = (long)number;
	double began = now();
	size_t size = 64 << 10;
	void *block = NULL;

	if (posix_memalign(&block, 4096, size))
		return 0;
	memset(block, 'x', size);
	while (!ended) {
		double before = now();
		long at = __atomic_fetch_add(&end_of_file, size, __ATOMIC_RELAXED);

		if (pwrite(file, block, size, at % (512l << 20)) < 0)
			break;
		writing[own] += now() - before;
	}
	lived[own] = now() - began;
	return 0;
}

int main(void)
{
	pthread_t threads[THREADS];
	double share = 0;

	load_begin();
	file = open("appended", O_CREAT | O_WRONLY | O_DIRECT | O_SYNC, 0600);
	for (long i = 0; i < THREADS && file >= 0; i++)
		pthread_create(&threads[i], 0, append, (void *)i);
	for (long i = 0; i < THREADS && file >= 0; i++) {
		pthread_join(threads[i], 0);
		share += writing[i] / lived[i] / THREADS;
	}
	printf("share=%.3f mib=%ld\n", share, end_of_file >> 20);
	return 0;
}
