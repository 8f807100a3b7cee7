/* A thread for each CPU, all of which compute for 200 ms, twice a second. */
#include <sched.h>

#include "load.h"

static void *steal(void *number)
{
	cpu_set_t own;

	CPU_ZERO(&own);
	CPU_SET((long)number, &own);
	pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
	for (;;) {
		struct timespec time;

		clock_gettime(CLOCK_MONOTONIC, &time);
		pause_for(0.5 - (time.tv_nsec % 500000000) / 1e9);
		work_for(0.2);
	}
	return 0;
}

int main(void)
{
	pthread_t thread;

	for (long i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++)
		pthread_create(&thread, 0, steal, (void *)i);
	for (;;)
		pause();
}
