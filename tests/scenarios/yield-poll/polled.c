/* One thread makes ten records a second, and another polls for them with sched_yield. */
#include <sched.h>

#include "load.h"

static int made;

static void *make(void *unused)
{
	(void)unused;
	for (;;) {
		pause_for(0.1);
		__atomic_add_fetch(&made, 1, __ATOMIC_RELEASE);
	}
	return 0;
}

int main(void)
{
	long yields = 0, records = 0;
	pthread_t maker;

	load_begin();
	pthread_create(&maker, 0, make, 0);
	while (!ended) {
		if (__atomic_load_n(&made, __ATOMIC_ACQUIRE) > records) {
			records++;
			continue;
		}
		sched_yield();
		yields++;
	}
	printf("records=%ld yields=%ld\n", records, yields);
	return 0;
}
