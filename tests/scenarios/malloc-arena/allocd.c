/* Threads that allocate and free large pieces in one arena of malloc, which trims its top again and again. */
#include <malloc.h>

#include "load.h"

#define THREADS 8

static double waited[THREADS];

static void *serve(void *own)
{
	while (!ended) {
		double before = now();
		void *piece = malloc(3000000);

		memset(piece, 1, 3000000);
		free(piece);
		*(double *)own += now() - before;
	}
	return 0;
}

int main(void)
{
	double began = now(), all = 0;
	pthread_t thread;

	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 16 << 20);
	mallopt(M_TRIM_THRESHOLD, 65536);
	load_begin();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, 0, serve, &waited[i]);
	while (!ended)
		pause_for(0.1);
	for (int i = 0; i < THREADS; i++)
		all += waited[i];
	printf("share=%.3f\n", all / THREADS / (now() - began));
	return 0;
}
