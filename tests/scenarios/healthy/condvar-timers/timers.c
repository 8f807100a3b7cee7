/* Ten threads that wait on condition variables of their own until a time, do next to nothing, and wait again. */
#include "load.h"

#define TIMERS 10

static void *tick(void *number)
{
	long period = 20000000L * ((long)number + 1);
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t never = PTHREAD_COND_INITIALIZER;

	pthread_mutex_lock(&lock);
	for (;;) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += period;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&never, &lock, &until);
	}
	return 0;
}

int main(void)
{
	pthread_t thread;

	for (long i = 0; i < TIMERS; i++)
		pthread_create(&thread, 0, tick, (void *)i);
	for (;;)
		pause();
}
