/* Four threads that compute, with a short pause now and then. */
#include "load.h"

static void *serve(void *unused)
{
	for (;;) {
		compute_for(0.01);
		pause_for(0.001);
	}
	return unused;
}

int main(void)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++)
		pthread_create(&thread, 0, serve, 0);
	for (;;)
		pause();
}
